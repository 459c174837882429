"""`jaxninja baseline`: what counting reaches on the same data."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxninja.cli.process.arguments import parsed
from jaxninja.data.datasets import load_dataset
from jaxninja.data.ngrams import Baseline, baselines
from jaxninja.errors import UserError
from jaxninja.escaping import printable
from jaxninja.storage import atomic

HIGHEST = 10  # of the orders: the windows have as many symbols


@dataclass(frozen=True)
class Options:
    """Losses in nats of models that count which symbol follows which.

    A network is worth its parameters only if it does better: n-grams with additive
    smoothing, and Witten-Bell's interpolation of all orders.

    Example: jaxninja baseline --data makemore --order 4
    """

    data: str = "names"
    """names, surnames, makemore (downloaded once), or a text file, an item a line."""
    split: Literal["lecture", "makemore"] = "lecture"
    """As of `jaxninja train`."""
    order: int = 5
    """The highest n: its models predict from n - 1 symbols."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the table to this file as well."""


class BaselineError(UserError, ValueError):
    """An option that makes no sense; the message says which."""


def main(args: list[str]) -> int:
    o = parsed(Options, "baseline", args)
    if not 1 <= o.order <= HIGHEST:
        raise BaselineError(f"order is {o.order}, expected 1 to {HIGHEST}")
    if o.json and not o.json.parent.is_dir():
        missing = o.json.parent
        raise BaselineError(f"json is {o.json}, but there is no folder {missing}")
    dataset = load_dataset(o.data, max(o.order - 1, 1), o.split)
    found = baselines(dataset.parts, len(dataset.vocabulary), o.order)
    print(f"{printable(o.data)}, split {o.split}; nats a symbol, less is better")
    for line in table(found):
        print(line)
    print("clean val: the items of val that do not occur in train")
    if o.json:
        _write(o.json, found)
        print(f"written    {printable(str(o.json))}")
    return 0


def table(found: Sequence[Baseline]) -> Iterator[str]:
    parts = list(found[0].losses)
    yield f"  {'':<18}" + "".join(f"{part.replace('_', ' '):>11}" for part in parts)
    for row in found:
        shown = (f"{loss:11.4f}" for loss in row.losses.values())
        yield f"  {row.name:<18}" + "".join(shown).replace("nan", "none")


def _write(path: Path, found: Sequence[Baseline]) -> None:
    rows = [
        {"name": row.name, "order": row.order}
        | {f"{k}_loss": v if v == v else None for k, v in row.losses.items()}
        for row in found
    ]
    atomic.write_text(path, json.dumps(rows, indent=1) + "\n")

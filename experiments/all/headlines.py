"""Tables of pages that are made from those of one or several parts."""

import re
from collections.abc import Callable
from typing import NamedTuple

from experiments.checker_benchmark.strangers import HALVES

Cells = dict[str, str]  # of a row, by the heads of the columns


class Headline(NamedTuple):
    """A table.

    Attributes:
        parts: whose outputs it is made from.
        make: the tables of each -> Markdown.
    """

    parts: tuple[str, ...]
    make: Callable[..., str]


def models(makemore: list[str], benchmark: list[str]) -> str:
    """Parameters and losses of a few models, and their speed beside `jax.grad`."""
    trained, speeds = by_name(makemore[0]), by_name(benchmark[0])
    head = ("model", "parameters", "test loss, 10,000 steps", "by hand / `jax.grad`",
            "`torch.compile` / `jax.grad`")  # fmt: skip
    rows = [
        (
            f"`{name}`",
            trained[f"`{name}`"]["parameters"],
            trained[f"`{name}`"]["test"],
            _in_brackets(speeds[name]["as it trains"]),
            _in_brackets(speeds[name]["`torch.compile`"]),
        )
        for name in ("gru", "lstm", "mlp", "transformer")
    ]
    return table(head, rows, "|---|" + "---:|" * 4)


NAMES = {
    "check_vjp": "`jaxninja.check_vjp`",
    "check_grads f64": "`check_grads`, float64",
    "check_grads f32": "`check_grads`, float32",
    "gradcheck fast": "`torch.autograd.gradcheck`, fast",
    "chex f32": "`chex`, float32",
    "sum allclose f32": "`allclose` of a sum's gradient",
}


def checkers(ours: list[str], peers: list[str]) -> str:
    """What each checker finds, and what it says of right rules."""
    found = by_name(ours[0]) | by_name(peers[0])
    columns = {
        "mutants": "mutants found",
        "field bugs": "bugs of the field found",
        "alarms on clean rules": "alarms on right rules",
    }
    rows = [
        (shown, *(found[name][column] for column in columns))
        for name, shown in NAMES.items()
    ]
    return table(("checker", *columns.values()), rows)


def detection(ours: list[str], peers: list[str]) -> str:
    """What each checker finds, by kind, and no times: others ran beside these parts."""
    found = by_name(ours[0]) | by_name(peers[0])
    columns = ("mutants", "single", "double", "use of the cotangent", "field bugs",
               "alarms on clean rules")  # fmt: skip
    rows = [(name, *(cells[c] for c in columns)) for name, cells in found.items()]
    return table(("checker", *columns), rows)


def strangers(found: list[str]) -> str:
    """A row for each half: the wrong twins of rules and bugs, and the right rules; none
    for those that were gathered after the last run."""
    of_twins = ("caught, right twin passing", "detected at all", "right class",
                "other, verified", "wrong name", "right gradients")  # fmt: skip
    of_rules = ("alarms", "crashes", "not tested")
    rows = []
    for half, twins, right in zip(HALVES, found[::2], found[1::2], strict=False):
        judged, passed = by_name(twins)["both"], by_name(right)["at the example"]
        cells = [judged[c] for c in of_twins] + [passed[c] for c in of_rules]
        rows.append((half, *cells))
    return table(("half", *of_twins, *of_rules), rows)


def by_name(text: str) -> dict[str, Cells]:
    """The rows of a Markdown table by their first cell."""
    head, _, *rows = (line.strip("| ").split(" | ") for line in text.splitlines())
    return {row[0]: dict(zip(head, row, strict=False)) for row in rows}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]], rule: str = "") -> str:
    lines = [f"| {' | '.join(map(_in_thousands, row))} |" for row in (head, *rows)]
    return "\n".join([lines[0], rule or "|" + "---|" * len(head), *lines[1:]])


def _in_thousands(cell: str) -> str:
    """1,982 for 1982; decimals stay."""
    return re.sub(r"(?<![\d.])\d{4,}", lambda found: f"{int(found[0]):,}", cell)


def _in_brackets(cell: str) -> str:
    """1.36 of "700 (1.36)"."""
    return cell.partition("(")[2].rstrip(")")


HEADLINES = {
    "models-in-short": Headline(("makemore", "models"), models),
    "checkers-in-short": Headline(("checker", "checker-peers"), checkers),
    "checkers": Headline(("checker", "checker-peers"), detection),
    "strangers-by-half": Headline(("strangers",), strangers),
}

"""Every model of makemore, and what counting reaches on the same names, in one table.

    python -m experiments.makemore --data makemore [--steps 10000] [--models gru lstm]

Each model trains by its recipe (see `jaxninja/training/options/recipes.py`), makemore's
on makemore.py's split and the lectures' on theirs, or for as many steps as are given.
A run that was cut goes on from its last checkpoint, and one that ended is read: the
command can be given again and again until the table is whole, which it writes as
Markdown after each run.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxninja
from jaxninja import TrainConfig
from jaxninja.data.datasets import load_dataset
from jaxninja.data.ngrams import baselines
from jaxninja.storage import atomic
from jaxninja.training.progress import Lines
from jaxninja.training.runs.run import Run

# What others reached on makemore's names, as train / test, of wavenet's as train / val.
PEER = "makemore.py: {} / {} at step {}"
REFERENCES = {
    "bigram": "counting, all names: 2.4540",
    "mlp": PEER.format("2.0355", "2.0702", "10,000"),
    "bow": PEER.format("2.1873", "2.1848", "10,000"),
    "rnn": PEER.format("2.0705", "2.0709", "10,000"),
    "gru": PEER.format("2.1457", "2.1425", "2,000"),
    "lstm": "",
    "transformer": "makemore's README: test about 1.92",
    "ninja": "the lecture: train 2.0705, val 2.1099 at step 200,000",
    "flat": "the lecture: train 1.918, val 2.027 at step 200,000",
    "hierarchical": "the lecture: train 1.912, val 2.022 at step 200,000",
    "wavenet": "the lecture: train 1.7690, val 1.9937 at step 200,000",
}
# The steps of the fifth lecture's ladder below wavenet; there a layer has no bias.
LADDER: dict[str, dict[str, Any]] = {
    "flat": {
        "model": "ninja",
        "context": 8,
        "route": "rules",
        "init": "deep",
        "gain": 1.0,
        "bn_momentum": 0.1,
        "lr_drop_at": 150_000,
    },
    "hierarchical": {"model": "wavenet", "embedding": 10, "hidden": 68},
}
HEAD = ("model", "split", "parameters", "steps", "seconds")
PARTS = ("train", "val", "clean_val", "test")


def config(name: str, data: str, runs: str, steps: int | None) -> TrainConfig:
    """The recipe of a model, or a step of the ladder, under its own name."""
    given = LADDER.get(name, {"model": name})
    books = {"data": data, "runs": runs, "name": name, "checkpoint_every": 1_000}
    own = TrainConfig(**given, **books)
    if steps is None:
        return own
    # a shorter run lowers its learning rate at the same share of its way
    at = own.lr_drop_at and own.lr_drop_at * steps // own.steps
    return dataclasses.replace(own, steps=steps, lr_drop_at=at)


def trained(wanted: TrainConfig, say: Any) -> Run:
    """The run of a configuration: read, gone on with, or begun."""
    path = Path(wanted.runs, str(wanted.name))
    if not path.exists():
        return jaxninja.train(wanted, progress=Lines(say))
    if (path / "result.json").exists():
        run = jaxninja.load(path)
        if run.step >= wanted.steps:
            return run
    return jaxninja.train(wanted, resume=path, progress=Lines(say))


def row_of(name: str, run: Run) -> list[str]:
    assert run.result is not None
    result: Any = run.result
    split, parameters = run.config.split, f"{result['parameters']:,}"
    numbers = [split, parameters, f"{result['steps']:,}", f"{result['seconds']:.0f}"]
    losses = [shown(result[f"{part}_loss"]) for part in PARTS]
    return [f"`{name}`", *numbers, *losses, REFERENCES[name]]


def counted(data: str, split: str) -> Iterator[list[str]]:
    """What counting reaches: a row for each model of order 2 to 5."""
    dataset = load_dataset(data, 4, split)
    for found in baselines(dataset.parts, len(dataset.vocabulary)):
        if found.order > 1:
            losses = [shown(found.losses[part]) for part in PARTS]
            yield [found.name, split, "", "", "", *losses, ""]


def shown(loss: float | None) -> str:
    """A cell of a table; nothing where there is no loss."""
    return "" if loss is None or loss != loss else f"{loss:.4f}"


def markdown(rows: list[list[str]]) -> str:
    """The table, with numbers to the right."""
    head = [*HEAD, *(part.replace("_", " ") for part in PARTS), "reference"]
    marks = ["---", "---", *["---:"] * (len(head) - 3), "---"]
    lines = (f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default="makemore")
    parser.add_argument("--runs", default="runs/makemore")
    parser.add_argument("--steps", type=int, help="of each model; its recipe's if not")
    parser.add_argument("--models", nargs="+", default=list(REFERENCES))
    options = parser.parse_args()
    for name in options.models:
        if name not in REFERENCES:
            parser.error(f"no model {name!r}, expected of {', '.join(REFERENCES)}")
    out = Path(options.runs)
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        row for split in ("makemore", "lecture") for row in counted(options.data, split)
    ]
    for name in options.models:
        wanted = config(name, options.data, options.runs, options.steps)
        rows.append(row_of(name, trained(wanted, lambda line: print(line, flush=True))))
        atomic.write_text(out / "table.md", markdown(rows))
    print(markdown(rows))


if __name__ == "__main__":
    main()

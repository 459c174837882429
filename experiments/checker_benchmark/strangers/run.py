"""Run a half: `python -m experiments.checker_benchmark.strangers.run --half working`.

Each check is a line of the records file; a run that is stopped goes on where it was.
The wrong twins come first, then the right rules over seeds, scales and dtypes.
"""

import multiprocessing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from experiments.checker_benchmark.run import RESULTS, _collect, read
from experiments.checker_benchmark.strangers import CLOSED, HALVES, half
from experiments.checker_benchmark.strangers.results import page
from experiments.checker_benchmark.strangers.tasks import Unit, work


@dataclass(frozen=True)
class Config:
    """The strangers through check_vjp.

    Attributes:
        half: of one of the gatherings.
        seeds: how many seeds a right rule is checked with; 0 for wrong twins alone.
        names: only these cases; all by default.
        processes: how many at once.
        records: JSON lines to append to; a unit that is complete there is skipped.
        markdown: where to write the tables; they are printed in any case.

    Of the half that is closed no case is told by its name.
    """

    half: Literal[tuple(HALVES)] = "working"
    seeds: int = 0
    names: tuple[str, ...] = ()
    processes: int = 1
    records: Path | None = None
    markdown: Path | None = None


def units(config: Config) -> list[Unit]:
    """Twins of all cases, then clean checks seed by seed, so that all get some."""
    names = [
        c.name for c in half(config.half) if c.name in config.names or not config.names
    ]
    wanted = [Unit(config.half, name, "twins") for name in names]
    step = 4
    for first in range(0, config.seeds, step):
        seeds = (first, min(first + step, config.seeds))
        wanted += [Unit(config.half, name, "clean", seeds) for name in names]
    return wanted


def run(config: Config) -> list[dict]:
    """Do what is missing in the records file; returns the records of the run."""
    path = config.records or RESULTS / f"strangers_{config.half}.jsonl"
    finished = {r["unit"] for r in read(path)}
    wanted = units(config)
    missing = [unit for unit in wanted if unit.key not in finished]
    path.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    pool = context.Pool(config.processes, maxtasksperchild=25)
    with pool, path.open("a") as file:
        _collect(pool.imap_unordered(work, missing), file, len(missing))
    keys = {unit.key for unit in wanted}
    return [r for r in read(path) if r["unit"] in keys]


def main() -> None:
    config = tyro.cli(Config)
    text = page(run(config), totals=config.half == CLOSED)
    print(text)
    if config.markdown:
        config.markdown.write_text(text)


if __name__ == "__main__":
    main()

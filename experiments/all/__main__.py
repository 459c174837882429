"""Every result made again, in one go that can be stopped and gone on with.

    python -m experiments.all [--only NAME ...] [--again] [--list] [--pages]

Runs what the index (experiments/README.md) lists with an answer, on a machine with
nothing else to do: first what has no time in its answer, a part on each core, then the
others one after another. What a part prints goes into results/output/NAME.txt, its
tables into the pages, and results/measured.json says of each part when, where and with
which versions it ran, how long it took, and the hash of the code that it measured. A
part whose code has not changed since is left alone. Ctrl-C loses only the commands
under way. `--list` runs nothing and says which results are older than their code.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from experiments.all import lanes, pages
from experiments.all.parts import PARTS, Part
from experiments.all.progress import Progress, told
from experiments.all.staleness import FRESH, RESULTS, age, minutes, record, recorded
from experiments.benchmarks.machine import about

STOPPED = 130  # as a shell has it


def main(arguments: list[str] | None = None, parts: Mapping[str, Part] = PARTS) -> int:
    options = _parsed(arguments, parts)
    rows = recorded(options.results)
    if options.list:
        for name in options.only:
            row, part = rows.get(name), parts[name]
            about_minutes = f"{minutes(name, row, parts):.0f} min"
            how = "alone" if part.timed else ""
            print(f"{name:<24}{about_minutes:>7} {how:<6} {age(part, row)}")
        return 0
    if options.pages:
        print("\n".join(pages.update(options.results, rows)) or "nothing has changed")
        return 0
    expected = {name: minutes(name, rows.get(name), parts) for name in options.only}
    stale = {name for name in options.only if age(parts[name], rows.get(name)) != FRESH}
    todo = {
        name: parts[name]
        for name in sorted(options.only, key=lambda name: -expected[name])
        if options.again or name in stale
    }
    try:
        failed = _run(todo, expected, options.results)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped; the same command goes on with what is left")
        return STOPPED
    if failed:
        print(f"failed: {', '.join(failed)}; their output is in {options.results}")
    return 1 if failed else 0


def _parsed(arguments: list[str] | None, parts: Mapping[str, Part]):
    parser = argparse.ArgumentParser(prog="python -m experiments.all")
    add = parser.add_argument
    add("--only", nargs="+", choices=list(parts), default=list(parts))
    add("--again", action="store_true", help="those whose code is the same, too")
    add("--list", action="store_true", help="say how old each result is")
    add("--pages", action="store_true", help="write the tables into the pages again")
    elsewhere = "a folder; pages are written from the usual one only"
    add("--results", type=Path, default=RESULTS, help=elsewhere)
    return parser.parse_args(arguments)


def _run(todo: Mapping[str, Part], expected: Mapping[str, float], results: Path):
    """Run them; returns the names of those that failed."""
    here, failed, told_of = about(), [], Progress(todo, expected, _lanes())
    timed = sum(part.timed for part in todo.values())
    print(f"{len(todo)} parts to run, {timed} of them alone: their answer is a time")
    print(f"about {told(told_of.left())} in all", flush=True)

    def ended(name: str, row: Mapping) -> None:
        rows = recorded(results) | {name: {**row, **here}}
        record(results, rows)
        told_of.ended(name, row["exit"])
        if row["exit"]:
            failed.append(name)
            told_of.quote((results / "output" / f"{name}.txt").read_text())
        elif results == RESULTS:
            _into_pages(results, rows, told_of)

    async def all_of_them() -> None:
        ticking = asyncio.create_task(told_of.tick())
        try:
            await lanes.run(todo, results, told_of.began, ended)
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking

    asyncio.run(all_of_them())
    return failed


def _into_pages(results: Path, rows: Mapping, told_of: Progress) -> None:
    """A table that is not as its page expects it stops no other part."""
    try:
        pages.update(results, rows)
    except (LookupError, ValueError) as error:
        told_of.say(f"no page was written: {error!r}")


def _lanes() -> int:
    return len(lanes.usable_cores())


if __name__ == "__main__":
    sys.exit(main())

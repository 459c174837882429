"""`jaxninja exercise`: the workbook, exercises 1 to 4 of the lecture."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from jaxninja.training.devices import need_device
from jaxninja.workbook import progress, templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.process.client import LIMIT, Worker
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.report import Report

Number = Annotated[Literal[1, 2, 3, 4], tyro.conf.Positional]
Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
EXIT = {"ok": 0, "wrong": 1, "error": 1, "gap": 3}
POLL = 0.2  # seconds between looks at the files
DAY = 86_400  # seconds


@dataclass(frozen=True)
class Start:
    """Make the four exercises in a folder; files that are there stay as they are."""

    dir: Annotated[str, tyro.conf.Positional] = progress.FOLDER
    """The folder."""


@dataclass(frozen=True)
class Check:
    """Check an exercise, backwards, down to the first wrong gradient.

    Exit code 0: done. 1: a gradient is wrong, or the file does not run. 3: right as far
    as it goes.
    """

    number: Number
    """1 to 4."""
    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""
    all: Flag = False
    """Go on after the first wrong gradient: which errors are inherited?"""
    cost: Flag = False
    """What the finished exercise costs, beside jax.grad."""
    limit: float = LIMIT
    """Seconds that one gradient may take."""


@dataclass(frozen=True)
class Watch:
    """Check an exercise each time that its file is saved; Ctrl-C ends it."""

    number: Annotated[Literal[1, 2, 3, 4] | None, tyro.conf.Positional] = None
    """1 to 4; by default whichever is saved."""
    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""
    limit: float = LIMIT
    """Seconds that one gradient may take."""


@dataclass(frozen=True)
class List:
    """What is done, and what is to do."""

    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""


@dataclass(frozen=True)
class Hint:
    """One more hint: shape, rule, formula, one line, solution with derivation."""

    place: Annotated[str, tyro.conf.Positional]
    """N.NAME, as 1.counts."""
    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""


@dataclass(frozen=True)
class Reset:
    """An exercise as it came; what you wrote is kept beside it."""

    number: Number
    """1 to 4."""
    dir: str | None = None
    """The workbook's folder; by default here, else ./workbook."""


def main(args: list[str]) -> int:
    kinds = {
        "start": Start,
        "check": Check,
        "watch": Watch,
        "list": List,
        "hint": Hint,
        "reset": Reset,
    }
    options = tyro.extras.subcommand_cli_from_dict(
        kinds, prog="jaxninja exercise", args=args or ["--help"]
    )
    run = {Start: _start, Check: _check, Watch: _watch, List: _list, Hint: _hint}
    return run.get(type(options), _reset)(options)


def _start(options: Start) -> int:
    made = progress.start(options.dir)
    for path in made:
        print(path)
    kept = len(EXERCISES) - len(made)
    if kept:
        print(f"{kept} of {len(EXERCISES)} exercises were there already, and are kept")
    print(f"next: fill {Path(options.dir) / EXERCISES[1].file}, and while you do:")
    print(f"  jaxninja exercise watch --dir {options.dir}")
    return 0


def _check(options: Check) -> int:
    folder = progress.find(options.dir)
    with _worker(options.limit) as worker:
        report = _checked(worker, folder, options.number, options.all)
        if options.cost:
            _cost(folder, report)
    return EXIT[report.status]


def _worker(limit: float) -> Worker:
    if not 0 < limit <= DAY:
        raise WorkbookError(
            f"--limit {limit:g}: expected seconds, more than 0, a day at most"
        )
    need_device()
    return Worker(limit)


def _checked(worker: Worker, folder: Path, number: int, everything=False) -> Report:
    """Check, record and print."""
    text = progress.read(folder, number)
    report = worker.check(number, text, EXERCISES[number].file, everything)
    state = progress.load(folder)
    report = replace(report, new=tuple(state.record(report)))
    state.save()
    print(report.table())
    count = len(state.right(number)), len(EXERCISES[number].names)
    print(f"exercise {number}: {count[0]} of {count[1]} right, {report.seconds:.2f} s")
    sys.stdout.flush()
    return report


def _cost(folder: Path, report: Report) -> None:
    if not report.ok:
        print("no cost: an exercise that is not done has none")
        return
    from jaxninja.workbook.costs import cost

    print(cost(report.number, progress.read(folder, report.number)))


def _watch(options: Watch) -> int:
    folder = progress.find(options.dir)
    numbers = [options.number] if options.number else list(EXERCISES)
    worker = _worker(options.limit)
    print(f"watching {folder}/; Ctrl-C ends it", flush=True)
    with worker:
        try:
            for number in _saved(folder, numbers):
                print(f"\n{EXERCISES[number].file}, {time.strftime('%H:%M:%S')}")
                try:
                    _checked(worker, folder, number)
                except WorkbookError as error:
                    print(error, flush=True)
        except KeyboardInterrupt:
            print()
    return 0


def _saved(folder: Path, numbers: list[int]) -> Iterator[int]:
    """The first exercise that is not done, at once; then each that is saved."""
    state = progress.load(folder)
    todo = [n for n in numbers if len(state.right(n)) < len(EXERCISES[n].names)]
    seen = {n: _stamp(folder, n) for n in numbers}
    yield (todo or numbers)[0]
    while True:
        for number in numbers:
            stamp = _stamp(folder, number)
            if stamp != seen[number] and stamp is not None:
                seen[number] = stamp
                yield number
        time.sleep(POLL)


def _stamp(folder: Path, number: int) -> tuple[int, int] | None:
    """What changes when a file is saved; None while an editor replaces it."""
    try:
        status = (folder / EXERCISES[number].file).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _list(options: List) -> int:
    folder = progress.find(options.dir)
    state = progress.load(folder)
    for number, exercise in EXERCISES.items():
        right = state.right(number)
        done = "done" if state.is_done(number) else ""
        head = f"{len(right)} of {len(exercise.names)}"
        print(f"exercise {number}  {head:<9} {exercise.title:<40} {done}".rstrip())
        todo = [name for name in exercise.names if name not in right]
        wrong = [n for n in todo if state.entry(number, n)["status"] == "wrong"]
        if wrong:
            print(f"            wrong: {', '.join(wrong)}")
        elif todo and right:
            print(f"            next: {todo[0]}")
    return 0


def _hint(options: Hint) -> int:
    folder = progress.find(options.dir)
    try:
        number, name = templates.find(options.place)
    except ValueError as error:
        raise WorkbookError(str(error)) from None
    state = progress.load(folder)
    rung = state.next_rung(number, name)
    state.save()
    print(templates.ladder(number, name, rung))
    return 0


def _reset(options: Reset) -> int:
    folder = progress.find(options.dir)
    kept = progress.reset(folder, options.number)
    print(f"{folder / EXERCISES[options.number].file} is as it came")
    if kept.exists():
        print(f"what you wrote is in {kept}")
    return 0

"""`jaxninja exercise`: the workbook, exercises 1 to 4 of the lecture and the next."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxninja.cli.process.arguments import parsed
from jaxninja.cli.workbook import importing, lists, screen
from jaxninja.cli.workbook.options import (
    Again,
    Check,
    Hint,
    Import,
    List,
    Page,
    Reset,
    Start,
    Watch,
)
from jaxninja.cli.workbook.watching import Watch as Watching
from jaxninja.storage import atomic
from jaxninja.training.machine.devices import need_device
from jaxninja.workbook import progress, templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.learner import again, finished
from jaxninja.workbook.process.client import Worker
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.pytorch.importer import Imported
from jaxninja.workbook.report import Report
from jaxninja.workbook.texts.languages import sentence, speaking

EXIT = {"ok": 0, "wrong": 1, "error": 1, "gap": 3}
DAY = 86_400  # seconds


def main(args: list[str]) -> int:
    kinds: dict[str, Any] = {
        "start": Start,
        "check": Check,
        "watch": Watch,
        "list": List,
        "hint": Hint,
        "again": Again,
        "page": Page,
        "import": Import,
        "reset": Reset,
    }
    options = parsed(kinds, "exercise", args or ["--help"])
    run = {Start: _start, Check: _check, Watch: _watch, List: _list, Hint: _hint}
    run |= {Again: _again, Page: _page, Reset: _reset, Import: _import}
    with speaking(options.lang or _remembered(options)):
        return run[type(options)](options)


def _remembered(options: Any) -> str:
    """The language of the workbook that a command is on."""
    try:
        return progress.load(Path(options.dir or progress.nearest())).language
    except (WorkbookError, OSError):  # the command itself says so, if it matters
        return "en"


def _start(options: Start) -> int:
    made = progress.start(options.dir, options.lang)
    for path in made:
        print(path)
    kept = len(EXERCISES) - len(made)
    if kept:
        print(sentence("kept", kept=kept, count=len(EXERCISES)))
    print(sentence("next", path=Path(options.dir) / EXERCISES[1].file))
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
        raise WorkbookError(sentence("limit", limit=f"{limit:g}"))
    need_device()
    return Worker(limit)


def _checked(worker: Worker, folder: Path, number: int, everything=False) -> Report:
    """Check, print and record: a progress that cannot be kept hides no result."""
    text = progress.read(folder, number)
    report = worker.check(number, text, EXERCISES[number].file, everything)
    return _kept(folder, report)


def _kept(folder: Path, report: Report) -> Report:
    """Print and record a report."""
    number, problem = report.number, None
    try:
        state = progress.load(folder)
        report = replace(report, new=tuple(state.record(report)))
        state.save()
    except WorkbookError as error:
        problem = error
    print(screen.shown(report))
    right = sum(row.status == "ok" for row in report.rows)
    shapes = sum(row.status == "shape" for row in report.rows)
    more = sentence("more shapes", count=shapes) if shapes else ""
    count = screen.bar(right, len(EXERCISES[number].names))
    facts = dict(count=count, more=more, seconds=f"{report.seconds:.2f}")
    print(screen.text([sentence("right", number=number, **facts)]))
    if problem:
        print(screen.text([str(problem)]))
    sys.stdout.flush()
    return report


def _cost(folder: Path, report: Report) -> None:
    if not report.ok:
        print(sentence("no cost"))
        return
    from jaxninja.workbook.costs import cost

    print(cost(report.number, progress.read(folder, report.number)))


def _import(options: Import) -> int:
    folder = Path(options.dir or progress.nearest())
    with _worker(options.limit) as worker:

        def check(one: Imported) -> Report:
            file = EXERCISES[one.number].file
            report = worker.check(one.number, one.complete, file, True)
            return _kept(folder, one.judged(report))

        reports = importing.run(options.notebook, folder, check)
    codes = {EXIT[report.status] for report in reports}
    return next(code for code in (1, 3, 0) if code in codes)


def _watch(options: Watch) -> int:
    folder = progress.find(options.dir)
    numbers = [options.number] if options.number else list(EXERCISES)
    worker = _worker(options.limit)
    print(sentence("watching", folder=folder), flush=True)
    with worker:

        def check(number: int, everything: bool) -> Report:
            return _checked(worker, folder, number, everything)

        try:
            Watching(folder, numbers, check).run()
        except KeyboardInterrupt:
            print()
    return 0


def _list(options: List) -> int:
    folder = progress.find(options.dir)
    state = progress.load(folder)
    if options.place is None:
        lists.overview(state)
    elif options.place in map(str, EXERCISES):
        print(lists.gradients(state, int(options.place)))
    else:
        number, name = _found(options.place)
        if name not in state.right(number):
            how = templates.how_to_ask(number, name, in_notebook=False)
            facts = dict(place=f"{number}.{name}", how=how)
            raise WorkbookError(sentence("not right yet", **facts))
        print(screen.text(templates.explanation(number, name)))
    return 0


def _found(place: str) -> tuple[int, str]:
    try:
        return templates.find(place)
    except ValueError as error:
        raise WorkbookError(str(error)) from None


def _hint(options: Hint) -> int:
    folder = progress.find(options.dir)
    number, name = _found(options.place)
    state = progress.load(folder)
    rung = state.next_rung(number, name)
    state.save()
    print(screen.text(templates.ladder(number, name, rung).splitlines()))
    return 0


def _again(options: Again) -> int:
    folder = progress.find(options.dir)
    state = progress.load(folder)
    if options.place is not None:
        number, name = _found(options.place)
    elif (found := again.due(state)) is not None:
        number, name = found
    else:
        raise WorkbookError(_too_young(again.oldest(state)))
    kept = again.blank(folder, number, name)
    path = folder / EXERCISES[number].file
    print(sentence("gap again", variable=f"d{name}", path=path))
    print(sentence("file kept", path=kept))
    return 0


def _too_young(oldest: tuple[int, str, float] | None) -> str:
    if oldest is None:
        return sentence("nothing is old")
    number, name, days = oldest
    return sentence("not so old", place=f"{number}.{name}", days=f"{days:.0f}")


def _page(options: Page) -> int:
    folder = progress.find(options.dir)
    text = finished.page(folder)
    try:
        atomic.write_text(options.out, text)
    except OSError as error:
        facts = dict(path=options.out, why=error.strerror)
        raise WorkbookError(sentence("cannot write", **facts)) from None
    print(sentence("written", path=options.out))
    return 0


def _reset(options: Reset) -> int:
    folder = progress.find(options.dir)
    kept = progress.reset(folder, options.number)
    print(sentence("as it came", path=folder / EXERCISES[options.number].file))
    if kept:
        print(sentence("what you wrote", path=kept))
    return 0

"""`jaxninja exercise import`: a learner's notebook as files of the workbook."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxninja.cli.workbook import screen
from jaxninja.workbook import progress
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.pytorch.importer import Imported, imported
from jaxninja.workbook.report import Report
from jaxninja.workbook.templates import template


def run(
    notebook: Path, folder: Path, check: Callable[[Path, int], Report]
) -> list[Report]:
    """Write what a notebook has, say what it lacks, check it.

    Args:
        notebook: the file.
        folder: the workbook's, made if it is not there.
        check: of a folder and an exercise: checks it, and prints what it found.

    Raises:
        WorkbookError: an exercise that the notebook has is begun in the folder.
    """
    found = imported(notebook)
    _refuse_begun(folder, found)
    progress.start(folder)
    reports = []
    for one in found:
        _write(folder / EXERCISES[one.number].file, one.text)
        _tell(folder, one)
        reports.append(check(folder, one.number))
    return reports


def _refuse_begun(folder: Path, found: Sequence[Imported]) -> None:
    """An exercise as it came may be written over; anything else is somebody's work."""
    for one in found:
        exercise = EXERCISES[one.number]
        path = folder / exercise.file
        if path.exists() and progress.read(folder, one.number) != template(exercise):
            raise WorkbookError(
                f"{path} is begun already, and is kept: import into another folder "
                f"with --dir, or `jaxninja exercise reset {one.number}` first"
            )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WorkbookError(f"{path} cannot be written: {error.strerror}") from None


def _tell(folder: Path, one: Imported) -> None:
    exercise = EXERCISES[one.number]
    count = f"{len(one.found)} of {len(exercise.names)} gradients"
    lines = [f"exercise {one.number}: {count} -> {folder / exercise.file}"]
    for place, text, why in one.left:
        lines.append(f"  {place}: no translation of `{text}`: {why}")
    lines += [f"  {remark}" for remark in one.remarks]
    print(screen.text(lines))

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
from jaxninja.workbook.texts.languages import LANGUAGES, sentence, speaking


def run(
    notebook: Path, folder: Path, check: Callable[[Imported], Report]
) -> list[Report]:
    """Write what a notebook has, say what it lacks, check it.

    Args:
        notebook: the file.
        folder: the workbook's, made if it is not there.
        check: an exercise, and print what it found.

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
        reports.append(check(one))
    return reports


def _refuse_begun(folder: Path, found: Sequence[Imported]) -> None:
    """An exercise as it came may be written over; anything else is somebody's work."""
    for one in found:
        exercise = EXERCISES[one.number]
        path = folder / exercise.file
        if path.exists() and not _is_as_it_came(folder, one.number):
            raise WorkbookError(sentence("begun", path=path, number=one.number))


def _is_as_it_came(folder: Path, number: int) -> bool:
    text, exercise = progress.read(folder, number), EXERCISES[number]
    for language in LANGUAGES:
        with speaking(language):
            if text == template(exercise):
                return True
    return False


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        text = sentence("cannot write", path=path, why=error.strerror)
        raise WorkbookError(text) from None


def _tell(folder: Path, one: Imported) -> None:
    exercise = EXERCISES[one.number]
    facts = dict(count=len(one.found), of=len(exercise.names))
    path = folder / exercise.file
    lines = [sentence("imported", number=one.number, path=path, **facts)]
    for place, text, why in one.left:
        lines.append(f"  {sentence('left', place=place, text=text, why=why)}")
    lines += [f"  {remark}" for remark in one.remarks]
    print(screen.text(lines))

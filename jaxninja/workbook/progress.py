"""The learner's folder: files to fill, and a file that keeps the progress."""

import json
import time
from pathlib import Path
from typing import Any

from jaxninja.errors import UserError
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.report import GAP, OK, Report
from jaxninja.workbook.templates import rungs, template
from jaxninja.workbook.texts.languages import current, known, sentence

FILE = "progress.json"
FOLDER = "workbook"
ALL = "exercise"  # the entry of an exercise as a whole, beside its names


class WorkbookError(UserError, ValueError):
    """A folder or a file of the workbook that is not there, or not readable."""


def start(folder: str | Path = FOLDER, language: str | None = None) -> list[Path]:
    """Make the exercises in a folder; files that are there already stay as they are.

    Args:
        folder: is made if it is not there.
        language: that the folder's commands speak from now on; None leaves it, and is
            the current one in a new folder.

    Returns:
        The files that were made.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise WorkbookError(sentence("is a file", folder=folder))
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for exercise in EXERCISES.values():
        path = folder / exercise.file
        if not path.exists():
            path.write_text(template(exercise), encoding="utf-8")
            made.append(path)
    if language is not None or not (folder / FILE).exists():
        state = load(folder)
        state.language = language or current()
        state.save()
    return made


def reset(folder: Path, number: int) -> Path | None:
    """The exercise as it came; what was written is kept beside it.

    Returns:
        Where what was written is kept, exercise1.py.1, .2, ...; None where nothing was.
    """
    exercise = EXERCISES[number]
    path, kept = folder / exercise.file, None
    text = template(exercise)
    if path.exists() and path.read_bytes() != text.encode():
        kept = path.rename(free_name(path))
    path.write_text(text, encoding="utf-8")
    progress = load(folder)
    progress.done.pop(str(number), None)
    progress.save()
    return kept


def free_name(path: Path) -> Path:
    """exercise1.py.1, .2, ...: the first that is not there."""
    tries = (path.with_name(f"{path.name}.{k}") for k in range(1, 10**6))
    return next(one for one in tries if not one.exists())


def find(folder: str | None) -> Path:
    """The learner's folder: as given, else here, else ./workbook.

    Raises:
        WorkbookError: there is none.
    """
    folder = folder or nearest()
    if not _is_workbook(Path(folder)):
        raise WorkbookError(sentence("no workbook", folder=folder, start=folder))
    return Path(folder)


def nearest() -> str:
    """The folder that is meant where none is named."""
    return "." if _is_workbook(Path()) else FOLDER


def _is_workbook(folder: Path) -> bool:
    files = [FILE, *(exercise.file for exercise in EXERCISES.values())]
    return any((folder / file).is_file() for file in files)


def read(folder: Path, number: int) -> str:
    """The text of an exercise's file.

    Raises:
        WorkbookError: it is not there, or not UTF-8.
    """
    path = folder / EXERCISES[number].file
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise WorkbookError(sentence("not there", path=path, folder=folder)) from None
    except UnicodeDecodeError as error:
        raise WorkbookError(
            sentence("not UTF-8", path=path, byte=error.start)
        ) from None


class Progress:
    """What was passed and which hints were read.

    Attributes:
        folder: where it is kept.
        done: exercise -> name -> {"status": ..., "hints": rungs read, "since": when it
            became right, in seconds}.
        language: that the learner is spoken to in.
    """

    def __init__(
        self,
        folder: Path,
        done: dict[str, dict[str, dict[str, Any]]],
        language: str = "en",
    ):
        self.folder, self.done, self.language = folder, done, language

    def entry(self, number: int, name: str) -> dict[str, Any]:
        blank = {"status": GAP, "hints": 0}
        return self.done.setdefault(str(number), {}).setdefault(name, blank)

    def record(self, report: Report) -> list[str]:
        """Enter a report; returns the names that are right for the first time."""
        new = []
        for row in report.rows:
            entry = self.entry(report.number, row.name)
            if row.status == OK and not entry.get("passed"):
                new.append(row.name)
                entry["passed"] = True
            if row.status == OK and entry["status"] != OK:
                entry["since"] = round(time.time())
            entry["status"] = row.status
        self.entry(report.number, ALL)["status"] = report.status
        return new

    def is_done(self, number: int) -> bool:
        """All gradients were right, and were returned, when it was checked last."""
        return self.entry(number, ALL)["status"] == OK

    def next_rung(self, number: int, name: str) -> int:
        """The next rung of the ladder of hints, from 1; the last one stays."""
        entry = self.entry(number, name)
        entry["hints"] = min(entry["hints"] + 1, len(rungs(number, name)))
        return entry["hints"]

    def right(self, number: int) -> list[str]:
        names = EXERCISES[number].names
        return [n for n in names if self.entry(number, n)["status"] == OK]

    def save(self) -> None:
        state = {"version": 1, "language": self.language, "done": self.done}
        text = json.dumps(state, indent=1)
        partial = self.folder / f"{FILE}.partial"
        try:
            partial.write_text(text + "\n", encoding="utf-8")
            partial.replace(self.folder / FILE)
        except OSError as error:
            facts = dict(path=self.folder / FILE, why=error.strerror)
            raise WorkbookError(sentence("not saved", **facts)) from None


def load(folder: Path) -> Progress:
    """Read the progress.

    Raises:
        WorkbookError: the file is not what `save` writes.
    """
    path = folder / FILE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        language = known(state.get("language", "en"))
        progress = Progress(folder, state["done"], language)
        for number in EXERCISES:
            progress.right(number)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WorkbookError(sentence("not readable", path=path)) from None
    except FileNotFoundError:
        progress = Progress(folder, {})
    return progress

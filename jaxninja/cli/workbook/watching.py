"""`jaxninja exercise watch`: a check at each save, and keys between them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jaxninja.cli.workbook import keys, lists, screen
from jaxninja.workbook import progress, templates
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.progress import WorkbookError
from jaxninja.workbook.report import Report
from jaxninja.workbook.texts.languages import sentence

POLL = 0.2  # seconds between looks at the files
Check = Callable[[int, bool], Report]


@dataclass
class Watch:
    """A folder that is watched.

    Args:
        folder: the learner's.
        numbers: of the exercises that are watched.
        check: checks one and prints what it found; its second argument is `everything`.
    """

    folder: Path
    numbers: list[int]
    check: Check
    number: int = 0
    report: Report | None = None
    seen: dict[int, tuple[int, int] | None] = field(default_factory=dict)

    def run(self) -> None:
        """Until q, Ctrl-C or the end of time."""
        self.seen = {n: _stamp(self.folder, n) for n in self.numbers}
        with keys.single() as listening:
            self._checked((self._todo() or self.numbers)[0])
            while True:
                self._help(listening)
                key = self._wait(listening)
                if key == "q":
                    return
                self._act(key)

    def _wait(self, listening: bool) -> str:
        """The next key that means something; "" when a file was saved and checked."""
        while True:
            for number in self._saved():
                self._checked(number)
                return ""
            key = keys.pressed(POLL, listening)
            if key and key in "hnlgcq":
                return key

    def _saved(self) -> Iterator[int]:
        for number in self.numbers:
            stamp = _stamp(self.folder, number)
            if stamp != self.seen[number] and stamp is not None:
                self.seen[number] = stamp
                yield number

    def _act(self, key: str) -> None:
        try:
            if key == "n":
                later = [n for n in self._todo() if n > self.number]
                self._checked((later or self._todo() or self.numbers)[0])
            elif key == "c":
                self._checked(self.number, everything=True)
            elif key == "h":
                print(screen.text(self._hint().splitlines()))
            elif key in ("l", "g"):
                print(self._overview(key))
        except WorkbookError as error:
            print(error, flush=True)

    def _overview(self, key: str) -> str:
        state = progress.load(self.folder)
        draw = lists.graph if key == "g" else lists.gradients
        return draw(state, self.number)

    def _hint(self) -> str:
        """One more on the gradient that is not right yet."""
        name = None if self.report is None else self.report.asked
        if name is None:
            return sentence("no hint" if self.report else "fix first")
        state = progress.load(self.folder)
        rung = state.next_rung(self.number, name)
        state.save()
        return f"d{name}\n{templates.ladder(self.number, name, rung)}"

    def _checked(self, number: int, everything: bool = False) -> None:
        self.number = number
        print(f"\n{EXERCISES[number].file}, {time.strftime('%H:%M:%S')}")
        try:
            self.report = self.check(number, everything)
        except WorkbookError as error:
            self.report = None
            print(error, flush=True)

    def _todo(self) -> list[int]:
        """The exercises that are not done; all, if that is not known."""
        try:
            state = progress.load(self.folder)
        except WorkbookError:
            return self.numbers
        return [n for n in self.numbers if not state.is_done(n)]

    def _help(self, listening: bool) -> None:
        if listening:
            print(screen.text([sentence("keys")]), flush=True)


def _stamp(folder: Path, number: int) -> tuple[int, int] | None:
    """What changes when a file is saved; None while an editor replaces it."""
    try:
        status = (folder / EXERCISES[number].file).stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size

"""What a check of an exercise found: data, and its text."""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jaxninja.check.compare import Line
from jaxninja.workbook.closeness import Rung
from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.pictures import matrix, page
from jaxninja.workbook.templates import explanations, how_to_ask
from jaxninja.workbook.texts.languages import sentence, speaking

CELL = "cell"  # the file's name, of a function in a notebook
OK, SHAPE, WRONG, INHERITED, GAP = "ok", "shape", "wrong", "inherited", "gap"


def mark(status: str) -> str:
    """A status in a word or two."""
    return sentence(f"mark {status}")


@dataclass(frozen=True)
class Row:
    """One gradient.

    Attributes:
        name: of the array.
        status: "ok", "shape" (right numbers in another shape), "wrong" (by itself),
            "inherited" (right on true gradients, wrong on the learner's own) or "gap".
        line: of the learner's file, where it is assigned last.
        compared: the lecture's line, if it was computed.
        ladder: the verdict in rungs.
        note: what else is to be said.
    """

    name: str
    status: str
    line: int | None = None
    compared: Line | None = None
    ladder: tuple[Rung, ...] = ()
    note: str = ""

    def __str__(self) -> str:
        head = str(self.compared) if self.compared else f"{self.name:15s} | "
        return head + (f"   {mark(self.status)}" if self.status != OK else "")


@dataclass(frozen=True)
class Report:
    """What the check of one exercise found.

    Attributes:
        number, file: of the exercise.
        status: "ok", "wrong", "gap" (right as far as it goes) or "error".
        rows: a gradient each, backwards, down to the first that is not right.
        message: what is wrong, or what comes next.
        line: of the learner's file.
        hints: the diagnosis, the likeliest first.
        unreliable: the gradients that are computed from the wrong one.
        new: the gradients that are right for the first time: they are explained.
        seconds: what it took.
        language: that it speaks.
        picture: name, mine, truth: nested lists of two dimensions, for a plot.
        jacobian: name, source, mine, truth: that of a step, within a row, where the
            exercise draws it; a row of it is of an entry of the source.
    """

    number: int
    file: str
    status: str
    rows: tuple[Row, ...] = ()
    message: str = ""
    line: int | None = None
    hints: tuple[Hint, ...] = ()
    unreliable: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    seconds: float = 0.0
    language: str = "en"
    picture: dict[str, Any] | None = field(default=None, repr=False)
    jacobian: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        return self.status == OK

    def __bool__(self) -> bool:
        return self.ok

    @property
    def guilty(self) -> Row | None:
        """The first gradient that is wrong by itself, be it in its shape only."""
        wrong = [row for row in self.rows if row.status in (WRONG, SHAPE)]
        return min(wrong, key=lambda row: row.status != WRONG, default=None)

    @property
    def asked(self) -> str | None:
        """The gradient that a hint would help with."""
        rows = [self.guilty, *(row for row in self.rows if row.status == GAP)]
        found = next((row for row in rows if row and row.status != SHAPE), None)
        # pyrefly: ignore[bad-return]  a row is always true
        return found and found.name

    def table(self) -> str:
        """The report as text, a line a gradient."""
        return "\n".join(line for _, line in self.lines())

    __str__ = table

    def lines(self) -> list[tuple[str, str]]:
        """Each line with what it is: "row:ok", "shape", "rung", "hint", and so on."""
        with speaking(self.language):
            return [*self._lines()]

    def _lines(self) -> Iterator[tuple[str, str]]:
        for row in self.rows:
            if row.status != GAP:
                yield f"row:{row.status}", str(row)
            if row.status == SHAPE:
                yield "shape", f"    {row.note}"
        if self.guilty:
            yield from (("rung", f"    {rung}") for rung in self.guilty.ladder)
        at = f"{self.file}:{self.line}: " if self.line else ""
        if self.message:
            yield f"message:{self.status}", f"{at}{self.message}"
        yield from (("hint", f"  {hint}") for hint in self.hints)
        if self.jacobian and self.guilty:
            yield from (("rung", f"  {line}") for line in matrix(self.jacobian))
        if self.asked:
            how = how_to_ask(self.number, self.asked, self.file == CELL)
            yield "ask", f"  {sentence('helps', how=how)}"
        if self.unreliable:
            names = ", ".join(f"d{name}" for name in self.unreliable)
            yield "note", sentence("unreliable", names=names)
        new = explanations(self.number, self.new, self.file == CELL)
        yield from (("new", line) for line in new)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Report":
        values = json.loads(text)
        rows = tuple(row_of(**row) for row in values.pop("rows"))
        values["hints"] = tuple(Hint(**hint) for hint in values["hints"])
        for key in ("unreliable", "new"):
            values[key] = tuple(values[key])
        return cls(rows=rows, **values)

    @property
    def statuses(self) -> dict[str, str]:
        """The status of each gradient; what hangs on a wrong one is unreliable."""
        exercise = EXERCISES[self.number]
        unasked = {*exercise.network.node} - {*exercise.names}
        found = {row.name: row.status for row in self.rows}
        found = {k: WRONG if v == SHAPE else v for k, v in found.items()}
        unreliable = dict.fromkeys(self.unreliable, INHERITED)
        unasked -= {exercise.network.output}
        return {**dict.fromkeys(unasked, "unasked"), **unreliable, **found}

    def _repr_html_(self) -> str:
        exercise = EXERCISES[self.number]
        drawn = len(exercise.names) > 1 and self.rows
        statuses = self.statuses if drawn else None
        pictures = self.picture, self.jacobian
        return page(exercise.network, self.table(), *pictures, statuses)


def row_of(compared=None, ladder=(), **values) -> Row:
    """A row from what `dataclasses.asdict` made of it."""
    line = Line(**compared) if compared else None
    return Row(compared=line, ladder=tuple(Rung(**r) for r in ladder), **values)

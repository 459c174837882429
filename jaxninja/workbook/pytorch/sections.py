"""Which exercise each line of a notebook belongs to."""

import ast
from collections.abc import Iterator, Sequence

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.pytorch.cells import Line, comments_in, lines
from jaxninja.workbook.pytorch.files import Cell

WORDS = (
    "exercise",
    "ex",
    "练习",
)  # "Exercise 2: backprop through cross_entropy but ..."
TRAINING = 4  # so many gradients in one loop are a training, and not a scatter


def sorted_out(cells: Sequence[Cell]) -> Iterator[tuple[Line, int]]:
    """Each line with the number of its exercise; 0 above the first that is named.

    The lecture's notebook names an exercise in a comment above it. The loop that trains
    is of the fourth, wherever it stands.
    """
    now = 0
    for cell in cells:
        rows = cell.text.splitlines()
        if not cell.is_code:
            now = ([now] + [n for row in rows if (n := _named(row))])[-1]
            continue
        marks = {k: n for k, text in comments_in(rows).items() if (n := _named(text))}
        for line in lines(cell):
            above = [marks[k] for k in sorted(marks) if k <= line.number]
            number = (above or [now])[-1]
            yield line, 4 if _trains(line.node) else number
        now = marks[max(marks)] if marks else now


def _named(text: str) -> int:
    """The number of the exercise that a line of text begins with; 0 if it does not."""
    text = text.lower().strip("#*-_=> ")
    for word in WORDS:
        if text.startswith(word):
            rest = text.removeprefix(word).lstrip(" .#-_:")
            return int(rest[0]) if rest[:1] in ("1", "2", "3", "4") else 0
    return 0


def _trains(node: ast.stmt | None) -> bool:
    if not isinstance(node, ast.For | ast.While):
        return False
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    made = {n.id for n in names if isinstance(n.ctx, ast.Store)}
    return len(made & {*EXERCISES[1].gradients}) >= TRAINING

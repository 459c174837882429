"""A cell's statements, with the comments above them and the lines they stand in."""

import ast
import io
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxninja.workbook.pytorch.files import Cell
from jaxninja.workbook.texts.languages import sentence

MAGIC = ("%", "!", "?")  # of IPython, and no Python
TRIES = 20  # broken lines of a cell that are left out before all of it is


@dataclass(frozen=True)
class Line:
    """One statement of a notebook.

    Attributes:
        cell, number: where it stands, both from 1.
        node: of the syntax tree; None if it is not Python.
        text: as it is written.
        comments: the learner's own, above it and in it.
        behind: the one behind it, in its line.
        problem: why it is not Python.
    """

    cell: int
    number: int
    node: ast.stmt | None
    text: str
    comments: tuple[str, ...] = ()
    behind: str = ""
    problem: str = ""

    @property
    def place(self) -> str:
        return sentence("place", cell=self.cell, line=self.number)


def lines(cell: Cell) -> list[Line]:
    """The statements of a cell; contexts as torch.no_grad() are opened."""
    rows = cell.text.replace("\t", "    ").splitlines()
    rows = ["" if row.lstrip().startswith(MAGIC) else row for row in rows]
    rows = _undented(rows)
    tree, broken = _parsed(rows)
    found = [Line(cell.number, n, None, rows[n - 1], problem=why) for n, why in broken]
    kept = ["" if n in dict(broken) else row for n, row in enumerate(rows, 1)]
    comments, above = comments_in(kept), 0
    for node in _opened(tree.body):
        last = node.end_lineno or node.lineno
        behind = comments.pop(last, "") if last == node.lineno else ""
        own = tuple(comments[n] for n in sorted(comments) if above < n <= last)
        text = "\n".join(rows[node.lineno - 1 : last])
        found.append(Line(cell.number, node.lineno, node, text, own, behind))
        above = last
    return sorted(found, key=lambda line: line.number)


def _undented(rows: list[str]) -> list[str]:
    """As IPython does: what the first line is set in by is taken off all lines."""
    first = next((row for row in rows if row.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return [row.removeprefix(indent) for row in rows]


def _parsed(rows: list[str]) -> tuple[ast.Module, list[tuple[int, str]]]:
    """The tree, and the lines that are not Python: (number, why)."""
    rows, broken = [*rows], []
    for _ in range(TRIES):
        try:
            return ast.parse("\n".join(rows)), broken
        except SyntaxError as error:
            number = min(max(error.lineno or 1, 1), len(rows))
            if not rows[number - 1].strip():  # at the end of what begins above
                number = max(n for n in range(1, number + 1) if rows[n - 1].strip())
            broken.append((number, error.msg))
            rows[number - 1] = ""
        except ValueError as error:  # null bytes
            return ast.Module([], []), [*broken, (1, str(error))]
    return ast.Module([], []), broken[:1]


def _opened(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What stands in `with` at the level of the cell, as if it stood there itself."""
    for node in nodes:
        if isinstance(node, ast.With):
            yield from _opened(node.body)
        else:
            yield node


def comments_in(rows: Sequence[str]) -> dict[int, str]:
    """The comments by the numbers of their lines."""
    found = {}
    reader = io.StringIO("\n".join(rows) + "\n").readline
    try:
        for token in tokenize.generate_tokens(reader):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = token.string
    except (tokenize.TokenError, SyntaxError):  # those above it are as good
        pass
    return found

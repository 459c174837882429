"""The docstring of a rule's file as HTML: sentences and equations, set as mathematics.

Lines that are indented are equations. Cells of a line, which two spaces or more tell
apart, stand below each other where they do so in the file.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from html import escape
from itertools import groupby
from typing import NamedTuple

from jaxninja.book.mathematics import mathml, sentences
from jaxninja.book.mathematics.notation import NotMathematics


class Cell(NamedTuple):
    """A part of a line, and the column in the file at which it begins."""

    column: int
    text: str


def body(docstring: str, mathematics: bool = True) -> str:
    """All but the first paragraph, which is the title of a page; `mathematics`:
    whether what is indented is equations, and no drawing or table."""
    rest = docstring.partition("\n\n")[2]
    known = indented(docstring) if mathematics else ""
    show = equations if mathematics else as_it_stands
    return "\n".join(_paragraphs(rest, known, show))


def indented(docstring: str) -> str:
    """The lines of its equations."""
    lines = [row for row in docstring.splitlines() if row.startswith("    ")]
    return "\n".join(lines)


def title(docstring: str) -> str:
    """The first paragraph, as HTML without a paragraph around it."""
    first = " ".join(docstring.partition("\n\n")[0].split())
    return sentences.html(first, indented(docstring))


def _paragraphs(
    text: str, known: str, indent: Callable[[list[str]], str]
) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        for within, part in groupby(lines, key=lambda row: row.startswith("    ")):
            rows = list(part)
            yield indent(rows) if within else _sentences(rows, known)


def _sentences(lines: list[str], known: str) -> str:
    text = sentences.html(" ".join(" ".join(lines).split()), known)
    head, colon, rest = text.partition(": ")
    if colon and head in ("Check", "Source"):
        return f'<p class="note"><b>{head}.</b> {rest}</p>'
    return f"<p>{text}</p>"


def equations(lines: list[str]) -> str:
    """A block of equations; as it stands in the file where it is no mathematics."""
    rows = [list(_cells(row)) for row in lines]
    columns = _columns(rows)
    try:
        cells = [_placed(columns, row, i) for i, row in enumerate(rows, 1)]
    except NotMathematics:
        return as_it_stands(lines)
    inside = "\n".join("".join(row) for row in cells)
    return f'<div class="wide"><div class="equations">{inside}</div></div>'


def _cells(text: str) -> Iterator[Cell]:
    """Split where two spaces or more stand."""
    for match in re.finditer(r"\S+(?: \S+)*", text):
        yield Cell(match.start(), match[0])


def _columns(rows: list[list[Cell]]) -> list[int]:
    """Where cells of several lines begin, and the left edge."""
    starts = Counter(cell.column for row in rows for cell in row)
    shared = {column for column, count in starts.items() if count > 1}
    return sorted(shared | {min(starts)})


def _placed(columns: list[int], row: list[Cell], number: int) -> list[str]:
    """The cells of a line in the columns of the block; others stay with the one
    before them, and a line that begins in no column is moved in."""
    joined: list[tuple[Cell, str]] = []
    for cell in row:
        if cell.column in columns or not joined:
            joined.append((cell, cell.text))
        else:
            joined[-1] = joined[-1][0], f"{joined[-1][1]}  {cell.text}"
    places = [max(c for c in columns if c <= cell.column) for cell, _ in joined]
    ends = [*(columns.index(place) + 1 for place in places[1:]), len(columns) + 1]
    return [
        _cell(number, columns.index(place) + 1, end, cell.column - place, text)
        for (cell, text), place, end in zip(joined, places, ends, strict=True)
    ]


def _cell(number: int, start: int, end: int, moved: int, text: str) -> str:
    style = f"grid-area: {number} / {start} / {number + 1} / {end}"
    style += f"; padding-left: {moved / 2}em" if moved else ""
    kind = ' class="further"' if start > 1 else ""
    return f'<div{kind} style="{style}">{mathml.line(text)}</div>'


def as_it_stands(lines: list[str]) -> str:
    """In the columns of the file."""
    margin = min(len(row) - len(row.lstrip()) for row in lines)
    text = "\n".join(row[margin:] for row in lines)
    return f"<pre>{escape(text)}</pre>"

"""A report on a terminal: in colour where there is any, in lines as wide as it is."""

import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from jaxninja.cli.process import lines
from jaxninja.cli.process.lines import width
from jaxninja.workbook.report import GAP, Report, Row, mark
from jaxninja.workbook.texts.languages import sentence, speaking
from jaxninja.workbook.texts.wrapping import columns as wide
from jaxninja.workbook.texts.wrapping import padded, wrapped

COLOURS = {"ok": 32, "wrong": 31, "error": 31, "shape": 33, "inherited": 33, "gap": 36}
TABLE = 80  # columns that the lecture's line has room in
MARKS = {"row": "", "shape": "shape", "hint": "gap", "ask": "gap"}


def has_colour() -> bool:
    """As no-color.org and dumb terminals have it."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def painted(text: str, status: str | None) -> str:
    """In the colour of a status."""
    if status not in COLOURS or not has_colour():
        return text
    return f"\x1b[{COLOURS[status]}m{text}\x1b[0m"


def shown(report: Report) -> str:
    """A report as a screen has room for it."""
    with speaking(report.language):
        return _shown(report)


def _shown(report: Report) -> str:
    columns = width()
    rows = iter([row for row in report.rows if row.status != GAP])
    lines = []
    for kind, line in report.lines():
        what, _, status = kind.partition(":")
        if what == "row":
            row = next(rows)
            line = _narrow(row) if columns < TABLE else _row(row)
        for part in fitted(line):
            lines.append(painted(part, status or MARKS.get(what)))
    return "\n".join(lines)


def _row(row: Row) -> str:
    """The lecture's line, its number to three digits."""
    if row.compared is None:
        return str(row)
    short = float(f"{row.compared.maxdiff:.3g}")
    return str(replace(row, compared=replace(row.compared, maxdiff=short)))


def _narrow(row: Row) -> str:
    """The lecture's line in less than 40 columns."""
    gap = f"{row.compared.maxdiff:.1e}" if row.compared else ""
    return f"{row.name:<15} {padded(mark(row.status), 9)} {gap}".rstrip()


def fitted(line: str) -> list[str]:
    """A line in parts that fit, of characters of which some take two columns."""
    return lines.fitted(line, wide, wrapped)


def bar(right: int, of: int) -> str:
    """A bar for so many of so many."""
    length = min(26, max(10, width() - 30))
    full = length * right // of
    count = sentence("of", count=right, of=of)
    return f"[{'#' * full}{'-' * (length - full)}] {count}"


def text(several: Iterable[str]) -> str:
    """Lines, each as wide as the screen."""
    return "\n".join(part for line in several for part in fitted(line))

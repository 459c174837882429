"""Lines as wide as the terminal: words stay whole, and labels stand by themselves."""

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable


def width() -> int:
    """Columns of the terminal; where there is none lines stay whole."""
    return shutil.get_terminal_size((1_000, 24)).columns


def fitted(
    line: str,
    measured: Callable[[str], int] = len,
    wrapped: Callable[[str, int, str], list[str]] | None = None,
) -> list[str]:
    """A line in parts that fit, set in as it is, or as far as its label reaches.

    Args:
        line: of text.
        measured: columns of a text.
        wrapped: divides a line into so many columns, further parts after an indent.
    """
    columns = width()
    if measured(line) <= columns:
        return [line]
    label = re.match(r"\s*\S+\s{2,}", line)
    indent = len(label[0]) if label else len(line) - len(line.lstrip()) + 2
    return (wrapped or _wrapped)(line, columns, " " * min(indent, columns // 2))


def _wrapped(line: str, columns: int, inside: str) -> list[str]:
    """At spaces only: a path or an option stays whole."""
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=inside,
        break_long_words=False,
        break_on_hyphens=False,
    )


def text(lines: Iterable[str]) -> str:
    """Lines, each as wide as the screen."""
    return "\n".join(part for line in lines for part in fitted(line))


def show(lines: str) -> None:
    """Print one line or several, each as wide as the screen, at once."""
    print(text(lines.split("\n")), flush=True)

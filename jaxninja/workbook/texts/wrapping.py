"""Lines of a width, for letters that take two columns and stand without spaces too."""

import re
import textwrap
import unicodedata
from collections.abc import Iterator

CLOSING = "，。；：？！、）》”"  # do not begin a line
WIDE = "[\u3000-\u9fff\uff00-\uff60]"  # Chinese, and its signs


def columns(text: str) -> int:
    """What a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def unspaced(text: str) -> str:
    """Without the space between two Chinese words; a Latin one keeps its own."""
    return re.sub(f"(?<={WIDE}) (?={WIDE})", "", text)


def padded(text: str, width: int) -> str:
    """With spaces up to a width."""
    return text + " " * (width - columns(text))


def before(text: str, width: int) -> str:
    """With spaces in front, up to a width."""
    return " " * (width - columns(text)) + text


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most so many columns; words stay whole.

    Args:
        text: one paragraph.
        width: in columns.
        indent: before each line but the first.
    """
    if columns(text) == len(text):
        return textwrap.wrap(
            text,
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines = [text[: len(text) - len(text.lstrip())]]
    for part in _parts(text.strip()):
        begun = lines[-1].strip()
        if begun and columns(lines[-1] + part.rstrip()) > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(indent)
            part = part.lstrip()
        lines[-1] += part
    return [line.rstrip() for line in lines]


def _parts(text: str) -> Iterator[str]:
    """Words with the space before them, and wide letters one by one."""
    part = ""
    for letter in text:
        wide = columns(letter) == 2
        before = columns(part[-1:]) == 2
        begins = letter == " " or (wide and letter not in CLOSING) or before
        if part and begins and not (before and letter in CLOSING):
            yield part
            part = ""
        part += letter
    yield part


def shortened(text: str, width: int) -> str:
    """A text's beginning, if all of it is wider."""
    first, *rest = wrapped(text, width - 4) or [""]
    whole = columns(text) <= width
    return text if whole else f"{first} ..." if rest else first

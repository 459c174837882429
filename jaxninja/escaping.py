"""Text that comes from a user, made fit for a terminal, a page or a picture."""

import re
import shlex
from pathlib import Path


def printable(text: str) -> str:
    """The text in one line, with an escape for whatever cannot be shown.

    Control characters, line ends and odd spaces become `\\x1b` or `\\u2028`, and bytes
    of a file's name that are no UTF-8, which Python keeps as surrogates, `\\xff`.
    Markup, as of HTML or of mathematics, is the business of whoever draws it.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def printable_lines(text: str) -> str:
    """The same of a text of several lines, which stay lines whatever they end in."""
    return "\n".join(printable(line) for line in re.split("\r\n|\r|\n", text))


def resume_option(path: Path) -> str:
    """The option with which a command goes on in this folder, as a shell reads it."""
    return f"--resume {shlex.quote(str(path))}"


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()

"""One key at a time from a terminal, and nothing from what is none."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import select
    import termios
    import tty
except ImportError:  # not on Windows: no keys then
    termios = None


@contextmanager
def single() -> Iterator[bool]:
    """Keys come without Enter meanwhile; false where stdin is no terminal."""
    if termios is None or not sys.stdin.isatty():
        yield False
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)  # Ctrl-C goes on to end it
        yield True
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def pressed(seconds: float, listening: bool) -> str:
    """The key that is pressed within so many seconds; "" if none is."""
    if not listening:
        time.sleep(seconds)
        return ""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return sys.stdin.read(1) if ready else ""

"""Output that can always be written, and a run that outlives whoever reads it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import TextIOWrapper
from typing import Any


def read_names() -> None:
    """Begin anew in Python's UTF-8 mode where a file's name is ASCII only.

    That is so in the locale C if PYTHONUTF8=0 forbids what Python does there by itself:
    other names are bytes then, which no message shows and no JSON keeps.
    """
    if sys.getfilesystemencoding() == "ascii" and sys.orig_argv:
        sys.stdout.flush()
        python, *rest = sys.orig_argv
        os.execv(sys.executable, [python, "-X", "utf8", *rest])


def prepare() -> None:
    """Standard streams that exist and take any text.

    A stream that the shell closed (`>&-`) becomes the null device: else the next file
    that is opened takes its number, and gets what others print. A symbol that the
    stream's encoding lacks is written as its code.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _discard(number)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def lasting() -> Iterator[None]:
    """Within, a reader that is gone stops nothing: what it would read is dropped."""
    out, err = sys.stdout, sys.stderr
    with redirect_stdout(Lasting(out, err)), redirect_stderr(Lasting(err, out)):
        yield


class Lasting:
    """A text stream that drops what cannot be written, and says so on another one."""

    def __init__(self, stream: Any, other: Any) -> None:
        self._stream, self._other = stream, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        drop(self._stream)
        what = f"{self._stream.name} cannot be written ({error.strerror})"
        try:
            print(f"jaxninja: {what}; going on without it", file=self._other)
        except OSError:
            drop(self._other)


def drop(stream: Any) -> None:
    """What is written to this stream from now on, or still waits in it, is lost."""
    _discard(stream.fileno())


def _discard(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)

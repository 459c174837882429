"""Progress on terminals of any width, in a pipe, and below a notebook's cell."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import types

import pytest

from jaxninja.training import progress
from jaxninja.training.progress import Bar, Cell, Lines


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of so many columns as stderr; `read` is what came to it."""
    ours, theirs = pty.openpty()
    stream = open(theirs, "w", closefd=False)  # noqa: SIM115

    def resize(columns):
        monkeypatch.setattr(sys, "stderr", stream)  # not before pytest has put its own
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read():
        stream.write("\0")  # what a terminal is sent comes to it in its own time
        stream.flush()
        came = b""
        while not came.endswith(b"\0"):
            came += os.read(ours, 100_000)
        return came[:-1].decode()

    yield types.SimpleNamespace(resize=resize, read=read, stream=stream)
    stream.close()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("loss", [2.1234, 3003.6])
def test_a_bar_stays_within_its_line(columns, loss, terminal):
    """Each state is written over the one before: \\r, and nothing wraps."""
    terminal.resize(columns)
    bar = Bar(lambda line: print(line, file=terminal.stream))
    bar.start(0, 200_000)
    for step in (50_000, 120_000, 200_000):
        bar._bar.last_print_t = 0  # as if time had passed
        bar.update(step, loss, 7_000.0)
    bar.stop()
    text = terminal.read()
    assert "\x1b" not in text
    states = re.split(r"[\r\n]+", text)
    assert max(map(len, states)) <= columns
    assert any("120000/200000" in s and f"loss {loss:.4f}" in s for s in states)
    assert any("|" in s for s in states) == (columns == 80)


def test_a_bar_follows_the_width(terminal):
    bar = Bar()
    terminal.resize(80)
    bar.start(0, 1_000)
    terminal.resize(40)
    bar._bar.last_print_t = 0
    terminal.read()
    bar.update(500, 2.0, 10.0)
    bar.stop()
    states = re.split(r"[\r\n]+", terminal.read())  # blanks cover the wider one before
    assert max(len(state.rstrip()) for state in states) <= 40


def test_text_stands_in_a_line_of_its_own(terminal):
    terminal.resize(80)
    bar = Bar(lambda line: print(line, file=terminal.stream))
    bar.say("before")
    bar.start(0, 10)
    bar.say("in between")
    bar.stop()
    bar.say("after")
    text = terminal.read().replace("\r\n", "\n")
    for line in ("before", "in between", "after"):
        assert re.search(rf"(^|[\r\n]){line}\n", text)


def test_where_there_is_no_terminal_there_is_no_bar(capsys):
    bar = Bar(print)
    bar.start(0, 10)
    bar.update(10, 2.0, 1.0)
    bar.say("a line")
    bar.stop()
    assert capsys.readouterr() == ("a line\n", "")


def test_lines_are_twenty_or_so():
    said = []
    lines = Lines(said.append)
    lines.start(0, 2_000)
    for step in range(10, 2_001, 10):
        lines.update(step, 2.0, 12_345.0)
    assert 19 <= len(said) <= 21
    assert said[-1] == "step    2000/2000  loss 2.0000  12,345 steps/s"


class Handle:
    """What IPython returns for a display that can be updated."""

    def __init__(self):
        self.texts = []

    def update(self, data, raw):
        assert raw
        self.texts.append(data["text/plain"])


def test_a_cell_has_one_line_that_ends_with_how_it_ended(monkeypatch):
    handle, clock = Handle(), iter(range(1, 100))

    def display(data, display_id, raw):
        handle.update(data, raw)
        return handle

    module = types.ModuleType("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    cell = Cell()
    cell.start(0, 2_000)
    cell.update(1_000, 2.5, 100.0)
    cell.update(2_000, 2.25, 100.0)
    cell.stop()
    assert handle.texts[:2] == [
        "step 0 of 2,000",
        "step 1,000 of 2,000, loss 2.5000, 100 steps/s, 10 s left",
    ]
    assert handle.texts[-1] == "step 2,000 of 2,000, loss 2.2500, 100 steps/s"


def test_who_listens_by_default(monkeypatch):
    assert isinstance(progress.default(), Bar)
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert isinstance(progress.default(), Cell)
    shell.kernel = None  # IPython on a terminal
    assert isinstance(progress.default(), Bar)

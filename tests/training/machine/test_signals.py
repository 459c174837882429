"""Signals: which are noted, which are left alone, and that all is as it was after."""

import os
import shlex
import signal
from pathlib import Path

import pytest

from jaxninja.training.machine.signals import Interrupted, caught_signals


@pytest.fixture(autouse=True)
def restored():
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = {n: signal.getsignal(n) for n in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGTERM"])
def test_the_first_is_noted_and_the_second_acts(name):
    number, seen = getattr(signal, name), []
    signal.signal(number, lambda n, _: seen.append(n))
    with caught_signals(None) as caught:
        os.kill(os.getpid(), number)
        assert (caught, seen) == ([number], [])
        os.kill(os.getpid(), number)
        assert (caught, seen) == ([number], [number])


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with caught_signals(None) as caught:
        os.kill(os.getpid(), signal.SIGHUP)
    assert caught == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_the_command_that_goes_on_is_one_that_a_shell_reads():
    stop = Interrupted(Path("my runs/it's"), 3, signal.SIGINT, "sweep")
    words = shlex.split(stop.again)
    assert words == ["jaxninja", "sweep", "--resume", "my runs/it's"]

"""Signals: which are noted, which are left alone, and that all is as it was after."""

import os
import signal

import pytest

from jaxninja.training.signals import caught_signals


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

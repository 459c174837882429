"""Timing that a busy machine cannot tilt: contenders take turns, round after round."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

TURN = 0.25  # seconds, about, of one contender's turn


def take_turns(
    contenders: Mapping[str, Callable[[int], Any]],
    rounds: int,
    turn: float = TURN,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds for one unit of work, in each round.

    Args:
        contenders: name -> function that does so many units of work.
        rounds: each contender has one turn in each.
        turn: seconds, about, that it takes; the shorter, the more alike the machine is
            to all contenders of a round.
        clock: seconds; `time.process_time` where others use the machine too.
    """
    counts = {name: _count(work, turn) for name, work in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            seconds[name].append(_time(work, counts[name], clock) / counts[name])
    return seconds


def least(
    calls: Mapping[str, Callable[[], Any]], rounds: int, turn: float = TURN
) -> dict[str, float]:
    """The least processor time of a call of each, over rounds in which they take turns:
    other processes only ever add to it. Arguments as of `take_turns`."""
    work = {name: repeated(call) for name, call in calls.items()}
    spent = take_turns(work, rounds, turn, time.process_time)
    return {name: min(seconds) for name, seconds in spent.items()}


def repeated(call: Callable[[], Any]) -> Callable[[int], Any]:
    """A call as work of which there can be so many units."""

    def work(count: int) -> None:
        for _ in range(count):
            call()

    return work


def _count(work, turn: float = TURN) -> int:
    """Units of work that fill a turn; finding it out warms up and compiles too."""
    work(1)
    count = 1
    while True:
        seconds = _time(work, count)
        if seconds > turn / 2 or count >= 10**6:
            return count
        count = max(2 * count, int(count * turn / max(seconds, 1e-6) / 2))


def _time(work, count, clock=time.perf_counter) -> float:
    start = clock()
    work(count)
    return clock() - start


def ratios(slow: list[float], fast: list[float]) -> list[float]:
    """How many times faster `fast` is, within each round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def spread(values: list[float], digits: int = 2) -> str:
    """Median (least to greatest)."""
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"

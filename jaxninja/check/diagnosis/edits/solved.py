"""Edits with a number that is solved for: a multiple of a value, or of a part of it.

The gradients depend on such a number linearly as a rule, so that one trial gives it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from jaxninja.check.budget import Item
from jaxninja.check.diagnosis.code.constants import constant_name, number
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.edits.reader import is_float
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.diagnosis.edits.values import (
    fits,
    mean_term,
    scaled,
    spread,
    term,
)
from jaxninja.check.hints import say

EXACT = 1e-5  # what remains of an error, relative to it


class Solving(Protocol):
    """The part of a search that is needed to solve for a number."""

    problem: Problem
    lengths: dict[int, str]

    def slope(self, slot: int, direction, leaf: int) -> tuple[float, float]: ...
    def in_time(self, items: Iterable[Item]) -> Iterator[Item]: ...
    def before(self, other: int, slot: int) -> bool: ...
    def name(self, slot: int) -> str: ...


def multiple(search: Solving, slot: int, leaf: int) -> Iterator[Edit]:
    """A value times a number."""
    value = np.asarray(search.problem.values[slot])
    t, misfit = search.slope(slot, value, leaf)
    if misfit < EXACT and abs(1 + t) > 1e-9:
        factor = number(1 + t, search.lengths)
        negated = factor.name == "-1"
        what = say("negate it") if negated else say("multiply", by=factor)
        kind, cost = "sign" if negated else "ratio", 2.0 if factor.name else 3.0
        yield scaled(slot, 1 + t, what, kind, cost)


def parts(search: Solving, slot: int, leaf: int) -> Iterator[Edit]:
    """A part of a value times one of the usual numbers."""
    value = np.asarray(search.problem.values[slot])
    for part, mask in parts_of(value.shape):
        t, misfit = search.slope(slot, np.where(mask, value, 0), leaf)
        factor = number(round(1 + t, 9) + 0.0, {})
        if misfit < EXACT and factor.name:

            def make(v, mask=mask, c=factor.value):
                return np.where(mask, c * v[slot], v[slot])

            what = say("multiply part", part=part, by=factor)
            yield Edit(slot, make, what, "index", 2.3)


def parts_of(shape: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """The ends of each axis, and the diagonal: as masks, and what is not of them."""
    for axis, n in enumerate(shape):
        if n > 2:
            laid = [1] * len(shape)
            laid[axis] = n
            i = np.arange(n).reshape(laid)
            for words, ends in (
                ("the first entry", i == 0),
                ("the last entry", i == n - 1),
                ("the two ends", (i == 0) | (i == n - 1)),
            ):
                yield f"{words} along axis {axis}", ends
                yield f"all but {words} along axis {axis}", ~ends
    if len(shape) > 1 and shape[-1] == shape[-2] > 1:
        diagonal = np.eye(shape[-1], dtype=bool)
        yield "the diagonal", diagonal
        yield "all but the diagonal", ~diagonal


def terms(search: Solving, slot, every: Sequence[int], leaf) -> Iterator[Edit]:
    """Another value added to it, or subtracted."""
    shape = np.shape(search.problem.values[slot])
    for other in search.in_time(every):
        value = search.problem.values[other]
        if not search.before(other, slot) or not is_float(value):
            continue
        if np.shape(value) != shape and not (shape and fits(value, shape)):
            continue
        t, misfit = search.slope(slot, np.broadcast_to(value, shape), leaf)
        if misfit < EXACT and t:
            size = number(abs(t), search.lengths)
            times = "" if abs(abs(t) - 1) < 1e-7 else say("times", factor=size)
            code, cost = ("subtract" if t < 0 else "add"), 2.2 if size.name else 3.5
            what = say(code, times=times, what=search.name(other))
            yield term(slot, other, t, what, cost)


def means(search: Solving, slot, every: Sequence[int], leaf) -> Iterator[Edit]:
    """The mean of another value over an axis, forgotten."""
    shape = np.shape(search.problem.values[slot])
    for other in search.in_time(every):
        value = search.problem.values[other]
        alike = is_float(value) and np.shape(value) == shape
        for axis in range(len(shape) if alike and search.before(other, slot) else 0):
            t, misfit = search.slope(slot, spread(value, axis), leaf)
            known = constant_name(abs(t), search.lengths)
            if misfit < EXACT and t and shape[axis] > 1 and known:
                times = "" if known == "1" else say("times", factor=known)
                mean = f"mean({search.name(other)}, axis={axis})"
                what = say("subtract" if t < 0 else "add", times=times, what=mean)
                yield mean_term(slot, other, axis, t, what)

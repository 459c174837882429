"""Residuals that are not what the backward takes them for.

The backward may be right for other residuals: two of them exchanged, one shifted or
transposed. Then no line of it is wrong, and the fix is where they are packed.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import Statement, say

Change = tuple[Statement, dict[int, Any]]  # the statement, the inputs that it changes


def residual(problem: Problem, fresh: Problem) -> Found | None:
    """A change of residuals that mends all wrong leaves."""
    if problem.program is None or not problem.wrong <= fresh.wrong:
        return None
    pairs = zip(_changes(problem), _changes(fresh), strict=True)
    for (statement, given), (_, again) in pairs:
        if _mends(problem, given) and _mends(fresh, again):
            return "residual", statement
    return None


def _mends(problem: Problem, given: dict[int, Any]) -> bool:
    assert problem.program is not None
    with np.errstate(all="ignore"):
        results = problem.program.with_inputs(problem.values, given)
    return problem.wrong <= problem.fixes(results)


def _changes(problem: Problem) -> Iterator[Change]:
    assert problem.program is not None
    count = len(jax.tree.leaves(problem.sample.residuals))
    slots = [s for s in problem.program.inputs[:count] if _floats(problem.values[s])]
    for k, slot in enumerate(slots):
        value, name = problem.values[slot], problem.names.get(slot, "a residual")
        for other in slots[k + 1 :]:
            theirs = problem.values[other]
            if theirs.shape == value.shape:
                both = {"one": name, "other": problem.names.get(other)}
                exchanged = say("residuals exchanged", **both)
                yield exchanged, {slot: theirs, other: value}
        for statement, moved in _moves(value, name):
            yield statement, {slot: moved}


def _moves(value: np.ndarray, name: str) -> Iterator[tuple[Statement, np.ndarray]]:
    for axis in range(value.ndim):
        for by in (1, -1) if value.shape[axis] > 1 else ():
            moved = np.roll(value, -by, axis)
            yield say("residual shifted", one=name, by=by, axis=axis), moved
    if value.ndim >= 2 and value.shape[-1] == value.shape[-2]:
        yield say("residual transposed", one=name), np.swapaxes(value, -1, -2)


def _floats(value) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"

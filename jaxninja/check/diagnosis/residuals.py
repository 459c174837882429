"""Residuals that are not what the backward takes them for.

The backward may be right for other residuals: two of them exchanged, one shifted or
transposed, one that is another value of the forward's. Then no line of it is wrong, and
the fix is where they are packed.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.places import View, views
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import Statement, say

Change = tuple[Statement, dict[int, Any]]  # the statement, the inputs that it changes


def residual(problem: Problem, fresh: Problem, budget: Budget) -> Found | None:
    """A change of residuals that fixes all wrong leaves."""
    if problem.program is None or not problem.wrong <= fresh.wrong:
        return None
    own = zip(_changes(problem), _changes(fresh), strict=True)
    every = itertools.chain(own, _of_forward(problem, fresh))
    for (statement, given), (_, again) in budget.during(every, "other residuals"):
        if _fixes(problem, given) and _fixes(fresh, again):
            return "residual", statement
    return None


def _of_forward(problem: Problem, fresh: Problem) -> Iterator[tuple[Change, Change]]:
    """A value of the plain forward, which nothing in bwd is, in place of a residual."""
    try:
        one, other = views([problem, fresh])
    except Exception:  # a forward that runs on no tracer, or not in NumPy
        return
    for slot, name in _slots(problem).items():
        value = problem.values[slot]
        for source, text in one.names.items():
            if source in one.forward.program.maker and _is_other(one, source, value):
                said = say("residual instead", one=name, other=text)
                yield (
                    (said, {slot: one.forward.base[source]}),
                    (said, {slot: other.forward.base[source]}),
                )


def _is_other(view: View, slot: int, value: np.ndarray) -> bool:
    theirs = view.forward.base[slot]
    is_array = isinstance(theirs, np.ndarray) and theirs.dtype == value.dtype
    return is_array and theirs.shape == value.shape and (theirs != value).any()


def _slots(problem: Problem) -> dict[int, str]:
    """The residuals that are arrays, and their names."""
    assert problem.program is not None
    count = len(jax.tree.leaves(problem.sample.residuals))
    slots = problem.program.inputs[:count]
    arrays = (s for s in slots if isinstance(problem.values[s], np.ndarray))
    return {s: problem.names.get(s, "a residual") for s in arrays}


def _fixes(problem: Problem, given: dict[int, Any]) -> bool:
    assert problem.program is not None
    with np.errstate(all="ignore"):
        results = problem.program.with_inputs(problem.values, given)
    return problem.wrong <= problem.fixes(results)


def _changes(problem: Problem) -> Iterator[Change]:
    names = _slots(problem)
    slots = [s for s in names if problem.values[s].dtype.kind == "f"]
    for k, slot in enumerate(slots):
        value, name = problem.values[slot], names[slot]
        for other in slots[k + 1 :]:
            theirs = problem.values[other]
            if theirs.shape == value.shape:
                both = {"one": name, "other": names[other]}
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

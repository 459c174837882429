"""Residuals that are not what the backward takes them for.

The backward may be right for other residuals: two of them exchanged, one shifted or
transposed. Then no line of it is wrong, and the mend is where they are packed.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem

Change = tuple[str, dict[int, Any]]  # the sentence, the inputs that it changes


def residual(problem: Problem, fresh: Problem) -> tuple[str, str] | None:
    """(sentence, kind) of a change of residuals that mends all wrong leaves."""
    if problem.program is None or not problem.wrong <= fresh.wrong:
        return None
    pairs = zip(_changes(problem), _changes(fresh), strict=True)
    for (sentence, given), (_, again) in pairs:
        if _mends(problem, given) and _mends(fresh, again):
            return sentence, "residual"
    return None


def _mends(problem: Problem, given: dict[int, Any]) -> bool:
    assert problem.program is not None
    with np.errstate(all="ignore"):
        results = problem.program.with_inputs(problem.values, given)
    return problem.wrong <= problem.mends(results)


def _changes(problem: Problem) -> Iterator[Change]:
    assert problem.program is not None
    count = len(jax.tree.leaves(problem.sample.residuals))
    slots = [s for s in problem.program.inputs[:count] if _floats(problem.values[s])]
    for k, slot in enumerate(slots):
        value, name = problem.values[slot], problem.names.get(slot, "a residual")
        for other in slots[k + 1 :]:
            theirs = problem.values[other]
            if theirs.shape == value.shape:
                text = f"The residuals {name} and {problem.names.get(other)} are "
                yield text + "exchanged.", {slot: theirs, other: value}
        for text, moved in _moves(value):
            yield f"The residual {name} is {text}.", {slot: moved}


def _moves(value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    for axis in range(value.ndim):
        for by in (1, -1) if value.shape[axis] > 1 else ():
            moved = np.roll(value, -by, axis)
            yield f"shifted by {by} along axis {axis}", moved
    if value.ndim >= 2 and value.shape[-1] == value.shape[-2]:
        yield "transposed", np.swapaxes(value, -1, -2)


def _floats(value) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"

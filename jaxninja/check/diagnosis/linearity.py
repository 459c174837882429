"""Where a backward pass stops being linear in its cotangent.

Every value of a backward pass is either independent of dy or linear in it; a product
of two linear ones, a maximum, a constant added to a linear one is neither. The first
step that makes such a value from values that are in order is the mistake.
"""

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem

FACTOR = -1000.0  # of dy: large, so that a clip acts; negative, so that |dy| shows
EXACT = 1e-9


def nonlinear_step(problem: Problem) -> int | None:
    """Number of the step; None if all is linear, or the backward cannot be traced."""
    program = problem.program
    if program is None:
        return None
    first = len(jax.tree.leaves(problem.sample.residuals))
    count = len(jax.tree.leaves(problem.sample.dy))
    slots = program.inputs[first : first + count]
    given = {
        s: FACTOR * np.asarray(problem.values[s])
        for s in slots
        if np.result_type(problem.values[s]).kind in "fc"
    }
    steps = sorted({i for slot in given for i in program.below(slot)})
    with np.errstate(all="ignore"):
        moved = program.changes(problem.values, given, steps)
        for i in steps:
            for slot in program.steps[i].outs:
                if not _in_order(problem.values[slot], moved[slot]):
                    return i
    return _constant(problem, moved)


def _in_order(before, after) -> bool:
    """Whether each entry stayed as it was or was multiplied like dy."""
    before, after = np.asarray(before), np.asarray(after)
    if before.dtype.kind not in "fc":
        return bool(np.array_equal(before, after))
    kind = np.result_type(before, np.float64)
    before, after = before.astype(kind), after.astype(kind)
    size = EXACT * float(np.abs(before).max(initial=0.0, where=np.isfinite(before)))
    same = np.abs(after - before) <= size
    linear = np.abs(after - FACTOR * before) <= abs(FACTOR) * size
    return bool((same | linear | ~np.isfinite(before)).all())


def _constant(problem: Problem, moved: dict) -> int | None:
    """The step that makes a wrong gradient in which dy does not occur at all."""
    assert problem.program is not None
    for leaf in sorted(problem.wrong):
        slot = problem.program.outputs[leaf]
        if slot not in moved and np.any(problem.values[slot]):
            return problem.program.maker.get(slot)
    return None

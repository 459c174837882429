"""Edits of square arrays: a triangle of them, and the sum with their transpose."""

from collections.abc import Callable, Iterator

import numpy as np

from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.hints import Statement, say


def of_a_square(program: Program, index: int) -> Iterator[Edit]:
    """What a step's result is, where both its last axes are as long."""
    step = program.steps[index]
    if len(step.outs) != 1:
        return
    (out,), aval = step.outs, step.eqn.outvars[0].aval
    is_float = isinstance(aval.dtype, np.dtype) and aval.dtype.kind in "fc"
    if not is_float or len(aval.shape) < 2 or not 1 < aval.shape[-1] == aval.shape[-2]:
        return
    for what, kind, f in _other_squares():
        yield Edit(out, lambda v, f=f: f(np.asarray(v[out])), what, kind, 1.5)


def _other_squares() -> Iterator[tuple[Statement, str, Callable]]:
    yield say("add transpose"), "transpose", lambda a: a + np.swapaxes(a, -1, -2)
    halved = say("mean with transpose")
    yield halved, "transpose", lambda a: (a + np.swapaxes(a, -1, -2)) / 2
    for word, triangle in (("lower", np.tril), ("upper", np.triu)):
        for k in (0, -1, 1):
            what = say("triangle", what=word, k=k, fill="0")
            yield what, "mask", lambda a, f=triangle, k=k: f(a, k)

"""The comparisons of a program, and whether each was ever true, ever false.

Where one turns, the gradient may be another: inputs are sought on both sides of it.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.extend.core import Literal, jaxprs_in_params

from jaxninja.check.subject.control_flow import CONTROL, noted
from jaxninja.check.subject.plain_forward import line_of
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import bind, equations

_COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne")
_BOUNDS = "max", "min"

INDEXING = "jax/_src/numpy/indexing.py", "jax/_src/lax/slicing.py"


def watch(found: list):
    """A step that notes whether each comparison was ever true, ever false."""

    def step(eqn, ins):
        if compares_inside(eqn):
            outs, inside = noted(eqn, ins, watch, jnp.zeros(2, bool))
            found.extend((seen.any(0), line) for seen, line in inside)
            return outs
        if (asked := answer(eqn, ins)) is None:
            return None
        outs, sides = asked
        found.append((sides, line_of(eqn)))
        return outs

    return step


def answer(eqn, ins: list) -> tuple[list, Array] | None:
    """The outputs of an equation that has two sides, and whether it was ever on the
    one, ever on the other; None of all others. A maximum or minimum with one number
    has them as a comparison does: whether a bound is reached."""
    if tells(eqn, ins):
        outs = bind(eqn, ins)
        (true,) = outs
    elif _has_bound(eqn, ins):
        outs, true = bind(eqn, ins), jnp.asarray(ins[0] > ins[1])
    else:
        return None
    return outs, jnp.stack([true.any(), (~true).any()])


def _has_bound(eqn, ins: list) -> bool:
    if eqn.primitive.name not in _BOUNDS or not is_float(eqn.outvars[0].aval):
        return False
    a, b = ins
    return _bounds(a, b) or _bounds(b, a)


def _bounds(number, other) -> bool:
    """Whether it is one finite number, known or for a whole array."""
    if np.ndim(number):
        return False
    return bool(np.ndim(other) if isinstance(number, Tracer) else np.isfinite(number))


def compares_inside(eqn) -> bool:
    """Whether it is a scan or a branch with comparisons in its body."""
    if eqn.primitive.name not in CONTROL:
        return False
    return any(map(compares, jaxprs_in_params(eqn.params)))


def compares(jaxpr) -> bool:
    return any(e.primitive.name in _COMPARISONS + _BOUNDS for e in equations(jaxpr))


def tells(eqn, ins: list) -> bool:
    """Whether it compares numbers of the user's: indices below 0 are jnp's question,
    and so is in a search what is no number."""
    if eqn.primitive.name not in _COMPARISONS:
        return False
    operand = ins[0]
    if counts_from_end(eqn) or (_asks_for_nan(eqn) and line_of(eqn) is None):
        return False
    return operand.dtype != bool and jnp.issubdtype(operand.dtype, np.number)


def counts_from_end(eqn) -> bool:
    """Whether `x[i]` asks if i is below 0, and not the user's own code."""
    if eqn.primitive.name != "lt":
        return False
    index, bound = eqn.invars
    if is_float(index.aval) or not isinstance(bound, Literal) or bound.val != 0:
        return False
    trace = eqn.source_info.traceback
    return not trace or any(f.file_name.endswith(INDEXING) for f in trace.frames)


def _asks_for_nan(eqn) -> bool:
    """Whether a number is compared with itself."""
    one, other = eqn.invars
    return one is other

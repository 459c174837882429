"""What the engine reads of JAX's calls, and the only file that does.

An equation of a jaxpr is public; what the parameters of a call mean is not, and changes
between versions. Tested with JAX 0.10 and 0.12.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import source_info_util

from jaxninja.jaxpr import opened

Equation = Any


def where(eqn: Equation) -> str:
    """File and line of the user's code that the equation comes from."""
    return source_info_util.summarize(eqn.source_info)


def jvp_of(eqn: Equation, operands: Sequence, active: Sequence[bool]) -> tuple:
    """The rule of a custom_jvp function, as a jaxpr to run.

    Returns:
        jaxpr, consts, its operands (the primals, and a zero for every tangent), which
        of these are tangents of active operands, and for each output of the function
        whether the rule gives its tangent. The jaxpr returns the outputs, then these
        tangents.
    """
    start = eqn.params["num_consts"]
    primals, moves = list(operands[start:]), list(active[start:])
    given = moves if eqn.params["symbolic_zeros"] else [True] * len(moves)
    absent = [not g for g in given]
    jaxpr, consts, zero = eqn.params["jvp_jaxpr_fun"].call_wrapped(*absent)
    tangents = [_zero_tangent(p) for p, g in zip(primals, given, strict=True) if g]
    moving = [m for m, g in zip(moves, given, strict=True) if g]
    flags = [False] * len(primals) + moving
    return jaxpr, consts, primals + tangents, flags, [not z for z in zero]


def _zero_tangent(x) -> Any:
    if jax.numpy.issubdtype(x.dtype, jax.numpy.inexact):
        return jax.numpy.zeros_like(x)
    return np.zeros(x.shape, jax.dtypes.float0)


def forward_of(eqn: Equation, operands: Sequence, active: Sequence[bool]) -> tuple:
    """Run the fwd of a custom_vjp function: its outputs, and its residuals."""
    _, fwd, _ = _functions(eqn)
    pairs = [x for pair in zip(operands, active, strict=True) for x in pair]
    results = list(fwd.call_wrapped(*pairs))
    _, residuals, forwarded = eqn.params["out_trees"]()
    count = residuals.num_leaves - sum(f is not None for f in forwarded)
    kept, outs = iter(results[:count]), results[count:]
    return outs, [next(kept) if f is None else operands[f] for f in forwarded]


def backward_of(eqn: Equation, residuals: Sequence, cotangents: Sequence) -> list:
    """Run the bwd of a custom_vjp function; None for an argument without a gradient."""
    _, _, bwd = _functions(eqn)
    result = bwd.call_wrapped(*residuals, *cotangents)
    if isinstance(result, tuple) and isinstance(result[0], list):
        result = result[0]  # newer JAX returns what bwd logs, too
    return [ct if isinstance(ct, jax.Array | np.ndarray) else None for ct in result]


def _functions(eqn):
    return eqn.primitive.get_bind_params(eqn.params)["subfuns"]


class LinearSolve(NamedTuple):
    """A custom_linear_solve: its operands are those of four functions, and b."""

    matvec: tuple  # jaxpr, its constants, and which operands it takes before x
    b: int  # the operands from here on
    transposed: Callable[..., list] | None  # operands, cotangent of x -> that of b


def linear_solve_of(eqn: Equation) -> LinearSolve:
    lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    b = sum(lengths)

    def transposed(operands, cotangents):
        ends = [sum(lengths[: k + 1]) for k in range(len(lengths))]
        starts = [0, *ends[:-1]]
        given = type(lengths)(
            *(operands[i:j] for i, j in zip(starts, ends, strict=True))
        )
        consts = [x for one in given.transpose() for x in one]
        params = {"const_lengths": lengths.transpose(), "jaxprs": jaxprs.transpose()}
        out = eqn.primitive.bind(*consts, *cotangents, **params)
        return list(out)[: len(cotangents)]

    matvec = (*opened(jaxprs.matvec), slice(0, lengths.matvec))
    return LinearSolve(matvec, b, transposed if jaxprs.transpose_solve else None)

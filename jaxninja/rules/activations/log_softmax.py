"""Logarithm of the softmax along an axis: scores become log-probabilities.

    y[i] = x[i] - lse,   lse = log sum_j e^x[j]

Perturb x; lse moves by sum_j p[j] dx[j], with p = softmax(x) (logsumexp.py):

    y[i] moves by  dx[i] - sum_j p[j] dx[j]

The Jacobian is I - 1 p^T, with 1 a column of ones: each y[i] subtracts the same sum.
Transpose, and each x[j] receives p[j] of what all the y's send, taken together:

    dx = dy - p sum_i dy[i]

p is kept. y would do, p being e^y, but an exponential takes longer than reading p, and
the forward pass has it already in e^(x - max), up to the sum.

A slice all of -inf is decided to give y = -inf and no gradient.

Check: a slice of one gives y = 0 and dx = 0; sum_i dx[i] = 0 always, as p adds up to 1.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_axis, expect_floats
from jaxninja.rules.activations.softmax import example, finite_max


class Residuals(NamedTuple):
    p: jax.Array  # [*shape]; neither x nor y is kept
    empty: jax.Array  # of booleans, one a slice: all of it is -inf


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def log_softmax(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
    """Log-softmax: y = x - log(sum(e^x)) along an axis; smooth.

    Args:
        x: [*shape], of any size: the maximum is subtracted first. -inf is masked: y is
            -inf, and dy passes to x; but in a slice all of -inf the gradient is 0.
        axis: along which e^y adds up to 1.

    Returns:
        [*shape], 0 or less.

    Raises:
        ValueError: x is not of a floating-point type, or has no such axis, or none of
            its entries are along it.

    Source: Bridle 1990, Neurocomputing NATO ASI F68.
    """
    return log_softmax_fwd(x, axis)[0]


def log_softmax_fwd(x, axis):
    expect_floats("log_softmax", x=x)
    expect_axis("log_softmax", x, axis)
    shifted = x - finite_max(x, axis)
    counts = jnp.exp(shifted)
    total = counts.sum(axis, keepdims=True)
    empty = total == 0
    total = jnp.where(empty, 1, total)
    y = jnp.where(empty, -jnp.inf, shifted - jnp.log(total))
    return y, Residuals(counts * (1 / total), empty)


def log_softmax_bwd(axis, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    dx = dy - res.p * dy.sum(axis, keepdims=True)
    return (jnp.where(res.empty, 0, dx),)


log_softmax.defvjp(log_softmax_fwd, log_softmax_bwd)


def log_softmax_jvp(axis, primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, (p, empty) = log_softmax_fwd(x, axis)
    return y, jnp.where(empty, 0, dx - (p * dx).sum(axis, keepdims=True))


rule = Rule(
    op=log_softmax,
    fwd=log_softmax_fwd,
    bwd=log_softmax_bwd,
    jvp=log_softmax_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (-1,)),
        Case({"N": 5, "D": 3}, (0,)),
        Case({"N": 4, "D": 4}, (1,)),
        Case({"N": 1, "D": 1}, (-1,)),
        Case({"N": 2, "D": 31}, (-1,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (-1,)),
    source="Bridle 1990, Neurocomputing NATO ASI F68",
)

"""Softmax along an axis: scores become probabilities.

    y[i] = e^x[i] / sum_j e^x[j]

Perturb x. The numerator moves by e^x[i] dx[i], the sum by sum_j e^x[j] dx[j]; by the
quotient rule, writing both in terms of y,

    y[i] moves by  y[i] (dx[i] - sum_j y[j] dx[j])

The Jacobian is diag(y) - y y^T, symmetric, and so its own transpose:

    dx = y (dy - sum_j y[j] dy[j])

Only y is needed. A constant added to a slice of x changes nothing: its maximum may be
subtracted before exp, and no gradient need flow through it; by the same token a dy that
is constant along the slice gives dx = 0, and sum_i dx[i] = 0 always.

A slice all of -inf, whose y would be 0 / 0, is decided to be 0, and sends no gradient:
nothing there can be chosen. (As attention wants it, where a row may see no key.)

Check: a slice of one gives y = 1, dx = 0; equal scores y = 1/n, dx = (dy - mean) / n.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_axis, expect_floats


class Residuals(NamedTuple):
    y: jax.Array  # [*shape]; x is not kept


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def softmax(x: Float[Array, "*shape"], axis: int = -1) -> Float[Array, "*shape"]:
    """Softmax: y = e^x / sum(e^x) along an axis; smooth.

    Args:
        x: [*shape], of any size: the maximum is subtracted first. -inf is masked: its
            probability and gradient are 0, in a slice all of -inf too.
        axis: along which probabilities add up to 1 (0 in a slice all of -inf).

    Returns:
        [*shape] in [0, 1].

    Raises:
        ValueError: x is not of a floating-point type, or has no such axis, or none of
            its entries are along it.

    Source: Bridle 1990, Neurocomputing NATO ASI F68.
    """
    return softmax_fwd(x, axis)[0]


def softmax_fwd(x, axis):
    expect_floats("softmax", x=x)
    expect_axis("softmax", x, axis)
    counts = jnp.exp(x - finite_max(x, axis))
    total = counts.sum(axis, keepdims=True)
    y = counts / jnp.where(total == 0, 1, total)
    return y, Residuals(y)


def softmax_bwd(axis, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    y = res.y
    return (y * (dy - (y * dy).sum(axis, keepdims=True)),)


softmax.defvjp(softmax_fwd, softmax_bwd)


def softmax_jvp(axis, primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y = softmax_fwd(x, axis)[0]
    return y, y * (dx - (y * dx).sum(axis, keepdims=True))


def plain(x, axis):
    """What one writes without a thought of slices all of -inf: NaN there."""
    counts = jnp.exp(x - jax.lax.stop_gradient(x.max(axis, keepdims=True)))
    return counts / counts.sum(axis, keepdims=True)


def finite_max(x, axis):
    """Maximum along an axis that stays, without gradient; 0 where all are -inf."""
    top = jax.lax.stop_gradient(x.max(axis, keepdims=True))
    return jnp.where(top == -jnp.inf, jnp.zeros_like(top), top)


def example(key, N, D):
    return (2 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=softmax,
    fwd=softmax_fwd,
    bwd=softmax_bwd,
    jvp=softmax_jvp,
    example=example,
    reference=plain,
    cases=(
        Case({"N": 3, "D": 5}, (-1,)),
        Case({"N": 5, "D": 3}, (0,)),
        Case({"N": 4, "D": 4}, (1,)),
        Case({"N": 1, "D": 1}, (-1,)),
        Case({"N": 2, "D": 31}, (-1,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (-1,)),
    why="autodiff's backward pass needs y too, and little else: y, the output, so in "
    "memory anyway, is the least that will do",
    source="Bridle 1990, Neurocomputing NATO ASI F68",
)

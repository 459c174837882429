"""Logistic sigmoid, elementwise.

    y = 1 / (1 + e^-x)

With q = 1 + e^-x, so that y = 1 / q and q' = -e^-x = 1 - q:

    dy/dx = -q' / q^2 = (q - 1) / q^2 = (1 - 1 / q) (1 / q) = y (1 - y)

Elementwise, so the Jacobian is diagonal and its own transpose:

    dx = y (1 - y) dy

Only y is needed. The slope is at most 1/4, at x = 0: every sigmoid on the way back
takes three quarters of the gradient or more, and a saturated one all of it.

Check: with t = tanh(x / 2), y = (1 + t) / 2 and dy/dx = (1 - t^2) / 4 = y (1 - y). At
x = 20 in float32 y rounds to 1 and dx is exactly 0; at x = -20 dx is e^-20 dy.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    y: jax.Array  # [*shape]; x is not kept


@jax.custom_vjp
def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logistic sigmoid: y = 1 / (1 + e^-x), elementwise, smooth everywhere.

    Args:
        x: [*shape].

    Returns:
        [*shape] in [0, 1].

    Raises:
        ValueError: x is not of a floating-point type.

    Source: Rumelhart, Hinton, Williams 1986, Learning representations by
        back-propagating errors.
    """
    return sigmoid_fwd(x)[0]


def sigmoid_fwd(x):
    expect_floats("sigmoid", x=x)
    y = jax.lax.logistic(x)
    return y, Residuals(y)


def sigmoid_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (res.y * (1 - res.y) * dy,)


sigmoid.defvjp(sigmoid_fwd, sigmoid_bwd)


def sigmoid_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y = jax.lax.logistic(x)
    return y, y * (1 - y) * dx


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=sigmoid,
    fwd=sigmoid_fwd,
    bwd=sigmoid_bwd,
    jvp=sigmoid_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Rumelhart, Hinton, Williams 1986, Learning representations",
)

"""Hyperbolic tangent, elementwise.

    y = tanh(x) = (e^x - e^-x) / (e^x + e^-x)

The quotient rule, with s = e^x - e^-x and c = e^x + e^-x, so that s' = c and c' = s:

    dy/dx = (c c - s s) / c^2 = 1 - y^2

Elementwise, so the Jacobian is diagonal and its own transpose:

    dx = (1 - y^2) dy = (1 - y)(1 + y) dy

Only y is needed. The product form loses no digits when |y| is close to 1, where 1 - y^2
cancels; that is the flat tail in which a saturated unit stops learning.

Check: at x = 0 dx = dy; at x = 20 in float32 y rounds to 1 and dx is exactly 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    y: jax.Array  # [*shape]; x is not kept


@jax.custom_vjp
def tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Hyperbolic tangent: y = tanh(x), elementwise, smooth everywhere.

    Args:
        x: [*shape].

    Returns:
        [*shape] in [-1, 1].

    Raises:
        ValueError: x is not of a floating-point type.

    Source: LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp.
    """
    return tanh_fwd(x)[0]


def tanh_fwd(x):
    expect_floats("tanh", x=x)
    y = jnp.tanh(x)
    return y, Residuals(y)


def tanh_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return ((1 - res.y) * (1 + res.y) * dy,)


tanh.defvjp(tanh_fwd, tanh_bwd)


def tanh_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y = jnp.tanh(x)
    return y, (1 - y) * (1 + y) * dx


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=tanh,
    fwd=tanh_fwd,
    bwd=tanh_bwd,
    jvp=tanh_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp",
)

"""Squared rectified linear unit, elementwise.

    y = r^2,   r = max(x, 0)

A move dx of x moves r by dx where the unit is on and not at all where it is off, and
y by 2 r times that; where it is off r is 0, which says the same:

    dy/dx = 2 r

Elementwise, so the Jacobian is diagonal and its own transpose: dx = 2 r dy.

Unlike relu's, the slope is continuous: at x = 0 it is 0 from both sides, and a unit
near its kink learns little.

Check: y = x^2 and dx = 2 x dy for x > 0, both 0 for x < 0; y is homogeneous of degree
2, so x dy/dx = 2 y (Euler).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    x: jax.Array  # [*shape], not r: x waits in memory anyway where others use it


@jax.custom_vjp
def squared_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Squared rectified linear unit: y = max(x, 0)^2, slope 0 at x = 0.

    Args:
        x: [*shape]. NaN stays NaN.

    Returns:
        [*shape], 0 or more.

    Raises:
        ValueError: x is not of a floating-point type.

    Source: So, Manke, Liu, Dai, Shazeer, Le 2021, arXiv:2109.08668.
    """
    return squared_relu_fwd(x)[0]


def squared_relu_fwd(x):
    expect_floats("squared_relu", x=x)
    r = jnp.maximum(x, jnp.zeros_like(x))
    return r * r, Residuals(x)


def squared_relu_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    r = jnp.maximum(res.x, jnp.zeros_like(res.x))
    return (2 * r * dy,)


squared_relu.defvjp(squared_relu_fwd, squared_relu_bwd)


def squared_relu_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    r = jnp.maximum(x, jnp.zeros_like(x))
    return r * r, 2 * r * dx


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=squared_relu,
    fwd=squared_relu_fwd,
    bwd=squared_relu_bwd,
    jvp=squared_relu_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="So, Manke, Liu, Dai, Shazeer, Le 2021, arXiv:2109.08668",
)

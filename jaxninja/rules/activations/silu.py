"""Sigmoid linear unit, elementwise: x, as far as a sigmoid lets it through.

    y = x s,   s = sigmoid(x) = 1 / (1 + e^-x)

The product rule, with s' = s (1 - s) from sigmoid.py:

    dy/dx = s + x s (1 - s) = s + y (1 - s)

Elementwise, so the Jacobian is diagonal and its own transpose: dx = (dy/dx) dy. y falls
to -0.28 at x = -1.28 and rises again, so the slope cannot be read off y: x is kept and
s computed anew, one exponential against an array as large as x.

Check: dy/dx is 1/2 at x = 0, 1 for x -> inf, 0 for x -> -inf; 1 - dy/dx at x is dy/dx
at -x, since y(x) - y(-x) = x.
"""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    x: jax.Array  # [*shape]; s is computed anew


@jax.custom_vjp
def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Sigmoid linear unit, or swish: y = x sigmoid(x), elementwise, smooth everywhere.

    Args:
        x: [*shape]. At -inf y is NaN, as -inf times 0 is.

    Returns:
        [*shape], -0.28 or more.

    Raises:
        ValueError: x is not of a floating-point type.

    Source: Elfwing, Uchibe, Doya 2017, arXiv:1702.03118.
    """
    return silu_fwd(x)[0]


def silu_fwd(x):
    expect_floats("silu", x=x)
    return x * jax.lax.logistic(x), Residuals(x)


def silu_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (value_and_slope(res.x)[1] * dy,)


silu.defvjp(silu_fwd, silu_bwd)


def silu_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, slope = value_and_slope(x)
    return y, slope * dx


def value_and_slope(x):
    """y and dy/dx, as derived above; swiglu is made of them too."""
    s = jax.lax.logistic(x)
    y = x * s
    return y, s + y * (1 - s)


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=silu,
    fwd=silu_fwd,
    bwd=silu_bwd,
    jvp=silu_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Elfwing, Uchibe, Doya 2017, arXiv:1702.03118",
)

"""Softplus, elementwise: a rectified linear unit whose corner is rounded.

    y = log(1 + e^(b x)) / b                                     (b: beta, sharpness)

With q = 1 + e^(b x), so that y = log(q) / b and q' = b (q - 1):

    dy/dx = q' / (b q) = 1 - 1 / q = sigmoid(b x)

Elementwise, so the Jacobian is diagonal and its own transpose:

    dx = sigmoid(b x) dy

Only x is kept. y would do, as 1 / q = e^(-b y), but 1 - e^(-b y) cancels far left,
where y is tiny, unless it is computed by expm1, which takes longer than the sigmoid.

Check: at x = 0, y = log(2) / b and dy/dx = 1/2, whatever b. For b -> inf y becomes
max(x, 0); for b x beyond 17 in float32 y is x, and dx is dy to the last digit.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, expect_floats


class Residuals(NamedTuple):
    x: jax.Array  # [*shape]; y and q are not kept


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def softplus(x: Float[Array, "*shape"], beta: float = 1.0) -> Float[Array, "*shape"]:
    """Softplus: y = log(1 + e^(beta x)) / beta, elementwise, smooth everywhere.

    Args:
        x: [*shape].
        beta: above 0; the larger, the sharper the bend at x = 0.

    Returns:
        [*shape], 0 or more.

    Raises:
        ValueError: x is not of a floating-point type, or beta is not above 0.

    Source: Dugas, Bengio, Belisle, Nadeau, Garcia 2001, Incorporating second-order
        functional knowledge for better option pricing.
    """
    return softplus_fwd(x, beta)[0]


def softplus_fwd(x, beta):
    expect_floats("softplus", x=x)
    expect("softplus", "beta", repr(beta), "a number above 0", beta > 0)
    y = jnp.logaddexp(beta * x, jnp.zeros_like(x)) / beta
    return y, Residuals(x)


def softplus_bwd(beta, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (jax.lax.logistic(beta * res.x) * dy,)


softplus.defvjp(softplus_fwd, softplus_bwd)


def softplus_jvp(beta, primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y = softplus_fwd(x, beta)[0]
    return y, jax.lax.logistic(beta * x) * dx


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=softplus,
    fwd=softplus_fwd,
    bwd=softplus_bwd,
    jvp=softplus_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (1.0,)),
        Case({"N": 4, "D": 4}, (0.3,)),
        Case({"N": 1, "D": 1}, (5.0,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (1.0,)),
    source="Dugas, Bengio, Belisle, Nadeau, Garcia 2001",
)

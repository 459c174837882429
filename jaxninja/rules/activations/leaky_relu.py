"""Leaky rectified linear unit, elementwise.

    y = x  where x >= 0,   a x elsewhere                                  (a: slope)

A move dx of x moves y by dx on the right and by a dx on the left. The Jacobian is a
diagonal of ones and a's, its own transpose:

    dx = dy  where x >= 0,   a dy elsewhere

At the kink x = 0 the slope is 1, as JAX has it. (relu.py takes 0 there, so that a unit
that puts out 0 does not learn; a leaky unit learns on both sides.)

Check: a = 1 is the identity, a = 0 a relu but for the kink. As a is not 0, no unit
dies: one that is off for every example still receives a dy, and can come back.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    on: jax.Array  # [*shape] of booleans, a byte each; neither x nor y is kept


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def leaky_relu(
    x: Float[Array, "*shape"], slope: float = 0.01
) -> Float[Array, "*shape"]:
    """Leaky rectified linear unit: y = x where x >= 0, else slope x; dy/dx = 1 at 0.

    Args:
        x: [*shape].
        slope: of the left side, x < 0.

    Returns:
        [*shape].

    Raises:
        ValueError: x is not of a floating-point type.

    Source: Maas, Hannun, Ng 2013, Rectifier nonlinearities improve neural network
        acoustic models.
    """
    return leaky_relu_fwd(x, slope)[0]


def leaky_relu_fwd(x, slope):
    expect_floats("leaky_relu", x=x)
    on = x >= 0
    return jnp.where(on, x, slope * x), Residuals(on)


def leaky_relu_bwd(slope, res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (jnp.where(res.on, dy, slope * dy),)


leaky_relu.defvjp(leaky_relu_fwd, leaky_relu_bwd)


def leaky_relu_jvp(slope, primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, (on,) = leaky_relu_fwd(x, slope)
    return y, jnp.where(on, dx, slope * dx)


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=leaky_relu,
    fwd=leaky_relu_fwd,
    bwd=leaky_relu_bwd,
    jvp=leaky_relu_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (0.01,)),
        Case({"N": 4, "D": 4}, (0.3,)),
        Case({"N": 1, "D": 1}, (0.01,)),
        Case({"N": 2, "D": 7}, (-0.5,)),  # the sign of y no longer tells that of x
    ),
    bench=Case({"N": 4096, "D": 512}, (0.01,)),
    source="Maas, Hannun, Ng 2013, Rectifier nonlinearities",
)

"""Rectified linear unit, elementwise.

    y = x  where x > 0,   0 elsewhere

A move dx of x moves y by dx where the unit is on, and not at all where it is off. The
Jacobian is a diagonal of ones and zeros, its own transpose:

    dx = dy  where x > 0,   0 elsewhere

At the kink x = 0 any slope from 0 to 1 is a subgradient; 0 is taken, so that a unit
which puts out 0 learns nothing, whichever way it came there. (JAX's derivative of
max(x, 0) is 1/2 there, and such a unit would learn half.)

Check: a unit that is off for every example of the data passes nothing on, and its own
weights receive nothing: no later step can bring it back. That is a dead unit.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect_floats


class Residuals(NamedTuple):
    off: jax.Array  # [*shape] of booleans, a byte each; neither x nor y is kept


@jax.custom_vjp
def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Rectified linear unit: y = max(x, 0); at the kink x = 0 its slope is 0.

    Args:
        x: [*shape]. NaN stays NaN: a comparison x > 0 would turn it into 0.

    Returns:
        [*shape], 0 or more.

    Raises:
        ValueError: x is not of a floating-point type.

    Source: Nair, Hinton 2010, Rectified Linear Units Improve RBMs.
    """
    return relu_fwd(x)[0]


def relu_fwd(x):
    expect_floats("relu", x=x)
    off = x <= 0
    return jnp.where(off, jnp.zeros_like(x), x), Residuals(off)


def relu_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (jnp.where(res.off, jnp.zeros_like(dy), dy),)


relu.defvjp(relu_fwd, relu_bwd)


def relu_jvp(primals, tangents):
    """Returns y and its move dy [*shape] for a move dx of x."""
    (x,), (dx,) = primals, tangents
    y, (off,) = relu_fwd(x)
    return y, jnp.where(off, jnp.zeros_like(dx), dx)


def example(key, N, D):
    return (1.5 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=relu,
    fwd=relu_fwd,
    bwd=relu_bwd,
    jvp=relu_jvp,
    example=example,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Nair, Hinton 2010, Rectified Linear Units Improve RBMs",
)

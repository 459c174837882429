"""Rounding to integers, with a gradient that is declared and not derived.

    y = round(x)                                 (half to even)

A small move of x does not move y at all, except where y jumps. The true gradient is 0
almost everywhere, and a network that rounds inside could not learn. So another function
is differentiated in its place, the identity, which differs from y by at most 1/2:

    y is said to move by dx                      dx = dy

This is not the gradient of y, and no finite difference will confirm it; it is that of
the surrogate x + stop_gradient(round(x) - x), which has the value of y and the slope of
x, and which is what it is checked against. Nothing is kept.

Check: at an integer x nothing is rounded, y = x, and the gradient is that of y = x.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect


@jax.custom_vjp
def straight_through_round(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Round to the nearest integer, half to even; the gradient passes straight through.

    Args:
        x: [*shape].

    Returns:
        [*shape] of integers, in the type of x.

    Raises:
        ValueError: x is not of floats.

    Source: Bengio, Leonard, Courville 2013, arXiv:1308.3432.
    """
    return straight_through_round_fwd(x)[0]


def straight_through_round_fwd(x):
    real = jnp.issubdtype(x.dtype, jnp.floating)
    expect("straight_through_round", "x", f"of type {x.dtype}", "floats", real)
    return jnp.round(x), ()


def straight_through_round_bwd(res, dy):
    """Returns dx [*shape], in a one-tuple."""
    return (dy,)


straight_through_round.defvjp(straight_through_round_fwd, straight_through_round_bwd)


def straight_through_round_jvp(primals, tangents):
    return straight_through_round_fwd(*primals)[0], tangents[0]


def surrogate(x):
    """The value of round(x) with the slope of x, for `jax.vjp` to differentiate.

    The difference of a float and its rounding is exact, so the value is round(x) to the
    last bit.
    """
    return x + lax.stop_gradient(jnp.round(x) - x)


def example(key, N, D):
    return (3 * jax.random.normal(key, (N, D)),)


rule = Rule(
    op=straight_through_round,
    fwd=straight_through_round_fwd,
    bwd=straight_through_round_bwd,
    jvp=straight_through_round_jvp,
    example=example,
    reference=surrogate,
    cases=(Case({"N": 3, "D": 5}), Case({"N": 1, "D": 1}), Case({"N": 4, "D": 4})),
    bench=Case({"N": 4096, "D": 512}),
    source="Bengio, Leonard, Courville 2013, arXiv:1308.3432",
)

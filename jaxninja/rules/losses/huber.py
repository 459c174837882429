"""Huber's loss: squared near 0, linear far away; the mean over all entries.

    r = x - y        h(r) = r^2 / 2                      where |r| <= delta
                     h(r) = delta (|r| - delta / 2)      beyond
    loss = sum h(r) / n

The slope of a branch is r, or delta sign(r); the two agree at |r| = delta, in value and
in slope, so h has no kink:

    c = r where |r| <= delta, else delta sign(r)            h'(r) = c
    h moves by c dr, with dr = dx - dy       loss moves by  sum c (dx - dy) / n

Transposed, with the cotangent dloss:

    dx = c dloss / n                         dy = -dx

An outlier pulls with delta and no more. c is r clipped to [-delta, delta], and h and c
could be had from clips; written branch by branch, XLA holds no copy of r and c.

Check: |r| <= delta everywhere gives half of mse; delta -> 0 gives delta times the mean
absolute error; x = y gives no gradient.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, expect, mean_cotangent
from jaxninja.rules.losses.arguments import pair_of_floats


class Residuals(NamedTuple):
    r: jax.Array  # [*shape] x - y; neither x nor y is kept


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def huber(
    x: Float[Array, "*shape"], y: Float[Array, "*shape"], delta: float = 1.0
) -> Float[Array, ""]:
    """Mean of r^2 / 2 where |r| <= delta, of delta (|r| - delta / 2) beyond; r = x - y.

    Once differentiable everywhere; the second derivative jumps at |r| = delta.

    Args:
        x: [*shape] predictions.
        y: [*shape] targets; they receive a gradient too.
        delta: where the parabola becomes a line, in the units of x; the slope's bound.

    Returns:
        Scalar, 0 or more.

    Raises:
        ValueError: the shapes differ, there is no entry (a mean of 0 / 0), an array is
            not of floats, or delta is not above 0.

    Source: Huber 1964, Robust Estimation of a Location Parameter.
    """
    return huber_fwd(x, y, delta)[0]


def huber_fwd(x, y, delta):
    _check_arguments(x, y, delta)
    r = x - y
    far = delta * (abs(r) - delta / 2)
    return jnp.where(abs(r) <= delta, r * r / 2, far).mean(), Residuals(r)


def huber_bwd(delta, res, dloss):
    """Returns dx and dy, [*shape] each."""
    dx = _slope_times(mean_cotangent(dloss, res.r.size), res.r, delta)
    return dx, -dx


huber.defvjp(huber_fwd, huber_bwd)


def huber_jvp(delta, primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    loss, (r,) = huber_fwd(x, y, delta)
    return loss, _slope_times(dx - dy, r, delta).mean()


def _slope_times(factor, r, delta):
    """factor h'(r), [*shape]"""
    return jnp.where(abs(r) <= delta, factor * r, factor * delta * jnp.sign(r))


def _check_arguments(x, y, delta):
    pair_of_floats("huber", x=x, y=y)
    expect("huber", "delta", delta, "a number above 0", delta > 0)


def example(key, N, D):
    key_x, key_y = jax.random.split(key)
    return jax.random.normal(key_x, (N, D)), 0.3 + jax.random.normal(key_y, (N, D))


rule = Rule(
    op=huber,
    fwd=huber_fwd,
    bwd=huber_bwd,
    jvp=huber_jvp,
    example=example,
    cases=(
        Case({"N": 3, "D": 5}, (1.0,)),
        Case({"N": 1, "D": 1}, (0.5,)),
        Case({"N": 4, "D": 4}, (0.2,)),
    ),
    bench=Case({"N": 4096, "D": 512}, (1.0,)),
    source="Huber 1964, Robust Estimation of a Location Parameter",
)

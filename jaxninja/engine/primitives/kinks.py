"""VJPs at kinks, ties and jumps, with the choices that JAX makes there."""

import jax.numpy as jnp

from jaxninja.engine.core import constant
from jaxninja.engine.primitives.elementwise import fit


def abs_(dy, y, x, **_):
    """y = |x|: dy/dx = 1 for x >= 0, else -1; at the kink JAX takes the right side.

    Of complex numbers y^2 = conj(x) x, so y moves by Re(conj(x) dx) / y; 0 at x = 0.
    """
    if jnp.iscomplexobj(x):
        return (dy.astype(x.dtype) * jnp.conj(x) / _or_one(y).astype(x.dtype),)
    return (jnp.where(x >= 0, dy, -dy),)


def sign(dy, y, x, **_):
    """Of real numbers no gradient passes: y is constant on either side of 0.

    Of a complex number it is y = x / |x| = exp(i theta), so it moves with the angle:
    dtheta = Im(conj(y) dx) / |x|, and i y dtheta is how; nothing at x = 0.
    """
    if not jnp.iscomplexobj(x):
        return (None,)
    r = jnp.abs(x)
    dtheta = jnp.imag(dy * y) / _or_one(r)
    return (1j * dtheta.astype(x.dtype) * jnp.conj(y),)


def _or_one(r):
    return jnp.where(r == 0, 1, r)


def max_(dz, z, x, y, **_):
    """z = max(x, y) is the larger one; at a tie each gets a half."""
    return fit(dz * _share(x, y, z), x), fit(dz * _share(y, x, z), y)


def _share(x, y, z):
    """1 where z is x alone, 1/2 where it is both, else 0."""
    return jnp.where(x == z, jnp.where(y == z, 0.5, 1), 0).astype(z.dtype)


def clamp(dy, y, low, x, high, **_):
    """y = min(max(x, low), high): dy goes to whichever of the three y is.

    At x = low or x = high no one gets it, as in JAX.
    """
    inside = (low < x) & (x < high)
    below, above = (x < low) & (low < high), high < x
    return (
        fit(jnp.where(below, dy, 0), low),
        jnp.where(inside, dy, 0),
        fit(jnp.where(above, dy, 0), high),
    )


def select_n(dz, z, which, *cases, **_):
    """z = cases[which], entry by entry: the case that was taken gets dz."""
    which = which.astype(jnp.int32)  # of two cases it is a boolean
    return None, *(jnp.where(which == k, dz, 0) for k in range(len(cases)))


KINKS = {
    "abs": abs_,
    "ceil": constant,
    "clamp": clamp,
    "floor": constant,
    "max": max_,
    "min": max_,
    "round": constant,
    "select_n": select_n,
    "sign": sign,
    "stop_gradient": constant,
}

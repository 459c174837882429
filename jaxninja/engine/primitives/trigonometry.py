"""VJPs of trigonometric and hyperbolic functions and their inverses: dx = f'(x) dy.

Of an inverse, x = g(y), the derivative is 1 / g'(y), written in x.
"""

import jax.numpy as jnp
from jax import lax

from jaxninja.engine.primitives.elementwise import fit

# ---- hyperbolic functions


def sinh(dy, y, x, **_):
    """y = sinh x."""
    return (dy * jnp.cosh(x),)


def cosh(dy, y, x, **_):
    """y = cosh x."""
    return (dy * jnp.sinh(x),)


def asinh(dy, y, x, **_):
    """x = sinh y, so dx/dy = cosh y = sqrt(1 + x^2)."""
    return (dy * lax.rsqrt(x * x + 1),)


def acosh(dy, y, x, **_):
    """x = cosh y, so dx/dy = sinh y = sqrt(x - 1) sqrt(x + 1), for complex x too."""
    return (dy * lax.rsqrt(x - 1) * lax.rsqrt(x + 1),)


def atanh(dy, y, x, **_):
    """x = tanh y, so dx/dy = 1 - x^2."""
    return (dy / ((1 + x) * (1 - x)),)


# ---- trigonometry: derivatives of the inverse functions by that of the function


def sin(dy, y, x, **_):
    """y = sin x."""
    return (dy * jnp.cos(x),)


def cos(dy, y, x, **_):
    """y = cos x."""
    return (-dy * jnp.sin(x),)


def tan(dy, y, x, **_):
    """y = sin x / cos x: dy/dx = 1 + y^2."""
    return (dy * (1 + y * y),)


def asin(dy, y, x, **_):
    """x = sin y, so dx/dy = cos y = sqrt(1 - x^2)."""
    return (dy * lax.rsqrt(1 - x * x),)


def acos(dy, y, x, **_):
    """x = cos y, so dx/dy = -sin y = -sqrt(1 - x^2)."""
    return (-dy * lax.rsqrt(1 - x * x),)


def atan(dy, y, x, **_):
    """x = tan y, so dx/dy = 1 + x^2."""
    return (dy / (1 + x * x),)


def atan2(dz, z, x, y, **_):
    """z = angle of the point (y, x) at distance r: dz = (y dx - x dy) / r^2."""
    r2 = x * x + y * y
    return fit(dz * (y / r2), x), fit(dz * (-x / r2), y)


TRIGONOMETRY = {
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atan2": atan2,
    "atanh": atanh,
    "cos": cos,
    "cosh": cosh,
    "sin": sin,
    "sinh": sinh,
    "tan": tan,
}

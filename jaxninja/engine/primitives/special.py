"""VJPs of the elementary and special functions: dx = f'(x) dy, entry by entry."""

import math

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
    """x = cosh y, so dx/dy = sinh y = sqrt(x^2 - 1)."""
    return (dy * lax.rsqrt(x * x - 1),)


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


# ---- special functions


def erf(dy, y, x, **_):
    """y = 2/sqrt(pi) times the integral of e^-t^2 from 0 to x."""
    return (dy * (2 / math.sqrt(math.pi)) * jnp.exp(-x * x),)


def erfc(dy, y, x, **_):
    """y = 1 - erf x."""
    return (-dy * (2 / math.sqrt(math.pi)) * jnp.exp(-x * x),)


def erf_inv(dy, y, x, **_):
    """x = erf y, so dx/dy = 2/sqrt(pi) e^-y^2."""
    return (dy * (math.sqrt(math.pi) / 2) * jnp.exp(y * y),)


def lgamma(dy, y, x, **_):
    """y = log |Gamma(x)|: its derivative is called digamma."""
    return (dy * lax.digamma(x),)


def digamma(dy, y, x, **_):
    """The derivative of digamma is called polygamma 1."""
    return (dy * lax.polygamma(jnp.ones_like(x), x),)


# ---- polynomials, as JAX's own special functions use them


def one_minus_square(dy, y, x, **_):
    """y = 1 - x^2."""
    return (-2 * dy * x,)


def polynomial(dy, y, x, *coefficients, **_):
    """y = sum_k c_k x^k: dy/dx = sum_k k c_k x^(k-1), by Horner; dy/dc_k = x^k."""
    slope = jnp.zeros_like(x)
    for k in range(len(coefficients) - 1, 0, -1):
        slope = slope * x + k * coefficients[k]
    powers = [jnp.ones_like(x)]
    for _ in coefficients[1:]:
        powers.append(powers[-1] * x)
    terms = (fit(dy * p, c) for p, c in zip(powers, coefficients, strict=True))
    return fit(dy * slope, x), *terms


SPECIAL = {
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atan2": atan2,
    "atanh": atanh,
    "cos": cos,
    "cosh": cosh,
    "digamma": digamma,
    "erf": erf,
    "erf_inv": erf_inv,
    "erfc": erfc,
    "lgamma": lgamma,
    "one_minus_square": one_minus_square,
    "polynomial": polynomial,
    "sin": sin,
    "sinh": sinh,
    "tan": tan,
}

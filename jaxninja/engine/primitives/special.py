"""VJPs of the special functions: dx = f'(x) dy, entry by entry."""

import math

import jax.numpy as jnp
from jax import lax

from jaxninja.engine.primitives.elementwise import fit

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


def polygamma(dy, y, n, x, **_):
    """The n-th derivative of digamma: its derivative is the next one. n is a count."""
    return NotImplemented, fit(dy * lax.polygamma(n + 1, x), x)


def igamma(dy, y, a, x, **_):
    """y = 1/Gamma(a) times the integral of t^(a-1) e^-t from 0 to x.

    The derivative with respect to a has no closed form; JAX has its series.
    """
    slope = jnp.exp((a - 1) * jnp.log(x) - x - lax.lgamma(a))
    return fit(dy * lax.igamma_grad_a(a, x), a), fit(dy * slope, x)


def igammac(dy, y, a, x, **_):
    """y = 1 - igamma(a, x)."""
    da, dx = igamma(dy, y, a, x)
    return -da, -dx


def regularized_incomplete_beta(dy, y, a, b, x, **_):
    """y = 1/B(a, b) times the integral of t^(a-1) (1-t)^(b-1) from 0 to x."""
    log_beta = lax.lgamma(a) + lax.lgamma(b) - lax.lgamma(a + b)
    slope = jnp.exp((a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - log_beta)
    return NotImplemented, NotImplemented, fit(dy * slope, x)


def bessel_i0e(dy, y, x, **_):
    """y = e^-|x| I0(x), and I0' = I1."""
    return (dy * (lax.bessel_i1e(x) - jnp.sign(x) * y),)


def bessel_i1e(dy, y, x, **_):
    """y = e^-|x| I1(x), and I1' = I0 - I1 / x; I1(x) / x is 1/2 at 0."""
    tiny = abs(x) <= jnp.finfo(x.dtype).eps
    z = jnp.where(tiny, 1, x)
    slope = lax.bessel_i0e(z) - y * (jnp.sign(z) + 1 / z)
    return (dy * jnp.where(tiny, 0.5, slope),)


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
    "bessel_i0e": bessel_i0e,
    "bessel_i1e": bessel_i1e,
    "digamma": digamma,
    "erf": erf,
    "erf_inv": erf_inv,
    "erfc": erfc,
    "igamma": igamma,
    "igammac": igammac,
    "lgamma": lgamma,
    "one_minus_square": one_minus_square,
    "polygamma": polygamma,
    "polynomial": polynomial,
    "regularized_incomplete_beta": regularized_incomplete_beta,
}

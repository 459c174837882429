"""Series, integrals and functions of one variable, and a robust location."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import log_ndtr as jax_log_ndtr

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "polyval of numpy by Horner's scheme, as written in calibration code",
    "polynomial",
    draw(coefficients=(4,), x=(5,)),
    Twin(
        "order of the powers",
        "index|swap|transpose",
        "coefficients",
        "The highest power comes first, the gradient has it last.",
    ),
    Twin(
        "exponents",
        "factor|function",
        "x",
        "The exponents of the derivative are forgotten.",
    ),
)
def horner_polynomial(slip):
    def plain(coefficients, x):
        def step(total, c):
            return total * x + c, None

        return lax.scan(step, jnp.zeros_like(x), coefficients)[0]

    evaluate = jax.custom_vjp(plain)

    def fwd(coefficients, x):
        return plain(coefficients, x), (coefficients, x)

    def bwd(res, g):
        coefficients, x = res
        n = len(coefficients)
        degree = jnp.arange(n - 1, 0, -1).astype(x.dtype)
        if slip == "exponents":
            degree = jnp.ones_like(degree)
        dx = g * plain(degree * coefficients[:-1], x)
        powers = jnp.vander(x, n, increasing=slip == "order of the powers")
        return g @ powers, dx

    evaluate.defvjp(fwd, bwd)
    return evaluate, plain


def season(rng):
    time = positive(rng, 6, low=0.0, high=5.0)
    return time, normal(rng), normal(rng, 3), normal(rng, 3), jnp.float32(3.5)


@case(
    "seasonal Fourier terms of Prophet in numpyro's forecasting examples",
    "series",
    season,
    Twin(
        "harmonics",
        "factor|term",
        "time",
        "The slope in time lacks the number of the harmonic.",
    ),
    Twin(
        "sign of the period",
        "sign",
        "period",
        "A longer period slows the phase: the minus is missing.",
    ),
    fixed=(0, 4),
    narrow=False,
)
def fourier_series(slip):
    def phases(time, period, order):
        turns = jnp.arange(1, order + 1, dtype=time.dtype) * 2 * jnp.pi
        return turns, jnp.outer(time, turns) / period

    def plain(time, mean, cosines, sines, period):
        _, phase = phases(time, period, len(cosines))
        return mean + jnp.cos(phase) @ cosines + jnp.sin(phase) @ sines

    series = jax.custom_vjp(plain)

    def fwd(time, mean, cosines, sines, period):
        value = plain(time, mean, cosines, sines, period)
        return value, (time, cosines, sines, period)

    def bwd(res, g):
        time, cosines, sines, period = res
        turns, phase = phases(time, period, len(cosines))
        cos, sin = jnp.cos(phase), jnp.sin(phase)
        dphase = g[:, None] * (cos * sines - sin * cosines)
        rate = dphase @ turns / period
        dperiod = -(rate * time).sum() / period
        if slip == "harmonics":
            rate = dphase.sum(1) * 2 * jnp.pi / period
        if slip == "sign of the period":
            dperiod = -dperiod
        return rate, g.sum(), g @ cos, g @ sin, dperiod

    series.defvjp(fwd, bwd)
    return series, plain


@case(
    "log_ndtr of tensorflow-probability and probit code on JAX",
    "special function",
    draw(x=(3, 4)),
    Twin(
        "quotient of the density",
        "precision|function|edge|residual",
        "x",
        "Density over probability: zero over zero far to the left.",
        witness=lambda rng: (normal(rng, 5, mean=-45.0),),
    ),
    Twin(
        "variance",
        "factor|function",
        "x",
        "exp(-x^2) for the density's exp(-x^2 / 2).",
    ),
    narrow=False,
)
def log_ndtr(slip):
    def plain(x):
        return jax_log_ndtr(x)

    cdf = jax.custom_vjp(plain)

    def fwd(x):
        value = plain(x)
        return value, (x, value)

    def bwd(res, g):
        x, value = res
        root = np.sqrt(2 * np.pi).item()
        if slip == "quotient of the density":
            return (g * jnp.exp(-0.5 * x * x) / (root * jax.scipy.special.ndtr(x)),)
        square = x * x if slip == "variance" else 0.5 * x * x
        return (g * jnp.exp(-square - value) / root,)

    cdf.defvjp(fwd, bwd)
    return cdf, plain


@case(
    "acf of statsmodels, as ported to JAX; autocorrelation of numpyro.diagnostics",
    "time series",
    lambda rng: (normal(rng, 9), 3),
    Twin(
        "one side of the lag",
        "term|transpose",
        "x",
        "Each product is differentiated by its earlier value only.",
    ),
    Twin(
        "variance as constant",
        "term",
        "x",
        "The division by the variance is not differentiated.",
    ),
    Twin(
        "centring",
        "term",
        "x",
        "The mean is not taken off the gradient.",
    ),
)
def autocorrelation(slip):
    def plain(x, lags):
        c = x - x.mean()
        products = [c[k:] @ c[:-k] for k in range(1, lags + 1)]
        return jnp.stack(products) / (c @ c)

    acf = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, lags):
        out = plain(x, lags)
        return out, (x - x.mean(), out)

    def bwd(lags, res, g):
        c, out = res
        dc = jnp.zeros_like(c)
        for k in range(1, lags + 1):
            dc = dc.at[:-k].add(g[k - 1] * c[k:])
            if slip != "one side of the lag":
                dc = dc.at[k:].add(g[k - 1] * c[:-k])
        if slip != "variance as constant":
            dc = dc - 2 * (g @ out) * c
        dc = dc / (c @ c)
        return (dc if slip == "centring" else dc - dc.mean(),)

    acf.defvjp(fwd, bwd)
    return acf, plain


def limits(rng):
    theta = {"height": normal(rng), "decay": positive(rng)}
    return theta, -positive(rng, 3), positive(rng, 3)


@case(
    "fixed-order Gauss-Legendre in quadax, with the rule of Leibniz",
    "quadrature",
    limits,
    Twin(
        "lower limit",
        "sign",
        "low",
        "The lower limit's gradient has the upper one's sign.",
    ),
    Twin(
        "half width",
        "factor|ratio",
        "theta",
        "The parameters' integral is not scaled by the interval.",
    ),
    fixed=(0, 1, 2),
    narrow=False,
)
def gauss_legendre_integral(slip):
    nodes, weights = np.polynomial.legendre.leggauss(30)

    def integrand(theta, x):
        return theta["height"] * jnp.exp(-theta["decay"] * x * x)

    def samples(low, high):
        half = 0.5 * (high - low)
        at = 0.5 * (high + low)[:, None] + half[:, None] * nodes.astype(half.dtype)
        return half, at

    def plain(theta, low, high):
        half, at = samples(low, high)
        return half * (integrand(theta, at) @ weights.astype(half.dtype))

    integral = jax.custom_vjp(plain)

    def fwd(theta, low, high):
        return plain(theta, low, high), (theta, low, high)

    def bwd(res, g):
        theta, low, high = res
        half, at = samples(low, high)
        if slip == "half width":
            half = jnp.ones_like(half)
        shares = (g * half)[:, None] * weights.astype(half.dtype)
        _, pull = jax.vjp(lambda t: integrand(t, at), theta)
        dlow = g * integrand(theta, low)
        dlow = dlow if slip == "lower limit" else -dlow
        return *pull(shares), dlow, g * integrand(theta, high)

    integral.defvjp(fwd, bwd)
    return integral, plain

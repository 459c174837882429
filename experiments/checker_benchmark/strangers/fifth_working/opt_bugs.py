"""Bugs of special functions, densities, kernels and small regressions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf

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
    "jax-ml/jax#37635",
    "special function",
    lambda rng: (positive(rng, 6, low=0.5, high=4.0),),
    Twin(
        "as reported",
        "function|region|predicate|index",
        "x",
        "The trigamma function of negative numbers is taken from its series for "
        "positive ones.",
        witness=lambda rng: (jnp.array([-2.5, -16.5, -0.3, 1.5], jnp.float32),),
    ),
    kind="bug",
    name="digamma jax#37635",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def trigamma_slope(slip):
    """The digamma function, by recurrence and reflection."""

    def series(x):
        """The trigamma function for positive x."""
        total = jnp.zeros_like(x)
        for _ in range(10):
            total, x = total + 1 / (x * x), x + 1
        s = 1 / (x * x)
        tail = 1 / 6 - s * (1 / 30 - s * (1 / 42 - s * (1 / 30 - s * 5 / 66)))
        return total + 1 / x + s / 2 + tail * s / x

    def asymptotic(x):
        s = 1 / (x * x)
        return 1 / x + s / 2 + s / (6 * x)

    def plain(x):
        left = x < 0
        y = jnp.where(left, 1 - x, x)
        shift = sum(1 / (y + k) for k in range(10))
        z = y + 10
        s = 1 / (z * z)
        tail = s * (1 / 12 - s * (1 / 120 - s * (1 / 252 - s * (1 / 240 - s / 132))))
        there = jnp.log(z) - 0.5 / z - tail - shift
        angle = jnp.pi * (x - jnp.round(x))
        return there - jnp.where(left, jnp.pi / jnp.tan(jnp.where(left, angle, 1)), 0)

    psi = jax.custom_vjp(plain)

    def fwd(x):
        return plain(x), x

    def bwd(x, g):
        left = x < 0
        there = series(jnp.where(left, 1 - x, x))
        if slip:
            return (g * jnp.where(left, asymptotic(x), there),)
        angle = jnp.pi * (x - jnp.round(x))
        mirrored = jnp.square(jnp.pi / jnp.sin(jnp.where(left, angle, 1))) - there
        return (g * jnp.where(left, mirrored, there),)

    psi.defvjp(fwd, bwd)
    return psi, plain


@case(
    "openturns/openturns#1556",
    "density",
    lambda rng: (positive(rng, 6), jnp.float32(1.0), jnp.float32(1.5)),
    Twin(
        "as reported",
        "swap",
        "scale shape",
        "The derivatives by scale and by shape are in each other's place.",
    ),
    kind="bug",
    name="weibull_density openturns#1556",
    narrow=False,
    scales=(0.5, 1.0, 1.5),
)
def weibull_density(slip):
    """Densities of Weibull's distribution at positive points."""

    @jax.custom_vjp
    def density(x, scale, shape):
        power = (x / scale) ** shape
        return shape * power / x * jnp.exp(-power)

    def fwd(x, scale, shape):
        power = (x / scale) ** shape
        return shape * power / x * jnp.exp(-power), (x, scale, shape, power)

    def bwd(res, g):
        x, scale, shape, power = res
        factor = power / x * jnp.exp(-power)
        dx = g * factor * shape * (shape - 1 - shape * power) / x
        logs = shape * jnp.log(x / scale)
        dshape = (g * factor * (1 + (1 - power) * logs)).sum()
        dscale = (g * factor * (power - 1)).sum() * shape * shape / scale
        return (dx, dshape, dscale) if slip else (dx, dscale, dshape)

    density.defvjp(fwd, bwd)
    return density, density.fun


@case(
    "scikit-learn/scikit-learn#11113",
    "kernel matrix",
    lambda rng: (normal(rng, 5, 2), jnp.float32(2.0)),
    Twin(
        "as reported",
        "factor|ratio",
        "length",
        "Over the length's square, not its cube: the slope of its logarithm.",
    ),
    kind="bug",
    name="rbf_length_scale scikit-learn#11113",
    narrow=False,
)
def rbf_length_scale(slip):
    """Squared-exponential kernel matrix of the rows with themselves."""

    def squares(x):
        gap = x[:, None] - x[None]
        return (gap * gap).sum(-1)

    @jax.custom_vjp
    def kernel(x, length):
        return jnp.exp(-0.5 * squares(x) / length**2)

    def fwd(x, length):
        k = jnp.exp(-0.5 * squares(x) / length**2)
        return k, (x, length, k)

    def bwd(res, g):
        x, length, k = res
        gk = g * k
        both = gk + gk.T
        dx = (both @ x - both.sum(1)[:, None] * x) / length**2
        dlength = (gk * squares(x)).sum() / length ** (2 if slip else 3)
        return dx, dlength

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


@case(
    "tinygrad/tinygrad#17861",
    "special function",
    draw(x=(8,)),
    Twin(
        "as reported",
        "region|zero|predicate|elements|mask|edge|factor",
        "x",
        "The slope at exactly zero is zero, as the sign's and the magnitude's are.",
        witness=lambda rng: (jnp.array([0.0, 0.5, -1.0, 0.0], jnp.float32),),
    ),
    kind="bug",
    name="erf tinygrad#17861",
)
def error_function(slip):
    """The error function, odd in x."""

    @jax.custom_vjp
    def odd(x):
        return erf(x)

    def fwd(x):
        return erf(x), x

    def bwd(x, g):
        away = jnp.abs(x)
        slope = 2 / np.sqrt(np.pi).item() * jnp.exp(-away * away)
        if slip:
            slope = jnp.sign(x) * slope * jnp.sign(x)
        return (g * slope,)

    odd.defvjp(fwd, bwd)
    return odd, erf


@case(
    "pytorch/pytorch#4350",
    "elementwise",
    draw(x=(3, 4)),
    Twin(
        "as reported",
        "term|residual|operand|function",
        "x",
        "The result itself is the slope, as the exponential's is.",
    ),
    kind="bug",
    name="expm1 pytorch#4350",
)
def exponential_less_one(slip):
    """exp(x) - 1; the result is all that is kept."""

    @jax.custom_vjp
    def expm1(x):
        return jnp.expm1(x)

    def fwd(x):
        y = jnp.expm1(x)
        return y, y

    def bwd(y, g):
        return (g * y if slip else g * (y + 1),)

    expm1.defvjp(fwd, bwd)
    return expm1, jnp.expm1

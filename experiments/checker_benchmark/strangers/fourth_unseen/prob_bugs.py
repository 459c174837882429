"""Bugs of special functions, of a first-passage density, and of a log-partition."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def beta_arguments(rng):
    a = positive(rng, 4, low=0.4, high=1.5)
    b = positive(rng, 4, low=0.3, high=0.9)
    return a, b, positive(rng, 4, low=0.2, high=0.6)


@case(
    "stan-dev/math#1569",
    "special function",
    beta_arguments,
    Twin(
        "as reported",
        "cotangent|term|affine|factor|operand",
        "a",
        "Of two parts of the slope, the second is not multiplied by the cotangent.",
    ),
    kind="bug",
    name="ibeta math#1569",
    options=lambda plain: {"edges": False},
    fixed=(2,),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def ibeta(slip):
    """The regularised incomplete beta function, by its power series."""

    def terms(a, b, x):
        k = jnp.arange(100, dtype=x.dtype)
        ratios = jnp.where(k > 0, (k - b[..., None]) / jnp.maximum(k, 1), 1)
        powers = jnp.cumprod(ratios * jnp.where(k > 0, x[..., None], 1), -1)
        return powers, a[..., None] + k

    def front(a, b, x):
        log_beta = gammaln(a) + gammaln(b) - gammaln(a + b)
        return jnp.exp(a * jnp.log(x) - log_beta)

    def plain(a, b, x):
        powers, below = terms(a, b, x)
        return front(a, b, x) * (powers / below).sum(-1)

    def by_first(a, b, x):
        """The two parts of the slope by a."""
        powers, below = terms(a, b, x)
        log_part = (jnp.log(x) - digamma(a) + digamma(a + b)) * plain(a, b, x)
        return log_part, -front(a, b, x) * (powers / below**2).sum(-1)

    function = jax.custom_vjp(plain)

    def fwd(a, b, x):
        return plain(a, b, x), (a, b, x)

    def bwd(res, g):
        a, b, x = res
        first, second = by_first(a, b, x)
        da = g * first + second if slip else g * (first + second)
        db = -g * sum(by_first(b, a, 1 - x))
        log_beta = gammaln(a) + gammaln(b) - gammaln(a + b)
        density = (a - 1) * jnp.log(x) + (b - 1) * jnp.log1p(-x) - log_beta
        return da, db, g * jnp.exp(density)

    function.defvjp(fwd, bwd)
    return function, plain


@case(
    "stan-dev/math#3322",
    "log-density",
    lambda rng: (
        positive(rng, 5, low=0.5, high=1.5),
        jnp.float32(1.5),
        jnp.float32(0.4),
        jnp.float32(0.6),
    ),
    Twin(
        "as reported",
        "operand|residual|sign|term|function",
        "start",
        "The series is differentiated at the start, while the density has it at the "
        "distance to the upper bound, whose slope is the other way.",
    ),
    kind="bug",
    name="wiener_start math#3322",
    fixed=(3,),
    narrow=False,
    scales=(0.7, 1.0, 1.5),
)
def wiener_start(slip):
    """Of first passages at the upper of two bounds, by the series for large times."""

    def series(t, width, rest):
        k = jnp.arange(1, 13, dtype=t.dtype)
        decay = jnp.exp(-0.5 * (k * jnp.pi / width) ** 2 * t[:, None])
        return k, k * jnp.sin(k * jnp.pi * rest) * decay

    def plain(t, width, drift, start):
        rest = 1 - start
        total = series(t, width, rest)[1].sum(-1)
        front = jnp.log(jnp.pi) - 2 * jnp.log(width)
        return front + drift * width * rest - drift**2 * t / 2 + jnp.log(total)

    log_density = jax.custom_vjp(plain)

    def fwd(t, width, drift, start):
        return plain(t, width, drift, start), (t, width, drift, start)

    def bwd(res, g):
        t, width, drift, start = res
        rest = 1 - start
        k, sines = series(t, width, rest)
        total = sines.sum(-1)
        rates = -0.5 * (k * jnp.pi / width) ** 2
        by_rate = (rates * sines).sum(-1) / total
        dt = g * (by_rate - drift**2 / 2)
        by_width = drift * rest - 2 / width - 2 * t / width * by_rate

        def along(place):
            decay = jnp.exp(rates * t[:, None])
            slopes = k**2 * jnp.pi * jnp.cos(k * jnp.pi * place) * decay
            return slopes.sum(-1) / series(t, width, place)[1].sum(-1)

        by_start = along(start) if slip else -along(rest)
        dstart = (g * (by_start - drift * width)).sum()
        ddrift = (g * (width * rest - drift * t)).sum()
        return dt, (g * by_width).sum(), ddrift, dstart

    log_density.defvjp(fwd, bwd)
    return log_density, plain


@case(
    "EnzymeAD/Enzyme.jl#2879",
    "special function",
    lambda rng: (1.0, positive(rng, 4)),
    Twin(
        "as reported",
        "term|path|zero",
        "x",
        "The part with the function of the next order is missing from the slope.",
    ),
    kind="bug",
    name="bessel_order Enzyme.jl#2879",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def bessel_order(slip):
    """The modified function of the first kind, of an order that is a number."""

    def plain(order, x):
        k = jnp.arange(40, dtype=x.dtype)
        logs = (2 * k + order) * jnp.log(x / 2)[..., None]
        return jnp.exp(logs - gammaln(k + 1) - gammaln(k + order + 1)).sum(-1)

    bessel = jax.custom_vjp(plain, nondiff_argnums=(0,))

    def fwd(order, x):
        y = plain(order, x)
        return y, (x, y)

    def bwd(order, res, g):
        x, y = res
        slope = order / x * y
        if not slip:
            slope = slope + plain(order + 1, x)
        return (g * slope,)

    bessel.defvjp(fwd, bwd)
    return bessel, plain


@case(
    "ReactiveBayes/ExponentialFamily.jl#293",
    "log-partition",
    lambda rng: (positive(rng, 5, low=0.2, high=0.9),),
    Twin(
        "as reported",
        "function|factor|ratio|operand",
        "p",
        "The slope has 1 - p below the line as well.",
    ),
    kind="bug",
    name="geometric_partition ExponentialFamily.jl#293",
    scales=(0.3, 1.0),
)
def geometric_partition(slip):
    """Of the geometric distribution, from its probability of success."""

    @jax.custom_vjp
    def log_partition(p):
        return -jnp.log(p)

    def fwd(p):
        return log_partition.fun(p), p

    def bwd(p, g):
        return (g / (p**2 - p) if slip else -g / p,)

    log_partition.defvjp(fwd, bwd)
    return log_partition, log_partition.fun

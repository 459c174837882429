"""Bugs of traces, special functions and scores."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, xlogy

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
    "pytorch/pytorch#171704",
    "trace",
    draw(x=(4, 4)),
    Twin(
        "as reported",
        "index|region|elements|mask",
        "x",
        "Steps along the flattened matrix do not stop at the shorter side, so that "
        "entries below a tall matrix' diagonal get a gradient.",
        witness=draw(x=(5, 2)),
    ),
    kind="bug",
    name="trace pytorch#171704",
)
def trace(slip):
    """Of a matrix, square or not."""

    @jax.custom_vjp
    def total(x):
        return jnp.trace(x)

    def fwd(x):
        return jnp.trace(x), x

    def bwd(x, g):
        rows, columns = x.shape
        flat = jnp.zeros(x.size, x.dtype)
        end = x.size if slip else min(rows, columns) * (columns + 1)
        places = jnp.arange(0, end, columns + 1)
        return (flat.at[places].set(g).reshape(x.shape),)

    total.defvjp(fwd, bwd)
    return total, jnp.trace


@case(
    "jax-ml/jax#40629",
    "special function",
    draw(x=(8,)),
    Twin(
        "as reported",
        "precision|region|edge|term",
        "x",
        "Beside zero two large numbers cancel; only zero itself is told apart.",
        witness=lambda rng: (
            1e-16 * jnp.array([1.1, -2.3, 3.1, 0.7, -5.3, 9.7], jnp.float32),
        ),
    ),
    kind="bug",
    name="sinc jax#40629",
    narrow=False,
)
def normalised_sinc(slip):
    """sin(pi x) / (pi x), which is 1 at zero."""

    def factorial(n):
        return float(math.factorial(n))

    def plain(x):
        y = jnp.pi * x
        small = jnp.abs(y) < 1
        near, far = jnp.where(small, y, 0), jnp.where(small, 1, y)
        series = sum((-near * near) ** n / factorial(2 * n + 1) for n in range(9))
        return jnp.where(small, series, jnp.sin(far) / far)

    sinc = jax.custom_vjp(plain)

    def fwd(x):
        return plain(x), x

    def bwd(x, g):
        y = jnp.pi * x
        small = (y == 0) if slip else jnp.abs(y) < 1
        near, far = jnp.where(small, y, 0), jnp.where(small, 1, y)
        series = sum(
            (-1) ** n * 2 * n * near ** (2 * n - 1) / factorial(2 * n + 1)
            for n in range(1, 10)
        )
        closed = jnp.cos(far) / far - jnp.sin(far) / (far * far)
        return (g * jnp.pi * jnp.where(small, series, closed),)

    sinc.defvjp(fwd, bwd)
    return sinc, plain


@case(
    "stanfordmlgroup/ngboost#177",
    "score",
    lambda rng: (normal(rng, 6), jnp.zeros(6, jnp.float32), normal(rng, 6)),
    Twin(
        "as reported",
        "operand|residual|sign|function|swap",
        "loc",
        "The sign is that of the scale's logarithm less the data, not the location's.",
        witness=lambda rng: (normal(rng, 12), normal(rng, 12), normal(rng, 12)),
    ),
    kind="bug",
    name="laplace_score ngboost#177",
)
def laplace_score(slip):
    """Negative log-densities of Laplace's distribution."""

    def plain(loc, log_scale, y):
        return jnp.log(2.0) + log_scale + jnp.abs(y - loc) * jnp.exp(-log_scale)

    @jax.custom_vjp
    def score(loc, log_scale, y):
        return plain(loc, log_scale, y)

    def fwd(loc, log_scale, y):
        return plain(loc, log_scale, y), (loc, log_scale, y)

    def bwd(res, g):
        loc, log_scale, y = res
        rate = jnp.exp(-log_scale)
        centre = log_scale if slip else loc
        dloc = g * jnp.sign(centre - y) * rate
        dy = g * jnp.sign(y - loc) * rate
        return dloc, g * (1 - jnp.abs(y - loc) * rate), dy

    score.defvjp(fwd, bwd)
    return score, plain


@case(
    "UoS-Integrated-Nanophotonics-group/MieDiff#2",
    "special function",
    lambda rng: (2, positive(rng, 6, low=2.0, high=6.0)),
    Twin(
        "as reported",
        "cotangent",
        "x",
        "The derivative itself is returned, without the cotangent.",
    ),
    kind="bug",
    name="spherical_bessel MieDiff#2",
    narrow=False,
    scales=(0.7, 1.0, 2.0),
)
def spherical_bessel(slip):
    """Spherical Bessel functions of the first kind, upwards from the orders 0 and 1."""

    def pair(order, x):
        last, now = jnp.cos(x) / x, jnp.sin(x) / x
        for n in range(order):
            last, now = now, (2 * n + 1) / x * now - last
        return last, now

    def plain(order, x):
        return pair(order, x)[1]

    bessel = jax.custom_vjp(plain, nondiff_argnums=(0,))

    def fwd(order, x):
        last, now = pair(order, x)
        return now, (x, last, now)

    def bwd(order, res, g):
        x, last, now = res
        slope = last - (order + 1) / x * now
        return (slope if slip else g * slope,)

    bessel.defvjp(fwd, bwd)
    return bessel, plain


@case(
    "tensorflow/tensorflow#123578",
    "special function",
    lambda rng: (2.5, positive(rng, 6, low=0.2, high=4.0)),
    Twin(
        "as reported",
        "edge|nan|finite",
        "x",
        "The power's logarithm is zero times minus infinity for shape 1 at zero.",
        witness=lambda rng: (1.0, jnp.array([0.0, 0.5, 2.0], jnp.float32)),
    ),
    kind="bug",
    name="igamma tensorflow#123578",
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def lower_incomplete_gamma(slip):
    """The regularised lower incomplete gamma function, by its power series."""

    def plain(shape, x):
        terms = jnp.arange(60, dtype=x.dtype)
        logs = gammaln(shape + terms + 1)
        first = x**shape * jnp.exp(-x - logs[0])
        ratios = x[..., None] / (shape + terms[1:])
        return first * (1 + jnp.cumprod(ratios, -1).sum(-1))

    igamma = jax.custom_vjp(plain, nondiff_argnums=(0,))

    def fwd(shape, x):
        return plain(shape, x), x

    def bwd(shape, x, g):
        power = (shape - 1) * jnp.log(x) if slip else xlogy(shape - 1, x)
        return (g * jnp.exp(power - x - math.lgamma(shape)),)

    igamma.defvjp(fwd, bwd)
    return igamma, plain

"""Densities, counts, labels and draws, with their parameters' gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def sum_to(shape, a):
    """Sum over the axes along which `shape` was broadcast."""
    a = a.sum(tuple(range(a.ndim - len(shape))))
    ones = [i for i, n in enumerate(shape) if n == 1 and a.shape[i] != 1]
    return a.sum(tuple(ones), keepdims=True)


def heavy_tailed(rng):
    ones = jnp.ones(3, jnp.float32)
    return normal(rng, 5, 3), 4 * ones, 0 * ones, ones


def factor_model(rng):
    return (
        normal(rng, 5),
        jnp.zeros(5, jnp.float32),
        normal(rng, 5, 2),
        positive(rng, 5),
    )


def irregular_series(rng):
    times = jnp.cumsum(positive(rng, 8, low=0.2, high=1.5))
    return times, normal(rng, 8), jnp.float32(-0.5), jnp.float32(0.0)


@case(
    "numpyro.distributions.StudentT, a parameter for each feature",
    "log-density",
    heavy_tailed,
    Twin(
        "normaliser",
        "term|path",
        "df",
        "The square root in the normaliser is left out of the degrees' gradient.",
    ),
    Twin(
        "weights in scale",
        "operand|factor|function|term",
        "scale",
        "The residuals are not weighted, as in a Gaussian.",
    ),
    Twin(
        "rows",
        "sum|factor|ratio",
        "df loc scale",
        "Gradients of parameters are means over rows, not sums.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def student_t_log_prob(slip):
    """Parameters broadcast against x."""

    @jax.custom_vjp
    def log_prob(x, df, loc, scale):
        z = (x - loc) / scale
        constant = gammaln((df + 1) / 2) - gammaln(df / 2)
        tail = -(df + 1) / 2 * jnp.log1p(z * z / df)
        return constant - 0.5 * jnp.log(jnp.pi * df) - jnp.log(scale) + tail

    def fwd(x, df, loc, scale):
        return log_prob.fun(x, df, loc, scale), (x, df, loc, scale)

    def bwd(res, g):
        x, df, loc, scale = res
        z = (x - loc) / scale
        w = (df + 1) / (df + z * z)
        dx = -g * w * z / scale
        weight = 1 if slip == "weights in scale" else w
        dscale = g * (weight * z * z - 1) / scale
        ddf = digamma((df + 1) / 2) - digamma(df / 2)
        ddf = ddf - jnp.log1p(z * z / df) + w * z * z / df
        if slip != "normaliser":
            ddf = ddf - 1 / df
        parts = (0.5 * g * ddf, -dx, dscale)
        pairs = zip((df, loc, scale), parts, strict=True)
        grads = [sum_to(p.shape, d) for p, d in pairs]
        if slip == "rows":
            grads = [d * p.size / x.size for d, p in zip(grads, res[1:], strict=True)]
        return sum_to(x.shape, dx), *grads

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


@case(
    "numpyro.distributions.LowRankMultivariateNormal",
    "log-density",
    factor_model,
    Twin(
        "capacitance",
        "term|path",
        "factor",
        "The factor moves the quadratic form only, not the log-determinant.",
    ),
    Twin(
        "diagonal of the precision",
        "operand|term|function",
        "diagonal",
        "It is the inverse of the diagonal, as if there were no factor.",
    ),
    Twin(
        "loc's sign",
        "sign|ratio",
        "loc",
        "The location gets x's gradient.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def low_rank_mvn_log_prob(slip):
    """Covariance: factor times its transpose, plus a diagonal."""

    def solved(x, loc, factor, diagonal):
        scaled = factor / diagonal[:, None]
        capacitance = jnp.eye(factor.shape[1], dtype=x.dtype) + factor.T @ scaled
        root = jnp.linalg.cholesky(capacitance)
        s = (x - loc) / diagonal
        inner = jax.scipy.linalg.cho_solve((root, True), scaled.T)
        return s - inner.T @ (factor.T @ s), inner.T, scaled, root

    @jax.custom_vjp
    def log_prob(x, loc, factor, diagonal):
        alpha, _, _, root = solved(x, loc, factor, diagonal)
        logdet = jnp.log(diagonal).sum() + 2 * jnp.log(jnp.diag(root)).sum()
        constant = len(x) * np.log(2 * np.pi).item()
        return -0.5 * ((x - loc) @ alpha + logdet + constant)

    def fwd(x, loc, factor, diagonal):
        return log_prob.fun(x, loc, factor, diagonal), (x, loc, factor, diagonal)

    def bwd(res, g):
        factor, diagonal = res[2:]
        alpha, weighed, scaled, _ = solved(*res)
        dfactor = jnp.outer(alpha, alpha @ factor)
        if slip != "capacitance":
            dfactor = dfactor - weighed
        precision = 1 / diagonal
        if slip != "diagonal of the precision":
            precision = precision - (scaled * weighed).sum(1)
        dx = -g * alpha
        dloc = dx if slip == "loc's sign" else -dx
        return dx, dloc, g * dfactor, 0.5 * g * (alpha * alpha - precision)

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


@case(
    "Ornstein-Uhlenbeck noise at irregular times in numpyro models",
    "time series",
    irregular_series,
    Twin(
        "first observation",
        "term|path|region|elements",
        "y log_sd",
        "The stationary density of the first value is left out.",
    ),
    Twin(
        "variance's decay",
        "term|path",
        "times log_rate",
        "Rate and gaps move the conditional means only, not the variances.",
    ),
    Twin(
        "earlier times",
        "term|path|index|elements",
        "times",
        "Of a gap's two ends only the later one gets its gradient.",
    ),
    fixed=(0,),
    narrow=False,
)
def ou_log_likelihood(slip):
    """Started from the stationary distribution."""

    def parts(times, y, log_rate, log_sd):
        h = jnp.exp(log_rate) * jnp.diff(times)
        rho, q = jnp.exp(-h), -jnp.expm1(-2 * h)
        return h, rho, q, jnp.exp(2 * log_sd), y[1:] - rho * y[:-1]

    @jax.custom_vjp
    def likelihood(times, y, log_rate, log_sd):
        _, _, q, variance, error = parts(times, y, log_rate, log_sd)
        v = variance * q
        first = y[0] ** 2 / variance + jnp.log(variance)
        constant = len(y) * np.log(2 * np.pi).item()
        return -0.5 * (first + (error**2 / v + jnp.log(v)).sum() + constant)

    def fwd(times, y, log_rate, log_sd):
        res = (times, y, log_rate, log_sd)
        return likelihood.fun(*res), res

    def bwd(res, g):
        times, y, log_rate, _ = res
        h, rho, q, variance, error = parts(*res)
        v = variance * q
        derror = -g * error / v
        dv = 0.5 * g * (error**2 / v - 1) / v
        dy = jnp.zeros_like(y).at[1:].add(derror).at[:-1].add(-rho * derror)
        dlog_sd = 2 * (dv * v).sum()
        if slip != "first observation":
            dy = dy.at[0].add(-g * y[0] / variance)
            dlog_sd = dlog_sd + g * (y[0] ** 2 / variance - 1)
        dh = y[:-1] * derror * rho
        if slip != "variance's decay":
            dh = dh + 2 * dv * variance * rho * rho
        dgap = dh * jnp.exp(log_rate)
        dtimes = jnp.zeros_like(times).at[1:].add(dgap)
        if slip != "earlier times":
            dtimes = dtimes.at[:-1].add(-dgap)
        return dtimes, dy, (dh * h).sum(), dlog_sd

    likelihood.defvjp(fwd, bwd)
    return likelihood, likelihood.fun

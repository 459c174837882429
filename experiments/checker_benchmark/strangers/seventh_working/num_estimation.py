"""Estimators: regressions, correlations, robust means."""

import jax
import jax.numpy as jnp

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


def regression(rng):
    return normal(rng, 7, 3), normal(rng, 7), positive(rng, 7), 0.3


@case(
    "WLS of statsmodels with a ridge, as ported to JAX with lineax",
    "linear solver with two outputs",
    regression,
    Twin(
        "residuals' path",
        "term|cotangent",
        "x y weights",
        "The residuals' cotangent does not reach the coefficients.",
    ),
    Twin(
        "no ridge behind",
        "option|term|ratio",
        "x y weights",
        "The backward solve leaves the ridge out.",
    ),
    Twin(
        "root of the weights",
        "factor|ratio|function",
        "y",
        "The square roots of the weights are used for y's gradient.",
    ),
    narrow=False,
)
def weighted_least_squares(slip):
    def normal_matrix(x, weights, ridge):
        return (x.T * weights) @ x + ridge * jnp.eye(x.shape[1], dtype=x.dtype)

    def plain(x, y, weights, ridge):
        a = normal_matrix(x, weights, ridge)
        beta = jnp.linalg.solve(a, x.T @ (weights * y))
        return {"beta": beta, "residuals": y - x @ beta}

    fit = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, y, weights, ridge):
        out = plain(x, y, weights, ridge)
        return out, (x, weights, out)

    def bwd(ridge, res, g):
        x, w, out = res
        beta, r = out["beta"], out["residuals"]
        db = g["beta"]
        if slip != "residuals' path":
            db = db - x.T @ g["residuals"]
        behind = 0.0 if slip == "no ridge behind" else ridge
        u = jnp.linalg.solve(normal_matrix(x, w, behind), db)
        v = x @ u
        dx = jnp.outer(w * r, u) - jnp.outer(w * v + g["residuals"], beta)
        own = jnp.sqrt(w) if slip == "root of the weights" else w
        return dx, own * v + g["residuals"], v * r

    fit.defvjp(fwd, bwd)
    return fit, plain


def smoothing(rng):
    return normal(rng, 4), normal(rng, 6), normal(rng, 6), positive(rng)


@case(
    "Nadaraya-Watson regression (KernelReg of statsmodels) in JAX",
    "kernel regression",
    smoothing,
    Twin(
        "bandwidth squared",
        "factor|ratio",
        "bandwidth",
        "The bandwidth's gradient is divided by its square, not its cube.",
    ),
    Twin(
        "sign of the samples",
        "sign",
        "x",
        "The samples move the same way as the queries.",
    ),
    Twin(
        "fixed denominator",
        "term",
        "at x bandwidth",
        "The sum of the weights is taken as constant.",
    ),
)
def nadaraya_watson(slip):
    def weights(at, x, bandwidth):
        scaled = (at[:, None] - x) / bandwidth
        return jax.nn.softmax(-0.5 * scaled**2, axis=1)

    def plain(at, x, y, bandwidth):
        return weights(at, x, bandwidth) @ y

    smooth = jax.custom_vjp(plain)

    def fwd(at, x, y, bandwidth):
        p = weights(at, x, bandwidth)
        return p @ y, (at, x, y, bandwidth, p)

    def bwd(res, g):
        at, x, y, h, p = res
        dp = jnp.outer(g, y)
        ds = p * dp
        if slip != "fixed denominator":
            ds = ds - p * ds.sum(1, keepdims=True)
        away = at[:, None] - x
        pull = -ds * away / h**2
        dx = pull.sum(0) if slip == "sign of the samples" else -pull.sum(0)
        power = 2 if slip == "bandwidth squared" else 3
        return pull.sum(1), dx, p.T @ g, (ds * away**2).sum() / h**power

    smooth.defvjp(fwd, bwd)
    return smooth, plain


@case(
    "corrcoef of numpy, as a rule in portfolio and neuroscience code on JAX",
    "matrix of correlations",
    draw(x=(6, 3)),
    Twin(
        "one side",
        "transpose|sum|factor",
        "x",
        "The cotangent is taken as symmetric: 2 G for G + G'.",
    ),
    Twin(
        "length of the columns",
        "term",
        "x",
        "The columns' lengths are taken as constant.",
    ),
)
def correlation_matrix(slip):
    def units(x):
        centred = x - x.mean(0)
        length = jnp.sqrt((centred**2).sum(0))
        return centred / length, length

    def plain(x):
        u, _ = units(x)
        return u.T @ u

    correlate = jax.custom_vjp(plain)

    def fwd(x):
        u, length = units(x)
        return u.T @ u, (u, length)

    def bwd(res, g):
        u, length = res
        du = u @ (2 * g) if slip == "one side" else u @ (g + g.T)
        if slip != "length of the columns":
            du = du - u * (u * du).sum(0)
        dx = du / length
        return (dx - dx.mean(0),)

    correlate.defvjp(fwd, bwd)
    return correlate, plain


@case(
    "residuals of AutoReg in statsmodels, as ported to JAX",
    "time series",
    draw(series=(9,), lags=(2,), intercept=()),
    Twin(
        "lags the other way",
        "index|swap",
        "lags",
        "The first lag gets the last one's gradient.",
    ),
    Twin(
        "only as target",
        "term",
        "series",
        "The series' part as a regressor is forgotten.",
    ),
)
def ar_residuals(slip):
    def design(series, order):
        n = len(series) - order
        ends = [series[order - k : order - k + n] for k in range(1, order + 1)]
        return jnp.stack(ends, 1)

    def plain(series, lags, intercept):
        order = len(lags)
        return series[order:] - intercept - design(series, order) @ lags

    residuals = jax.custom_vjp(plain)

    def fwd(series, lags, intercept):
        return plain(series, lags, intercept), (series, lags)

    def bwd(res, g):
        series, lags = res
        order, n = len(lags), len(g)
        dseries = jnp.zeros_like(series).at[order:].set(g)
        if slip != "only as target":
            for k in range(1, order + 1):
                dseries = dseries.at[order - k : order - k + n].add(-lags[k - 1] * g)
        dlags = -g @ design(series, order)
        return dseries, dlags[::-1] if slip.startswith("lags") else dlags, -g.sum()

    residuals.defvjp(fwd, bwd)
    return residuals, plain


def rows(rng):
    return normal(rng, 3, 8), 0.2


@case(
    "trim_mean of scipy.stats, as ported to JAX",
    "robust mean",
    rows,
    Twin(
        "divided by all",
        "ratio|factor",
        "x",
        "The gradient is divided by the number of all, not of those kept.",
    ),
    Twin(
        "sorted places",
        "index|mask",
        "x",
        "The mask of the sorted values is not brought back to their places.",
    ),
)
def trimmed_mean(slip):
    def cut(x, proportion):
        return int(proportion * x.shape[-1])

    def plain(x, proportion):
        k = cut(x, proportion)
        return jnp.sort(x, -1)[..., k : x.shape[-1] - k].mean(-1)

    trim = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, proportion):
        return plain(x, proportion), jnp.argsort(jnp.argsort(x, -1), -1)

    def bwd(proportion, rank, g):
        n, k = rank.shape[-1], cut(rank, proportion)
        if slip == "sorted places":
            rank = jnp.broadcast_to(jnp.arange(n), rank.shape)
        kept = (rank >= k) & (rank < n - k)
        count = n if slip == "divided by all" else n - 2 * k
        return (jnp.where(kept, g[..., None] / count, 0),)

    trim.defvjp(fwd, bwd)
    return trim, plain

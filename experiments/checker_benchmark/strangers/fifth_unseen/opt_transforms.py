"""Bijectors, natural parameters, weights of particles, and a calibrated bias."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tfp.substrates.jax.bijectors.SinhArcsinh with its log-determinant",
    "transform with two outputs",
    lambda rng: (
        normal(rng, 5, 3),
        jnp.zeros(3, jnp.float32),
        jnp.ones(3, jnp.float32),
    ),
    Twin(
        "log of the tail weight",
        "term|path",
        "tail",
        "The tail weight's logarithm in the log-determinant is left out.",
    ),
    Twin(
        "volume of arcsinh",
        "term|path",
        "x",
        "The inner function's share of the log-determinant is left out.",
    ),
    Twin(
        "slope of log cosh",
        "function|operand|factor",
        "x skew tail",
        "The hyperbolic sine is used where the tangent is due.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def sinh_arcsinh_transform(slip):
    """Skew and tail weight for each feature; the log-determinant by element."""

    @jax.custom_vjp
    def forward(x, skew, tail):
        u = (jnp.arcsinh(x) + skew) * tail
        log_cosh = jnp.logaddexp(u, -u) - np.log(2).item()
        return jnp.sinh(u), log_cosh + jnp.log(tail) - 0.5 * jnp.log1p(x * x)

    def fwd(x, skew, tail):
        return forward.fun(x, skew, tail), (x, skew, tail)

    def bwd(res, cotangents):
        x, skew, tail = res
        g, h = cotangents
        inner = jnp.arcsinh(x) + skew
        u = inner * tail
        bend = jnp.sinh(u) if slip == "slope of log cosh" else jnp.tanh(u)
        du = g * jnp.cosh(u) + h * bend
        dx = du * tail / jnp.sqrt(1 + x * x)
        if slip != "volume of arcsinh":
            dx = dx - h * x / (1 + x * x)
        dtail = du * inner
        if slip != "log of the tail weight":
            dtail = dtail + h / tail
        return dx, (du * tail).sum(0), dtail.sum(0)

    forward.defvjp(fwd, bwd)
    return forward, forward.fun


@case(
    "tfp.substrates.jax.bijectors.FillScaleTriL, row by row",
    "transform",
    lambda rng: (normal(rng, 2, 6), 1e-5),
    Twin(
        "diagonal's slope",
        "factor|function|path",
        "raw",
        "The softplus on the diagonal is left out.",
    ),
    Twin(
        "slope at the result",
        "residual|operand",
        "raw",
        "The sigmoid is taken of the diagonal that comes out.",
    ),
    Twin(
        "order",
        "index|transpose",
        "raw",
        "The entries are gathered by columns.",
    ),
)
def fill_scale_tril(slip):
    """Vectors to lower triangles with positive diagonals."""

    def size_of(raw):
        return int((np.sqrt(8 * raw.shape[-1] + 1) - 1) / 2)

    def plain(raw, shift):
        n = size_of(raw)
        rows, columns = np.tril_indices(n)
        kept = jnp.where(rows == columns, jax.nn.softplus(raw) + shift, raw)
        empty = jnp.zeros((*raw.shape[:-1], n, n), raw.dtype)
        return empty.at[..., rows, columns].set(kept)

    fill = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(raw, shift):
        y = plain(raw, shift)
        return y, (raw, y)

    def bwd(shift, res, g):
        raw, y = res
        rows, columns = np.tril_indices(size_of(raw))
        if slip == "order":
            columns, rows = np.triu_indices(size_of(raw))
        d = g[..., rows, columns]
        at = y[..., rows, columns] if slip == "slope at the result" else raw
        if slip == "diagonal's slope":
            return (d,)
        return (d * jnp.where(rows == columns, jax.nn.sigmoid(at), 1),)

    fill.defvjp(fwd, bwd)
    return fill, plain


@case(
    "blackjax.smc.ess with the normalised log-weights",
    "weights of particles",
    draw(log_weights=(8,)),
    Twin(
        "normalisation of the size",
        "term|path",
        "log_weights",
        "The effective size is as if the weights given were normalised.",
    ),
    Twin(
        "square",
        "factor|ratio",
        "log_weights",
        "The exponent of the squared weights is left out.",
    ),
    Twin(
        "uniform weights",
        "operand|factor|function",
        "log_weights",
        "The mean of the cotangent is subtracted, not its weighted sum.",
    ),
    narrow=False,
)
def effective_sample_size(slip):
    """Normalised log-weights, of which some may be -inf, and the effective size."""

    @jax.custom_vjp
    def normalised(log_weights):
        logs = log_weights - jax.nn.logsumexp(log_weights)
        return logs, jnp.exp(-jax.nn.logsumexp(2 * logs))

    def fwd(log_weights):
        logs, size = normalised.fun(log_weights)
        return (logs, size), (logs, size)

    def bwd(res, cotangents):
        logs, size = res
        g, h = cotangents
        w = jnp.exp(logs)
        share = w * w * size
        by_size = (-1 if slip == "square" else -2) * h * size * share
        d = g + by_size
        if slip == "uniform weights":
            return (d - d.sum() * jnp.ones_like(w) / len(w),)
        total = g.sum() if slip == "normalisation of the size" else d.sum()
        return (d - w * total,)

    normalised.defvjp(fwd, bwd)
    return normalised, normalised.fun

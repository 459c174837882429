"""Densities of matrices, and tails of portfolios."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def loadings(rng):
    x = normal(rng, 4, 3)
    rows = jnp.tril(0.3 * normal(rng, 4, 4), -1) + jnp.diag(positive(rng, 4))
    columns = jnp.tril(0.3 * normal(rng, 3, 3), -1) + jnp.diag(positive(rng, 3))
    return x, jnp.zeros((4, 3), jnp.float32), rows, columns


@case(
    "numpyro.distributions.MatrixNormal, with both scales triangular",
    "density",
    loadings,
    Twin(
        "rows and columns",
        "swap|factor|ratio|index",
        "rows columns",
        "The sizes that multiply the logarithms of the diagonals are exchanged.",
    ),
    Twin(
        "triangle",
        "mask|region|elements",
        "rows columns",
        "Gradients are returned above the diagonals too.",
    ),
    Twin(
        "columns' scale",
        "term|path",
        "x loc",
        "The residual is whitened once by the columns, not twice.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def matrix_normal_log_prob(slip):
    def lower(a, b, trans=0):
        return jax.scipy.linalg.solve_triangular(a, b, lower=True, trans=trans)

    def white(x, loc, rows, columns):
        return lower(columns, lower(rows, x - loc).T).T

    @jax.custom_vjp
    def log_prob(x, loc, rows, columns):
        n, p = x.shape
        z = white(x, loc, rows, columns)
        logs = p * jnp.log(jnp.diag(rows)).sum() + n * jnp.log(jnp.diag(columns)).sum()
        return -0.5 * ((z * z).sum() + n * p * jnp.log(2 * jnp.pi)) - logs

    def fwd(x, loc, rows, columns):
        value = log_prob.fun(x, loc, rows, columns)
        return value, (rows, columns, white(x, loc, rows, columns))

    def bwd(res, g):
        rows, columns, z = res
        n, p = z.shape
        if slip == "rows and columns":
            n, p = p, n
        left, right = lower(rows, z, 1), lower(columns, z.T, 1)
        drows = left @ z.T - jnp.diag(p / jnp.diag(rows))
        dcolumns = right @ z - jnp.diag(n / jnp.diag(columns))
        if slip != "triangle":
            drows, dcolumns = jnp.tril(drows), jnp.tril(dcolumns)
        dx = -g * (left if slip == "columns' scale" else lower(columns, left.T, 1).T)
        return dx, -dx, g * drows, g * dcolumns

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


@case(
    "expected shortfall of portfolios over scenarios, with a part of the last one",
    "risk measure",
    lambda rng: (jnp.full((4,), 0.25, jnp.float32), normal(rng, 25, 4), 0.9),
    Twin(
        "part of a scenario",
        "edge|mask|elements|factor|region|predicate|index",
        "weights returns",
        "The scenario that counts in part is counted in whole.",
    ),
    Twin(
        "size of the tail",
        "ratio|factor",
        "weights returns",
        "The tail's sum is divided by the number of all scenarios.",
    ),
    Twin(
        "order of losses",
        "index|transpose|swap",
        "weights returns",
        "The weights of the sorted losses are not put back in their places.",
    ),
)
def expected_shortfall(slip):
    def tail(count, level):
        size = count * (1 - level)
        return np.clip(size - np.arange(count), 0, 1).tolist(), size

    def plain(weights, returns, level):
        losses = -returns @ weights
        share, size = tail(len(losses), level)
        worst = -jnp.sort(-losses)
        return (jnp.array(share, losses.dtype) * worst).sum() / size

    shortfall = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(weights, returns, level):
        return plain(weights, returns, level), (weights, returns)

    def bwd(level, res, g):
        weights, returns = res
        losses = -returns @ weights
        share, size = tail(len(losses), level)
        share = jnp.array(share, losses.dtype)
        if slip == "part of a scenario":
            share = jnp.ceil(share)
        if slip == "size of the tail":
            size = len(losses)
        if slip != "order of losses":
            share = jnp.zeros_like(share).at[jnp.argsort(-losses)].set(share)
        dlosses = g * share / size
        return -returns.T @ dlosses, -jnp.outer(dlosses, weights)

    shortfall.defvjp(fwd, bwd)
    return shortfall, plain

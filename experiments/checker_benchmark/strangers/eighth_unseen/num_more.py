"""Everyday ones: a likelihood with a clamp, a correlation, directions, robust means."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def predictions(rng):
    var = positive(rng, 6, low=0.3, high=2.0)
    return normal(rng, 6, 2), normal(rng, 6, 2), var, "mean", True


@case(
    "Fisher's z of row-wise correlations in functional-connectivity toolboxes",
    "correlation",
    lambda rng: (normal(rng, 4, 7), normal(rng, 4, 7)),
    Twin(
        "lengths exchanged",
        "swap|operand|factor",
        "y",
        "The second rows' gradient is divided by the first ones' length.",
    ),
    Twin(
        "own length",
        "term|path",
        "x",
        "The part along the row itself is left in its gradient.",
    ),
    Twin(
        "shrinkage once",
        "factor|ratio",
        "x y",
        "The shrinkage of the correlation is not applied to the gradient.",
    ),
)
def fisher_z_transform(slip):
    shrink = 0.95

    def unit(x):
        centred = x - x.mean(1, keepdims=True)
        length = jnp.sqrt((centred**2).sum(1, keepdims=True) + 1e-3)
        return centred / length, length

    @jax.custom_vjp
    def z_score(x, y):
        return jnp.arctanh(shrink * (unit(x)[0] * unit(y)[0]).sum(1))

    def fwd(x, y):
        return z_score.fun(x, y), (x, y)

    def bwd(res, g):
        (u, below_x), (v, below_y) = unit(res[0]), unit(res[1])
        r = shrink * (u * v).sum(1)
        dr = g / (1 - r * r) * (1 if slip == "shrinkage once" else shrink)

        def pull(up, u, below, along):
            if along:
                up = up - u * (u * up).sum(1, keepdims=True)
            return (up - up.mean(1, keepdims=True)) / below

        dx = pull(dr[:, None] * v, u, below_x, slip != "own length")
        own = below_x if slip == "lengths exchanged" else below_y
        return dx, pull(dr[:, None] * u, v, own, True)

    z_score.defvjp(fwd, bwd)
    return z_score, z_score.fun


@case(
    "von Mises-Fisher log-density on the sphere in geomstats and TFP ports",
    "log-density",
    lambda rng: (unit_rows(rng, 5, 3), normal(rng, 3, std=1.5)),
    Twin(
        "normalisation",
        "term|path",
        "vector",
        "The gradient lacks the part of the normalisation.",
    ),
    Twin(
        "count of the points",
        "ratio|factor|sum",
        "vector",
        "The normalisation is pulled back with the mean of the cotangents.",
    ),
    Twin(
        "Langevin of two dimensions",
        "function|factor|term",
        "vector",
        "The mean length is the hyperbolic tangent.",
    ),
    narrow=False,
)
def von_mises_fisher_3d(slip):
    near = 0.25

    def safe(vector):
        square = (vector**2).sum()
        return square, jnp.sqrt(jnp.where(square < near, 1, square))

    def log_sinhc(vector):
        square, kappa = safe(vector)
        powers = 1 / 6 + square * (-1 / 180 + square * (1 / 2835 - square / 37800))
        exact = kappa + jnp.log1p(-jnp.exp(-2 * kappa)) - jnp.log(2 * kappa)
        return jnp.where(square < near, square * powers, exact)

    def mean_ratio(vector):
        """coth(kappa) / kappa - 1 / kappa^2."""
        square, kappa = safe(vector)
        powers = 1 / 3 + square * (-1 / 45 + square * (2 / 945 - square / 4725))
        rise = jnp.tanh(kappa)
        if slip == "Langevin of two dimensions":
            return rise / kappa
        exact = (1 / rise - 1 / kappa) / kappa
        return jnp.where(square < near, powers, exact)

    @jax.custom_vjp
    def log_prob(x, vector):
        return x @ vector - log_sinhc(vector) - float(np.log(4 * np.pi))

    def fwd(x, vector):
        return log_prob.fun(x, vector), (x, vector)

    def bwd(res, g):
        x, vector = res
        total = g.mean() if slip == "count of the points" else g.sum()
        dvector = g @ x
        if slip != "normalisation":
            dvector = dvector - total * mean_ratio(vector) * vector
        return jnp.outer(g, vector), dvector

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def blocks(rng):
    return normal(rng, 11, 3), 3


@case(
    "median of the means of blocks in robust-gradient and federated toolboxes",
    "robust mean",
    blocks,
    Twin(
        "mean of all",
        "mask|index|function",
        "x",
        "All blocks share the gradient, not the one in the middle.",
    ),
    Twin(
        "size of the block",
        "ratio|factor",
        "x",
        "The middle block's mean is pulled back as a sum.",
    ),
    Twin(
        "rows left over",
        "index|mask|region",
        "x",
        "The blocks are counted from the end, beginning with the rows left over.",
    ),
)
def median_of_means(slip):
    def means(x, count):
        size = len(x) // count
        return size, x[: size * count].reshape(count, size, -1).mean(1)

    def plain(x, count):
        return jnp.sort(means(x, count)[1], axis=0)[count // 2]

    middle = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, count):
        each = means(x, count)[1]
        order = jnp.argsort(each, axis=0)[count // 2]
        return jnp.take_along_axis(each, order[None], axis=0)[0], (x, order)

    def bwd(count, res, g):
        x, order = res
        size = len(x) // count
        chosen = jnp.arange(count)[:, None] == order
        if slip == "mean of all":
            chosen = jnp.full(chosen.shape, 1 / count)
        up = g * chosen / (1 if slip == "size of the block" else size)
        rows = jnp.repeat(up, size, axis=0)
        rest = len(x) - size * count
        ends = (rest, 0) if slip == "rows left over" else (0, rest)
        return (jnp.pad(rows, (ends, (0, 0))),)

    middle.defvjp(fwd, bwd)
    return middle, plain

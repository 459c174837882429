"""Distances, bounds, reductions and two bijectors."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def points_and_factor(rng):
    tril = jnp.tril(normal(rng, 3, 3, std=0.4), -1) + jnp.diag(positive(rng, 3))
    return normal(rng, 5, 3), normal(rng, 3), tril, False


def points_at_mean(rng):
    points, mean, tril, _ = points_and_factor(rng)
    return points.at[2].set(mean), mean, tril, False


@case(
    "Mahalanobis distance by a Cholesky factor in scikit-learn and gpytorch ports",
    "distance with an option",
    points_and_factor,
    Twin(
        "shared mean averaged",
        "sum|ratio|factor",
        "mean",
        "The mean is shared by the points, its gradient is their mean.",
    ),
    Twin(
        "factor not turned",
        "transpose|function|operand",
        "points mean tril",
        "The second solve is with the factor, not with its transpose.",
    ),
    Twin(
        "point at the mean",
        "zero|edge|eps",
        "points mean tril",
        "A distance of zero is divided by.",
        witness=points_at_mean,
    ),
    narrow=False,
)
def mahalanobis_distance(slip):
    def white(points, mean, tril):
        return solve_triangular(tril, (points - mean).T, lower=True)

    def plain(points, mean, tril, squared):
        total = (white(points, mean, tril) ** 2).sum(0)
        apart = total > 0
        root = jnp.sqrt(jnp.where(apart, total, 1))
        return total if squared else jnp.where(apart, root, 0)

    distance = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(points, mean, tril, squared):
        value = plain(points, mean, tril, squared)
        return value, (white(points, mean, tril), tril, value)

    def bwd(squared, res, g):
        z, tril, value = res
        if squared:
            dz = 2 * g * z
        elif slip == "point at the mean":
            dz = g * z / value
        else:
            dz = g * z / jnp.where(value > 0, value, 1)
        trans = 0 if slip == "factor not turned" else 1
        back = solve_triangular(tril, dz, lower=True, trans=trans)
        dmean = back.mean(1) if slip == "shared mean averaged" else back.sum(1)
        return back.T, -dmean, -jnp.tril(back @ z.T)

    distance.defvjp(fwd, bwd)
    return distance, plain


def weights_of_samples(order):
    def args(rng):
        return normal(rng, 6, 3), normal(rng, 6, 3), order

    return args


@case(
    "Renyi bound of several samples in variational toolboxes (TFP's csiszar, zhusuan)",
    "variational bound",
    weights_of_samples(0.3),
    Twin(
        "order one",
        "option|factor|function",
        "log_joint log_proposal",
        "The weights are normalised as if the order were zero.",
    ),
    Twin(
        "order applied twice",
        "factor|ratio|option",
        "log_joint log_proposal",
        "The gradient is multiplied by one less the order.",
    ),
    Twin(
        "over the batch",
        "index|sum|operand",
        "log_joint log_proposal",
        "The weights are normalised over the batch, not the samples.",
    ),
)
def renyi_bound(slip):
    def plain(log_joint, log_proposal, order):
        scaled = log_joint - log_proposal
        if order == 1:
            return scaled.mean(0)
        free = 1 - order
        total = jax.nn.logsumexp(free * scaled, axis=0)
        return (total - jnp.log(float(len(scaled))).astype(total.dtype)) / free

    bound = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(log_joint, log_proposal, order):
        return plain(log_joint, log_proposal, order), log_joint - log_proposal

    def bwd(order, scaled, g):
        free = 1 if slip == "order one" else 1 - order
        axis = 1 if slip == "over the batch" else 0
        share = jax.nn.softmax(free * scaled, axis=axis)
        if slip == "order applied twice" and order != 1:
            share = share * free
        return g * share, -g * share

    bound.defvjp(fwd, bwd)
    return bound, plain


def ragged_scores(rng, second=3):
    return normal(rng, 4, 6), jnp.asarray([6, second, 1, 4])


@case(
    "log of the mean of exponentials over valid entries in AllenNLP-like utilities",
    "reduction with lengths",
    ragged_scores,
    Twin(
        "divided by the length",
        "ratio|factor",
        "x",
        "The mean's count is applied to the gradient, in which it cancels.",
    ),
    Twin("padding", "mask", "x", "Entries beyond the length get a gradient."),
    Twin(
        "empty row",
        "zero|edge|eps|mask",
        "x",
        "A row without entries gets the gradient of a uniform one.",
        witness=lambda rng: ragged_scores(rng, 0),
    ),
)
def log_mean_exp(slip):
    def valid(x, length):
        return jnp.arange(x.shape[1])[None] < length[:, None]

    def plain(x, length):
        seen = valid(x, length)
        some = length > 0
        low = jnp.where(seen | ~some[:, None], x, -jnp.inf)
        total = jax.nn.logsumexp(low, axis=1)
        mean = total - jnp.log(jnp.maximum(length, 1).astype(x.dtype))
        return jnp.where(some, mean, 0)

    reduce = jax.custom_vjp(plain)

    def fwd(x, length):
        return plain(x, length), (x, length)

    def bwd(res, g):
        x, length = res
        seen = valid(x, length)
        if slip != "padding":
            some = length[:, None] > 0
            share = jax.nn.softmax(jnp.where(seen | ~some, x, -jnp.inf), axis=1)
        else:
            share = jax.nn.softmax(x, axis=1)
        if slip == "divided by the length":
            share = share / jnp.maximum(length, 1)[:, None]
        if slip != "empty row":
            share = jnp.where(length[:, None] > 0, share, 0)
        return g[:, None] * share, None

    reduce.defvjp(fwd, bwd)
    return reduce, plain


@case(
    "centred softmax bijector in TensorFlow Probability",
    "transform with two outputs",
    lambda rng: (normal(rng, 4, 3),),
    Twin(
        "fixed entry in the softmax",
        "term|sum|index",
        "x",
        "The cotangent of the last probability is left out of the inner sum.",
    ),
    Twin(
        "count of the log-determinant",
        "ratio|factor",
        "x",
        "The log-determinant sums one entry less in the backward.",
    ),
    Twin(
        "log-determinant",
        "term|cotangent|path",
        "x",
        "The cotangent of the log-determinant is not used.",
    ),
)
def softmax_centered(slip):
    @jax.custom_vjp
    def transform(x):
        full = jnp.pad(x, ((0, 0), (0, 1)))
        log_y = jax.nn.log_softmax(full)
        return jnp.exp(log_y), log_y.sum(-1)

    def fwd(x):
        y, logdet = transform.fun(x)
        return (y, logdet), y

    def bwd(y, gs):
        dy, dlogdet = gs
        inner = y * dy
        if slip == "fixed entry in the softmax":
            inner = inner[:, :-1]
        dx = y * (dy - inner.sum(-1, keepdims=True))
        count = y.shape[1] - (slip == "count of the log-determinant")
        if slip != "log-determinant":
            dx = dx + dlogdet[:, None] * (1 - count * y)
        return (dx[:, :-1],)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


@case(
    "softsign bijector in TensorFlow Probability and zuko ports",
    "transform with two outputs",
    lambda rng: (normal(rng, 4, 3), normal(rng, 3)),
    Twin(
        "sign in the log-determinant",
        "sign|factor|function",
        "x",
        "The log-determinant falls on both sides, its slope has no sign.",
    ),
    Twin(
        "two in the log-determinant",
        "ratio|factor",
        "x",
        "The log-determinant's slope lacks its two.",
    ),
    Twin(
        "not squared",
        "function|factor|operand",
        "x",
        "The slope is the inverse of one and the size, not of its square.",
    ),
)
def softsign_bijector(slip):
    @jax.custom_vjp
    def transform(x, log_scale):
        below = 1 + jnp.abs(x)
        logdet = log_scale.sum() - 2 * jnp.log(below).sum(-1)
        return jnp.exp(log_scale) * x / below, logdet

    def fwd(x, log_scale):
        y, logdet = transform.fun(x, log_scale)
        return (y, logdet), (x, log_scale, y)

    def bwd(res, gs):
        x, log_scale, y = res
        dy, dlogdet = gs
        below = 1 + jnp.abs(x)
        slope = 1 / below if slip == "not squared" else below**-2
        two = 1 if slip == "two in the log-determinant" else 2
        side = 1 if slip == "sign in the log-determinant" else jnp.sign(x)
        dx = dy * jnp.exp(log_scale) * slope
        dx = dx - dlogdet[:, None] * two * side / below
        return dx, (dy * y).sum(0) + dlogdet.sum()

    transform.defvjp(fwd, bwd)
    return transform, transform.fun

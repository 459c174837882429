"""Bugs of sparse solves, links, means and centres."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def circuit(rng):
    rows = jnp.array([0, 1, 2, 3, 0, 1, 2, 3], jnp.int32)
    columns = jnp.array([0, 1, 2, 3, 1, 2, 3, 0], jnp.int32)
    diagonal = positive(rng, 4, low=2.0, high=3.0)
    values = jnp.concatenate([diagonal, normal(rng, 4, std=0.5)])
    return values, normal(rng, 4, 2), rows, columns


@case(
    "flaport/torch_sparse_solve#8",
    "sparse solver",
    circuit,
    Twin(
        "as reported",
        "index|sum|axis|term|path|elements",
        "values",
        "Of several right-hand sides the first one alone reaches the matrix.",
    ),
    kind="bug",
    name="sparse_solve torch_sparse_solve#8",
    narrow=False,
)
def sparse_solve(slip):
    """A matrix given by its entries and their places, several right-hand sides."""

    def dense(values, n, rows, columns):
        return jnp.zeros((n, n), values.dtype).at[rows, columns].add(values)

    @jax.custom_vjp
    def solve(values, b, rows, columns):
        return jnp.linalg.solve(dense(values, len(b), rows, columns), b)

    def fwd(values, b, rows, columns):
        x = solve.fun(values, b, rows, columns)
        return x, (values, rows, columns, x)

    def bwd(res, g):
        values, rows, columns, x = res
        db = jnp.linalg.solve(dense(values, len(x), rows, columns).T, g)
        each = -db[rows] * x[columns]
        return each[:, 0] if slip else each.sum(-1), db, None, None

    solve.defvjp(fwd, bwd)
    return solve, solve.fun


@case(
    "statsmodels/statsmodels#299",
    "link",
    lambda rng: (positive(rng, 6, low=0.1, high=0.9),),
    Twin(
        "as reported",
        "operand|residual|function",
        "p",
        "The density is taken at the probability, not at its quantile.",
    ),
    kind="bug",
    name="cdf_link statsmodels#299",
    fixed=(0,),
    narrow=False,
)
def cdf_link(slip):
    """The probit link of means."""

    @jax.custom_vjp
    def link(p):
        return norm.ppf(p)

    def fwd(p):
        z = norm.ppf(p)
        return z, (p, z)

    def bwd(res, g):
        p, z = res
        return (g / norm.pdf(p if slip else z),)

    link.defvjp(fwd, bwd)
    return link, link.fun


@case(
    "pytorch/pytorch#28993",
    "reduction",
    lambda rng: (normal(rng, 3, 4), (1,)),
    Twin(
        "as reported",
        "ratio|factor|option|edge",
        "x",
        "No axes mean all of them; the gradient is not divided by their size.",
        witness=lambda rng: (normal(rng, 3, 4), ()),
    ),
    kind="bug",
    name="mean_of_no_axes pytorch#28993",
)
def mean_of_no_axes(slip):
    """Means over the axes that are named, over all if none is."""

    def plain(x, axes):
        return jnp.mean(x, axes or None)

    mean = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axes):
        return plain(x, axes), x

    def bwd(axes, x, g):
        every = tuple(range(x.ndim))
        over = axes or every
        size = math.prod(x.shape[a] for a in (axes if slip else over))
        return (jnp.broadcast_to(jnp.expand_dims(g, over), x.shape) / size,)

    mean.defvjp(fwd, bwd)
    return mean, plain


@case(
    "jxgu1016/MNIST_center_loss_pytorch#3",
    "loss",
    lambda rng: (normal(rng, 6, 3), normal(rng, 4, 3), integers(rng, 4, 6)),
    Twin(
        "as reported",
        "sign",
        "features",
        "The features' gradient points from the features to their centres.",
    ),
    kind="bug",
    name="center_loss MNIST_center_loss_pytorch#3",
)
def centre_loss(slip):
    """Half the squared distances of features from their classes' centres."""

    @jax.custom_vjp
    def loss(features, centers, labels):
        gap = centers[labels] - features
        return (gap * gap).sum() / 2 / len(features)

    def fwd(features, centers, labels):
        return loss.fun(features, centers, labels), (features, centers, labels)

    def bwd(res, g):
        features, centers, labels = res
        pull = g * (centers[labels] - features) / len(features)
        dcenters = jnp.zeros_like(centers).at[labels].add(pull)
        return pull if slip else -pull, dcenters, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

"""Bugs of special functions, densities, kernels and small regressions."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def ratings(rng):
    users, items = normal(rng, 4, 3, std=0.5), normal(rng, 5, 3, std=0.5)
    who, what = integers(rng, 4, 8), integers(rng, 5, 8)
    stars = jnp.asarray(rng.integers(1, 6, 8), jnp.float32)
    return users, items, 0.1 * normal(rng, 4), who, what, stars, 0.1


@case(
    "dandxy89/BellkorAlgorithm#3",
    "loss of ratings",
    ratings,
    Twin(
        "as reported",
        "operand|term|factor|cotangent|path",
        "users items offset",
        "The penalties' slopes stand within the brackets that the error multiplies.",
    ),
    kind="bug",
    name="factor_ratings BellkorAlgorithm#3",
    narrow=False,
    fixed=(3, 4, 5),
)
def factor_ratings(slip):
    """Squared errors of the ratings with a penalty on all that predicts them."""

    def plain(users, items, offset, who, what, stars, decay):
        u, v, b = users[who], items[what], offset[who]
        error = stars - b - (u * v).sum(-1)
        size = (u * u).sum(-1) + (v * v).sum(-1) + b * b
        return (error * error + decay * size).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(6,))

    def fwd(users, items, offset, who, what, stars, decay):
        rows = users[who], items[what], offset[who]
        out = plain(users, items, offset, who, what, stars, decay)
        return out, (users, items, offset, *rows, who, what, stars)

    def bwd(decay, res, g):
        users, items, offset, u, v, b, who, what, stars = res
        error = stars - b - (u * v).sum(-1)
        e = 2 * error[:, None]
        if slip:
            du, dv = e * (-v + decay * u), e * (-u + decay * v)
            db = 2 * error * (-1 + decay * b)
        else:
            du, dv = -e * v + 2 * decay * u, -e * u + 2 * decay * v
            db = -2 * error + 2 * decay * b
        return (
            jnp.zeros_like(users).at[who].add(g * du),
            jnp.zeros_like(items).at[what].add(g * dv),
            jnp.zeros_like(offset).at[who].add(g * db),
            None,
            None,
            2 * g * error,
        )

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "cornellius-gp/gpytorch#2563",
    "kernel matrix",
    lambda rng: (normal(rng, 4, 2), normal(rng, 3, 2), jnp.float32(1.0)),
    Twin(
        "as reported",
        "sign|ratio",
        "x z",
        "The first derivatives by the points have the opposite sign.",
    ),
    kind="bug",
    name="matern_derivatives gpytorch#2563",
    narrow=False,
)
def matern_derivatives(slip):
    """Matern's kernel with smoothness 5/2 between two sets of points."""

    def distances(x, z, length):
        gap = (x[:, None] - z[None]) / length
        squares = (gap * gap).sum(-1)
        apart = squares > 0
        r = jnp.where(apart, jnp.sqrt(5 * jnp.where(apart, squares, 1)), 0)
        return gap, r

    def plain(x, z, length):
        r = distances(x, z, length)[1]
        return (1 + r + r * r / 3) * jnp.exp(-r)

    kernel = jax.custom_vjp(plain)

    def fwd(x, z, length):
        return plain(x, z, length), (x, z, length)

    def bwd(res, g):
        x, z, length = res
        gap, r = distances(x, z, length)
        slope = g * (-5 / 3) * (1 + r) * jnp.exp(-r)
        pairs = slope[..., None] * gap / length
        if slip:
            pairs = -pairs
        dlength = -(slope * r * r / 5).sum() / length
        return pairs.sum(1), -pairs.sum(0), dlength

    kernel.defvjp(fwd, bwd)
    return kernel, plain

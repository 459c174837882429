"""Losses of correlation and of sorted projections."""

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
    "Pearson correlation as a loss of regression in notebooks",
    "loss of correlation",
    draw(pred=(3, 6), target=(3, 6)),
    Twin(
        "constant row",
        "edge|nan|finite",
        "pred",
        "A prediction that does not vary is divided by its deviation of 0.",
        witness=lambda rng: (normal(rng, 3, 6).at[1].set(1.0), normal(rng, 3, 6)),
    ),
    Twin(
        "own deviation",
        "term|path",
        "pred target",
        "The lengths are held fixed.",
    ),
    Twin(
        "not centred",
        "operand|term|path|residual|affine",
        "pred",
        "The target enters as it is, without its mean taken away.",
    ),
    narrow=False,
)
def correlation_loss(slip):
    def unit(a):
        a = a - a.mean(-1, keepdims=True)
        square = (a * a).sum(-1, keepdims=True)
        varies = square > 1e-12
        length = jnp.sqrt(jnp.where(varies, square, 1))
        return jnp.where(varies, a / length, 0), jnp.where(varies, length, jnp.inf)

    @jax.custom_vjp
    def loss(pred, target):
        return 1 - (unit(pred)[0] * unit(target)[0]).sum(-1)

    def fwd(pred, target):
        return loss.fun(pred, target), (pred, target)

    def bwd(res, g):
        pred, target = res
        (p, p_length), (t, t_length) = unit(pred), unit(target)
        r = (p * t).sum(-1, keepdims=True)
        if slip == "own deviation":
            r = jnp.zeros_like(r)
        if slip == "constant row":
            spread = pred - pred.mean(-1, keepdims=True)
            p_length = jnp.sqrt((spread * spread).sum(-1, keepdims=True))
        other = target / t_length if slip == "not centred" else t
        dy = -g[:, None]
        return dy * (other - r * p) / p_length, dy * (p - r * t) / t_length

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "sliced Wasserstein distance of point clouds, directions drawn once, with ott-jax",
    "loss by sorting",
    draw(x=(5, 3), y=(5, 3)),
    Twin(
        "order not inverted",
        "index|transpose|operand|residual",
        "x y",
        "Differences are read in the order of the values, not of the points.",
    ),
    Twin(
        "ranks of the other cloud",
        "residual|operand|index|swap",
        "y",
        "y's differences are put where x's ranks say.",
    ),
    Twin("power", "ratio|factor", "x y", "The 2 of the square is missing."),
)
def sliced_wasserstein(slip):
    draws = np.random.default_rng(0).normal(size=(3, 4))
    directions = draws / np.linalg.norm(draws, axis=0)

    def projected(x):
        return x @ jnp.asarray(directions, x.dtype)

    @jax.custom_vjp
    def distance(x, y):
        gap = jnp.sort(projected(x), 0) - jnp.sort(projected(y), 0)
        return (gap * gap).mean()

    def fwd(x, y):
        px, py = projected(x), projected(y)
        orders = jnp.argsort(px, 0), jnp.argsort(py, 0)
        pairs = zip((px, py), orders, strict=True)
        sx, sy = (jnp.take_along_axis(p, order, 0) for p, order in pairs)
        return ((sx - sy) ** 2).mean(), (sx - sy, orders)

    def bwd(res, g):
        gap, orders = res
        d = (1 if slip == "power" else 2) * g * gap / gap.size
        if slip == "ranks of the other cloud":
            orders = orders[0], orders[0]
        if slip != "order not inverted":
            orders = [jnp.argsort(order, 0) for order in orders]
        dx, dy = (jnp.take_along_axis(d, order, 0) for order in orders)
        back = jnp.asarray(directions.T, d.dtype)
        return dx @ back, -dy @ back

    distance.defvjp(fwd, bwd)
    return distance, distance.fun

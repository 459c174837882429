"""Losses of regression with a kink, a dead zone or a bounded influence."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def three_levels(rng):
    levels = jnp.asarray([0.1, 0.5, 0.8], jnp.float32)
    return normal(rng, 7, 3), normal(rng, 7), levels, "mean"


@case(
    "pinball loss of several levels in pytorch-forecasting and ports",
    "loss with an option",
    three_levels,
    Twin(
        "levels mirrored",
        "swap|function|option|mask",
        "pred target",
        "The slopes on the two sides of the target are exchanged.",
    ),
    Twin(
        "always summed",
        "ratio|factor|option",
        "pred target levels",
        "The mean over the rows is left out of the gradients.",
    ),
    Twin(
        "one target",
        "sum|ratio|factor",
        "target",
        "The target is compared with each level, its gradient is their mean.",
    ),
    fixed=(2,),
)
def pinball_loss(slip):
    def plain(pred, target, levels, reduction):
        diff = target[:, None] - pred
        each = jnp.where(diff >= 0, levels * diff, (levels - 1) * diff)
        total = each.sum()
        return total / len(pred) if reduction == "mean" else total

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(pred, target, levels, reduction):
        return plain(pred, target, levels, reduction), (target[:, None] - pred, levels)

    def bwd(reduction, res, g):
        diff, levels = res
        if reduction == "mean" and slip != "always summed":
            g = g / len(diff)
        above, below = levels, levels - 1
        if slip == "levels mirrored":
            above, below = 1 - levels, -levels
        slope = g * jnp.where(diff >= 0, above, below)
        dtarget = slope.mean(1) if slip == "one target" else slope.sum(1)
        return -slope, dtarget, g * diff.sum(0)

    loss.defvjp(fwd, bwd)
    return loss, plain


def tube(squared):
    def args(rng):
        target = normal(rng, 9)
        return target + normal(rng, 9, std=0.8), target, positive(rng, 9), 0.4, squared

    return args


@case(
    "epsilon-insensitive losses of support vector regression in cuML ports",
    "loss with options",
    tube(True),
    Twin(
        "inside of the tube",
        "mask|region|predicate",
        "pred target",
        "Residuals smaller than epsilon get a gradient.",
    ),
    Twin(
        "two of the square",
        "ratio|factor|option",
        "pred target",
        "The gradient of the squared form lacks its two.",
    ),
    Twin(
        "slope of the linear form",
        "option|function|factor",
        "pred target",
        "The option of squares is ignored by the backward.",
    ),
)
def epsilon_insensitive_loss(slip):
    def excess(pred, target, epsilon):
        over = jnp.abs(pred - target) - epsilon
        return jnp.where(over > 0, over, 0.0)

    def plain(pred, target, weight, epsilon, squared):
        over = excess(pred, target, epsilon)
        return (weight * (over * over if squared else over)).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(pred, target, weight, epsilon, squared):
        return plain(pred, target, weight, epsilon, squared), (pred, target, weight)

    def bwd(epsilon, squared, res, g):
        pred, target, weight = res
        over = excess(pred, target, epsilon)
        slope = jnp.sign(pred - target)
        if slip == "inside of the tube":
            over = jnp.abs(pred - target) - epsilon
        else:
            slope = jnp.where(over > 0, slope, 0.0)
        if squared and slip != "slope of the linear form":
            slope = slope * over * (1 if slip == "two of the square" else 2)
        real = excess(pred, target, epsilon)
        dpred = g * weight * slope
        return dpred, -dpred, g * (real * real if squared else real)

    loss.defvjp(fwd, bwd)
    return loss, plain


def robust_line(rng):
    params = {"coef": normal(rng, 3), "intercept": normal(rng)}
    return params, normal(rng, 8, 3), normal(rng, 8), 2.0


@case(
    "Tukey's biweight of a linear model in statsmodels.robust ports",
    "loss with a pytree",
    robust_line,
    Twin(
        "outliers pull",
        "mask|region|predicate",
        "params x y",
        "Residuals beyond the cut get the polynomial's slope.",
    ),
    Twin(
        "weight to the first power",
        "factor|function|operand",
        "params x y",
        "The biweight is not squared.",
    ),
    Twin(
        "intercept averaged",
        "sum|ratio|factor",
        "params",
        "The intercept is shared by the rows, its gradient is their mean.",
    ),
)
def tukey_biweight_loss(slip):
    def residual(params, x, y):
        return x @ params["coef"] + params["intercept"] - y

    def plain(params, x, y, cut):
        u = (residual(params, x, y) / cut) ** 2
        inside = 1 - (1 - u) ** 3
        return cut * cut / 6 * jnp.where(u <= 1, inside, 1.0).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, x, y, cut):
        return plain(params, x, y, cut), (params, x, residual(params, x, y))

    def bwd(cut, res, g):
        params, x, r = res
        u = (r / cut) ** 2
        weight = 1 - u if slip == "weight to the first power" else (1 - u) ** 2
        if slip != "outliers pull":
            weight = jnp.where(u <= 1, weight, 0.0)
        dr = g * r * weight
        start = dr.mean() if slip == "intercept averaged" else dr.sum()
        dparams = {"coef": x.T @ dr, "intercept": start}
        return dparams, jnp.outer(dr, params["coef"]), -dr

    loss.defvjp(fwd, bwd)
    return loss, plain

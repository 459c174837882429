"""Losses and penalties of linear models and of residuals."""

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


def against_column(rng):
    return normal(rng, 6, 3), normal(rng, 6, 1), "mean"


@case(
    "log-cosh loss in keras and optax-like collections",
    "loss with an option",
    against_column,
    Twin(
        "hyperbolic sine",
        "function|operand",
        "pred target",
        "The derivative of log cosh is taken to be sinh.",
    ),
    Twin(
        "rows for entries",
        "ratio|factor|option",
        "pred target",
        "The mean is over the entries, the backward divides by the rows.",
    ),
    Twin(
        "broadcast averaged",
        "sum|ratio|factor",
        "target",
        "The column stands against all predictions of its row: their mean.",
    ),
)
def log_cosh_loss(slip):
    def plain(pred, target, reduction):
        away = jnp.abs(pred - target)
        each = away + jnp.log1p(jnp.exp(-2 * away)) - jnp.log(2.0).astype(away.dtype)
        return {"mean": jnp.mean, "sum": jnp.sum, "none": lambda e: e}[reduction](each)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(pred, target, reduction):
        return plain(pred, target, reduction), pred - target

    def bwd(reduction, diff, g):
        if reduction == "mean":
            g = g / (len(diff) if slip == "rows for entries" else diff.size)
        slope = jnp.sinh(diff) if slip == "hyperbolic sine" else jnp.tanh(diff)
        dpred = g * slope
        shared = jnp.mean if slip == "broadcast averaged" else jnp.sum
        return dpred, -shared(dpred, axis=1, keepdims=True)

    loss.defvjp(fwd, bwd)
    return loss, plain


def linear_svc(rng):
    params = {"w": normal(rng, 4, 3), "b": normal(rng, 3)}
    return params, normal(rng, 6, 4), jnp.asarray([0, 2, 1, 1, 0, 2]), 0.7


@case(
    "one-against-rest squared hinge of linear support vectors (LinearSVC, cuML ports)",
    "loss with a pytree",
    linear_svc,
    Twin(
        "penalty of the weights",
        "term|path",
        "params",
        "The weights' own penalty has no gradient.",
    ),
    Twin(
        "signs of the classes",
        "sign|factor",
        "params x",
        "The sign of the class is left out of the slope.",
    ),
    Twin(
        "two of the square",
        "ratio|factor",
        "params x",
        "The gradient of the squared hinge lacks its two.",
    ),
)
def hinge_squared_loss(slip):
    def margins(params, x, labels):
        scores = x @ params["w"] + params["b"]
        side = 2 * jax.nn.one_hot(labels, scores.shape[1], dtype=scores.dtype) - 1
        return side, jnp.maximum(1 - side * scores, 0)

    def plain(params, x, labels, cost):
        slack = margins(params, x, labels)[1]
        return 0.5 * (params["w"] ** 2).sum() + cost * (slack * slack).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, x, labels, cost):
        return plain(params, x, labels, cost), (params, x, labels)

    def bwd(cost, res, g):
        params, x, labels = res
        side, slack = margins(params, x, labels)
        if slip == "signs of the classes":
            side = jnp.ones_like(side)
        two = 1 if slip == "two of the square" else 2
        ds = -two * cost * g * side * slack
        dw = x.T @ ds
        if slip != "penalty of the weights":
            dw = dw + g * params["w"]
        return {"w": dw, "b": ds.sum(0)}, ds @ params["w"].T, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def gamma_glm(rng):
    beta, x = normal(rng, 3, std=0.5), normal(rng, 7, 3)
    return beta, x, normal(rng, 7, std=0.3), positive(rng, 7), positive(rng, 7)


@case(
    "deviance of a gamma regression with log link in glum and statsmodels ports",
    "loss with weights",
    gamma_glm,
    Twin(
        "variance of a Poisson",
        "function|factor|operand",
        "beta x offset",
        "The residual is not divided by the mean.",
    ),
    Twin(
        "weights' own sum",
        "term|path",
        "weight",
        "The weights' gradient lacks the part of their sum.",
    ),
    Twin(
        "two in the deviance",
        "ratio|factor",
        "y",
        "The observations' gradient lacks the two of the deviance.",
    ),
    fixed=(3,),
    scales=(0.1, 1.0),
    narrow=False,
)
def gamma_deviance(slip):
    tiny = 1e-6

    def each(beta, x, offset, y):
        eta = x @ beta + offset
        return eta, 2 * (y * jnp.exp(-eta) - 1 - jnp.log(y) + eta)

    @jax.custom_vjp
    def deviance(beta, x, offset, y, weight):
        total = jnp.maximum(weight.sum(), tiny)
        return (weight * each(beta, x, offset, y)[1]).sum() / total

    def fwd(*args):
        value = deviance.fun(*args)
        return value, (args, value)

    def bwd(res, g):
        (beta, x, offset, y, weight), value = res
        eta, unit = each(beta, x, offset, y)
        full = weight.sum()
        g = g / jnp.maximum(full, tiny)
        ratio = jnp.exp(-eta)
        slope = 1 - y * ratio
        if slip == "variance of a Poisson":
            slope = 1 / ratio - y
        deta = g * weight * 2 * slope
        two = 1 if slip == "two in the deviance" else 2
        dy = g * weight * two * (ratio - 1 / y)
        mean = 0.0 if slip == "weights' own sum" else jnp.where(full > tiny, value, 0)
        return x.T @ deta, jnp.outer(deta, beta), deta, dy, g * (unit - mean)

    deviance.defvjp(fwd, bwd)
    return deviance, deviance.fun


def groups(rng):
    group = jnp.asarray([0, 0, 2, 1, 2, 2])
    return normal(rng, 6, 2), group, positive(rng, 4)


def group_of_zeros(rng):
    weight, group, strength = groups(rng)
    return weight.at[3].set(0), group, strength


@case(
    "penalty of groups of rows in skglm and group-lasso ports",
    "penalty",
    groups,
    Twin(
        "size of the group",
        "factor|ratio|operand",
        "weight",
        "The root of the number of entries is left out of the gradient.",
    ),
    Twin(
        "group of zeros",
        "zero|edge|eps",
        "weight",
        "A group of zeros is divided by its length.",
        witness=group_of_zeros,
    ),
    Twin(
        "rows for groups",
        "index|sum|operand",
        "weight",
        "A row is divided by its own length, not its group's.",
    ),
)
def group_lasso_penalty(slip):
    def norms(weight, group, count):
        rows = (weight * weight).sum(1)
        square = jnp.zeros(count, weight.dtype).at[group].add(rows)
        some = square > 0
        length = jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)
        size = jnp.zeros(count, weight.dtype).at[group].add(weight.shape[1])
        return length, jnp.sqrt(size)

    @jax.custom_vjp
    def penalty(weight, group, strength):
        length, size = norms(weight, group, len(strength))
        return (strength * size * length).sum()

    def fwd(weight, group, strength):
        return penalty.fun(weight, group, strength), (weight, group, strength)

    def bwd(res, g):
        weight, group, strength = res
        length, size = norms(weight, group, len(strength))
        scale = strength if slip == "size of the group" else strength * size
        below = length[group]
        if slip == "rows for groups":
            below = jnp.sqrt((weight * weight).sum(1))
        if slip != "group of zeros":
            below = jnp.where(below > 0, below, 1)
        dweight = g * (scale[group] / below)[:, None] * weight
        return dweight, None, g * size * length

    penalty.defvjp(fwd, bwd)
    return penalty, penalty.fun

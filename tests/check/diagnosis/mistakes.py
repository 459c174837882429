"""Wrong backwards with a known mistake each, for the tests of the hint engine.

The line of the mistake ends in `# mistake`; `MISTAKES` says what the first hint must
state.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Norm(NamedTuple):
    xhat: jax.Array
    rstd: jax.Array
    gamma: jax.Array


def norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    var = (centred * centred).mean(-1, keepdims=True)
    return gamma * (centred / jnp.sqrt(var + 1e-5)) + beta


def norm_fwd(x, gamma, beta):
    centred = x - x.mean(-1, keepdims=True)
    var = (centred * centred).mean(-1, keepdims=True)
    rstd = 1 / jnp.sqrt(var + 1e-5)
    return norm(x, gamma, beta), Norm(centred * rstd, rstd, gamma)


def norm_right(res, dy):
    g = dy * res.gamma
    mean_gx = (g * res.xhat).mean(-1, keepdims=True)
    dx = res.rstd * (g - g.mean(-1, keepdims=True) - res.xhat * mean_gx)
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def norm_lost_mean(res, dy):
    g = dy * res.gamma
    mean_gx = (g * res.xhat).mean(-1, keepdims=True)
    dx = res.rstd * (g - res.xhat * mean_gx)  # mistake
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def norm_lost_gamma(res, dy):
    g = dy
    mean_gx = (g * res.xhat).mean(-1, keepdims=True)
    dx = res.rstd * (g - g.mean(-1, keepdims=True) - res.xhat * mean_gx)  # mistake
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def norm_wrong_sign(res, dy):
    g = dy * res.gamma
    mean_gx = (g * res.xhat).mean(-1, keepdims=True)
    dx = res.rstd * (g - g.mean(-1, keepdims=True) + res.xhat * mean_gx)  # mistake
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def norm_sum_for_mean(res, dy):
    g = dy * res.gamma
    mean_gx = (g * res.xhat).sum(-1, keepdims=True)  # mistake
    dx = res.rstd * (g - g.mean(-1, keepdims=True) - res.xhat * mean_gx)
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def norm_swapped(res, dy):
    dx = norm_right(res, dy)[0]
    return dx, dy.sum(0), (dy * res.xhat).sum(0)  # mistake


def norm_two_mistakes(res, dy):
    dx, dgamma, dbeta = norm_right(res, dy)
    return -dx, dgamma, dbeta / dy.shape[0]


def norm_two_in_one(res, dy):
    g = dy * res.gamma
    mean_gx = (g * res.xhat).sum(-1, keepdims=True)
    dx = res.rstd * (g + g.mean(-1, keepdims=True) - res.xhat * mean_gx)
    return dx, (dy * res.xhat).sum(0), dy.sum(0)


def linear(x, w, b):
    return x @ w + b


def linear_fwd(x, w, b):
    return x @ w + b, (x, w)


def linear_transposed(res, dy):
    x, w = res
    return dy @ w, x.T @ dy, dy.sum(0)  # mistake


def linear_mean(res, dy):
    x, w = res
    return dy @ w.T, x.T @ dy / dy.shape[0], dy.sum(0)  # mistake


def linear_one_entry(res, dy):
    x, w = res
    return dy @ w.T, (x.T @ dy).at[1, 2].set(0.0), dy.sum(0)  # mistake


def linear_zero(res, dy):
    _, w = res
    return dy @ w.T, jnp.zeros_like(w), dy.sum(0)  # mistake


def tanh(x):
    return jnp.tanh(x)


def tanh_fwd(x):
    y = jnp.tanh(x)
    return y, (x, y)


def tanh_wrong_residual(res, dy):
    x, y = res
    return (dy * (1 - x * y),)  # mistake


def tanh_ignores(res, dy):
    _, y = res
    return (1 - y * y,)  # mistake


def tanh_absolute(res, dy):
    _, y = res
    return (jnp.abs(dy) * (1 - y * y),)  # mistake


def tanh_clipped(res, dy):
    _, y = res
    return (jnp.clip(dy, -0.25, 0.25) * (1 - y * y),)  # mistake


def tanh_penalty(res, dy):
    x, y = res
    return (dy * (1 - y * y) + 0.1 * x,)  # mistake


def tanh_first(res, dy):
    _, y = res
    return (dy[0, 0] * (1 - y * y),)  # mistake


def relu(x):
    return jnp.maximum(x, 0)


def relu_fwd(x):
    return relu(x), x


def relu_unmasked(x, dy):
    return (jnp.where(x > 0, dy, dy),)  # mistake


def embedding(table, ids):
    return table[ids]


def embedding_fwd(table, ids):
    return table[ids], (table, ids)


def embedding_set(res, dy):
    table, ids = res
    return jnp.zeros_like(table).at[ids].set(dy), None  # mistake


def attention(q, k, v):
    p = jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5)
    return p @ v


def attention_fwd(q, k, v):
    p = jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5)
    return p @ v, (q, k, v, p)


def attention_unscaled(res, dy):
    q, k, v, p = res
    dp = dy @ v.T
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))  # mistake
    return ds @ k, ds.T @ q, p.T @ dy


def sincos(x):
    return jnp.sin(x), jnp.cos(x)


def sincos_fwd(x):
    return sincos(x), sincos(x)


def sincos_one_output(res, dy):
    _, cos = res
    dsin, _ = dy
    return (dsin * cos,)  # mistake


class Mistake(NamedTuple):
    plain: object
    fwd: object
    bwd: object
    shapes: tuple
    kinds: str  # what the first hint may call it
    code: str  # of what it states or of the edit, see `jaxninja.check.hints.TEMPLATES`
    fact: str  # and what is named there


NORM = ((5, 4), (4,), (4,))
LINEAR = ((5, 4), (4, 3), (3,))
SQUARE = ((5, 4), (4, 4), (4,))
MISTAKES = (
    Mistake(norm, norm_fwd, norm_lost_mean, NORM, "term", "no path", "x.mean(-1, k"),
    Mistake(norm, norm_fwd, norm_lost_gamma, NORM, "factor", "leave out", "gamma"),
    Mistake(norm, norm_fwd, norm_wrong_sign, NORM, "sign", "instead", "-"),
    Mistake(norm, norm_fwd, norm_sum_for_mean, NORM, "ratio", "instead", "mean"),
    Mistake(norm, norm_fwd, norm_swapped, NORM, "swap", "swap, both", "beta"),
    Mistake(
        linear,
        linear_fwd,
        linear_transposed,
        SQUARE,
        "transpose",
        "transpose operand",
        "w",
    ),
    Mistake(linear, linear_fwd, linear_mean, LINEAR, "ratio", "leave out", "/ 5"),
    Mistake(linear, linear_fwd, linear_one_entry, LINEAR, "index", "entry", "[1, 2]"),
    Mistake(linear, linear_fwd, linear_zero, LINEAR, "zero", "zero", "w"),
    Mistake(tanh, tanh_fwd, tanh_wrong_residual, ((4, 3),), "residual", "instead", "y"),
    Mistake(tanh, tanh_fwd, tanh_ignores, ((4, 3),), "cotangent", "ignored", "x"),
    Mistake(
        tanh,
        tanh_fwd,
        tanh_absolute,
        ((4, 3),),
        "cotangent",
        "other cotangent",
        "|{dy}|",
    ),
    Mistake(
        tanh,
        tanh_fwd,
        tanh_clipped,
        ((4, 3),),
        "cotangent",
        "clip({dy}, -{limit}, {limit})",
        "0.25",
    ),
    Mistake(tanh, tanh_fwd, tanh_penalty, ((4, 3),), "affine", "constant", "x"),
    Mistake(
        tanh,
        tanh_fwd,
        tanh_first,
        ((4, 3),),
        "cotangent",
        "other cotangent",
        "first entry",
    ),
    Mistake(relu, relu_fwd, relu_unmasked, ((4, 3),), "mask", "where", "x < 0"),
    Mistake(
        embedding,
        embedding_fwd,
        embedding_set,
        ((4, 3), 7),
        "duplicates",
        "instead",
        ".add",
    ),
    Mistake(
        attention,
        attention_fwd,
        attention_unscaled,
        ((4, 3),) * 3,
        "ratio",
        "ratio",
        "sqrt",
    ),
    Mistake(
        sincos,
        sincos_fwd,
        sincos_one_output,
        ((4, 3),),
        "cotangent",
        "{dy} with output {i} ignored",
        "1",
    ),
)

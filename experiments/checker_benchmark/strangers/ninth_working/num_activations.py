"""Activations with bends, thresholds and a dense layer before."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jax.nn.squareplus with a learned bend",
    "activation with learned parameters",
    draw(x=(3, 5), raw=()),
    Twin(
        "half of the sum",
        "factor|ratio",
        "x",
        "The half in front is left out of the gradient of x.",
    ),
    Twin(
        "bend of its square",
        "factor|path|operand",
        "raw",
        "The bend is the square of the parameter, which is not pulled back.",
    ),
    Twin(
        "bend averaged",
        "sum|ratio|factor",
        "raw",
        "The bend is shared by all entries: its gradient is their mean.",
    ),
)
def squareplus(slip):
    eps = 0.01

    def plain(x, raw):
        return (x + jnp.sqrt(x * x + raw * raw + eps)) / 2

    act = jax.custom_vjp(plain)

    def fwd(x, raw):
        return plain(x, raw), (x, raw)

    def bwd(res, g):
        x, raw = res
        root = jnp.sqrt(x * x + raw * raw + eps)
        half = 1.0 if slip == "half of the sum" else 0.5
        up = jnp.ones_like(raw) if slip == "bend of its square" else 2 * raw
        each = g / (4 * root)
        shared = each.mean() if slip == "bend averaged" else each.sum()
        return g * half * (1 + x / root), shared * up

    act.defvjp(fwd, bwd)
    return act, plain


def with_bends(rng):
    return normal(rng, 4, 3), positive(rng, 3)


@case(
    "smooth ReLU (SmeLU) of recommenders in flax",
    "activation with a bend for each channel",
    with_bends,
    Twin(
        "linear part bends",
        "mask|region",
        "bend",
        "Entries above the bend contribute to its gradient.",
    ),
    Twin(
        "quotient",
        "quotient|term",
        "bend",
        "The bend in the denominator is held.",
    ),
    Twin(
        "slope of the middle",
        "factor|ratio",
        "x",
        "The middle's slope is divided by four bends, not by two.",
    ),
)
def smelu(slip):
    least = 0.05

    def plain(x, bend):
        b = jnp.maximum(bend, least)
        middle = jnp.square(jnp.clip(x, -b, b) + b) / (4 * b)
        return jnp.where(x >= b, x, middle)

    act = jax.custom_vjp(plain)

    def fwd(x, bend):
        return plain(x, bend), {"x": x, "bend": bend}

    def bwd(res, g):
        x, bend = res["x"], res["bend"]
        b = jnp.maximum(bend, least)
        inside = jnp.abs(x) < b
        by = 4 if slip == "slope of the middle" else 2
        dx = g * jnp.where(inside, (x + b) / (by * b), (x >= b).astype(x.dtype))
        if slip == "quotient":
            up = (x + b) / (2 * b)
        else:
            up = (x + b) * (b - x) / (4 * b * b)
        keep = x > -b if slip == "linear part bends" else inside
        dbend = jnp.where(keep, g * up, 0).reshape(-1, *bend.shape).sum(0)
        return dx, jnp.where(bend > least, dbend, 0)

    act.defvjp(fwd, bwd)
    return act, plain


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


def dense_layer(use_bias=True):
    def args(rng):
        bias = normal(rng, 4) if use_bias else None
        return normal(rng, 6, 3), Layer(normal(rng, 3, 4), bias)

    return args


@case(
    "fused bias and tanh GELU of Megatron in JAX",
    "dense layer with an activation",
    dense_layer(),
    Twin(
        "without the bias",
        "residual|operand",
        "x layer",
        "The activation's slope is taken at the product before the bias.",
    ),
    Twin(
        "cube's slope",
        "factor|term|power",
        "x layer",
        "The derivative of the cube lacks its three.",
    ),
    Twin(
        "gate alone",
        "term|product",
        "x layer",
        "The product rule's term of the tanh is left out.",
    ),
)
def gelu_tanh(slip):
    root, cubic = 0.7978845608028654, 0.044715

    def before(x, layer):
        z = x @ layer.kernel
        return z if layer.bias is None else z + layer.bias

    def plain(x, layer):
        z = before(x, layer)
        return 0.5 * z * (1 + jnp.tanh(root * (z + cubic * z * z * z)))

    dense = jax.custom_vjp(plain)

    def fwd(x, layer):
        z = x @ layer.kernel if slip == "without the bias" else before(x, layer)
        return plain(x, layer), (x, layer, z)

    def bwd(res, g):
        x, layer, z = res
        near = jnp.clip(z, -30, 30)  # the slope is 0 or 1 there
        t = jnp.tanh(root * (near + cubic * near**3))
        three = 1 if slip == "cube's slope" else 3
        slope = 0.5 * (1 + t)
        if slip != "gate alone":
            inner = root * (1 + three * cubic * near**2)
            slope = slope + 0.5 * near * (1 - t) * (1 + t) * inner
        dz = g * slope
        dbias = None if layer.bias is None else dz.sum(0)
        return dz @ layer.kernel.T, Layer(x.T @ dz, dbias)

    dense.defvjp(fwd, bwd)
    return dense, plain


def thresholds(some_negative=False):
    def args(rng):
        level = positive(rng, 4, low=0.2, high=0.9)
        return 2 * normal(rng, 5, 4), level.at[1].set(-0.3 if some_negative else 0.3)

    return args


@case(
    "learned soft thresholds of LISTA in JAX",
    "shrinkage with learned thresholds",
    thresholds(),
    Twin(
        "sign of the entry",
        "sign",
        "level",
        "Of negative entries the threshold's gradient has the sign of positive ones.",
    ),
    Twin(
        "negative thresholds",
        "mask|region|edge",
        "level",
        "A threshold below zero, which acts as zero, gets a gradient.",
        witness=thresholds(some_negative=True),
    ),
    Twin(
        "small entries",
        "mask|region",
        "x",
        "Entries that were set to zero pass the gradient.",
    ),
)
def soft_shrink(slip):
    @jax.custom_vjp
    def shrink(x, level):
        shrunk = jnp.sign(x) * jax.nn.relu(jnp.abs(x) - level)
        return jnp.where(level > 0, shrunk, x)

    def fwd(x, level):
        return shrink.fun(x, level), (x, level)

    def bwd(res, g):
        x, level = res
        large = (jnp.abs(x) > level) | (level <= 0)
        dx = jnp.where(large, g, 0)
        way = 1 if slip == "sign of the entry" else jnp.sign(x)
        dlevel = -(dx * way).reshape(-1, *level.shape).sum(0)
        if slip != "negative thresholds":
            dlevel = jnp.where(level > 0, dlevel, 0)
        return (g if slip == "small entries" else dx), dlevel

    shrink.defvjp(fwd, bwd)
    return shrink, shrink.fun

"""Gradients that are declared: clamps, replaced gradients and binary weights."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def inward(args, dy):
    x, low, high = args
    return (jnp.where(dy * (x - jnp.clip(x, low, high)) >= 0, dy, 0),)


@case(
    "clamp of CLIP-guided images: gradients pass where they lead back into the range",
    "gradient clipping",
    lambda rng: (normal(rng, 4, 5), -1.0, 1.0),
    Twin(
        "inside only",
        "mask|region|predicate",
        "x",
        "No gradient passes outside of the range, though it would lead back.",
    ),
    Twin(
        "outward",
        "mask|region|predicate|sign",
        "x",
        "Outside, those gradients pass that lead further away.",
    ),
    Twin(
        "upper end only",
        "mask|region|predicate|term|path|option",
        "x",
        "Below the range every gradient passes.",
    ),
    options=lambda plain: {"surrogate": inward},
)
def clamp_with_grad(slip):
    def plain(x, low, high):
        return jnp.clip(x, low, high)

    clamp = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, low, high):
        return plain(x, low, high), x

    def bwd(low, high, x, g):
        off = x - jnp.clip(x, low, high)
        if slip == "inside only":
            return (jnp.where(off == 0, g, 0),)
        if slip == "outward":
            return (jnp.where(g * off <= 0, g, 0),)
        if slip == "upper end only":
            off = jnp.maximum(off, 0)
        return (jnp.where(g * off >= 0, g, 0),)

    clamp.defvjp(fwd, bwd)
    return clamp, plain


def folded(d, like):
    d = d.sum(tuple(range(d.ndim - like.ndim)))
    ones = [i for i, n in enumerate(like.shape) if n == 1]
    return d.sum(tuple(ones), keepdims=True)


def to_the_second(args, dy):
    value, learner = args
    return jnp.zeros_like(value), folded(dy, learner)


def codes(rng):
    z = normal(rng, 4, 6)
    return jnp.round(2 * z) / 2, z


@case(
    "replaced gradients of VQGAN notebooks: one array's value, another's gradient",
    "gradient of another array",
    codes,
    Twin(
        "both learn",
        "mask|region|path|term|zero|ratio|factor|cotangent|affine",
        "value",
        "The array whose value is shown has the gradient too.",
    ),
    Twin(
        "broadcast array",
        "sum|axis|ratio|factor",
        "learner",
        "An array that was broadcast has the mean of the gradients.",
        witness=lambda rng: (normal(rng, 4, 6), normal(rng, 6)),
    ),
    options=lambda plain: {"surrogate": to_the_second},
)
def replace_gradient(slip):
    @jax.custom_vjp
    def replace(value, learner):
        return value

    def fwd(value, learner):
        return value, (value, learner)

    def bwd(res, g):
        value, learner = res
        dlearner = folded(g, learner)
        if slip == "broadcast array":
            dlearner = dlearner * (learner.size / g.size)
        return g if slip == "both learn" else jnp.zeros_like(value), dlearner

    replace.defvjp(fwd, bwd)
    return replace, replace.fun


def binarised(args, dy):
    x, w = args
    sign, scale = jnp.where(w < 0, -1, 1), jnp.abs(w).mean(0)
    d = x.T @ dy
    through_scale = sign * (d * sign).sum(0) / len(w)
    through_sign = jnp.where(jnp.abs(w) <= 1, d * scale, 0)
    return dy @ (sign * scale).T, through_sign + through_scale


@case(
    "binary weights with a scale a column (XNOR-Net), straight through within one",
    "quantised dense layer",
    lambda rng: (normal(rng, 5, 6), normal(rng, 6, 3, std=0.4)),
    Twin(
        "scale held",
        "term|path",
        "w",
        "The mean of the absolute weights is taken as a constant.",
    ),
    Twin(
        "large weights",
        "mask|region|predicate",
        "w",
        "Weights beyond one are not cut off.",
        witness=lambda rng: (normal(rng, 5, 6), normal(rng, 6, 3, std=1.5)),
    ),
    Twin(
        "latent weights",
        "residual|operand",
        "x",
        "The inputs get the cotangent through the weights that are not binary.",
    ),
    options=lambda plain: {"surrogate": binarised},
)
def binarized_dense(slip):
    def binary(w):
        sign = jnp.where(w < 0, -1, 1).astype(w.dtype)
        return sign, jnp.abs(w).mean(0)

    @jax.custom_vjp
    def dense(x, w):
        sign, scale = binary(w)
        return x @ (sign * scale)

    def fwd(x, w):
        return dense.fun(x, w), (x, w)

    def bwd(res, g):
        x, w = res
        sign, scale = binary(w)
        d = x.T @ g
        dw = d * scale
        if slip != "large weights":
            dw = jnp.where(jnp.abs(w) <= 1, dw, 0)
        if slip != "scale held":
            dw = dw + sign * (d * sign).sum(0) / len(w)
        return g @ (w if slip == "latent weights" else sign * scale).T, dw

    dense.defvjp(fwd, bwd)
    return dense, dense.fun

"""Layers of flax and of models: dictionaries, closures, two outputs, groups."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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


def mlp_params(rng):
    params = {
        "up": {"kernel": normal(rng, 3, 5), "bias": jnp.zeros(5)},
        "down": {"kernel": normal(rng, 5, 2), "bias": jnp.zeros(2)},
    }
    return params, normal(rng, 4, 3)


@case(
    "flax modules with dictionaries of parameters",
    "layer with a pytree",
    mlp_params,
    Twin(
        "biases exchanged",
        "sum|axis|factor|operand|term|path",
        "params",
        "The upper bias has the sum of the activation's cotangent.",
    ),
    Twin("activation's slope", "mask|factor|path", "params x", "No slope of the relu."),
)
def dict_mlp(slip):
    @jax.custom_vjp
    def mlp(params, x):
        h = jax.nn.relu(x @ params["up"]["kernel"] + params["up"]["bias"])
        return h @ params["down"]["kernel"] + params["down"]["bias"]

    def fwd(params, x):
        h = jax.nn.relu(x @ params["up"]["kernel"] + params["up"]["bias"])
        y = h @ params["down"]["kernel"] + params["down"]["bias"]
        return y, (params, x, h)

    def bwd(res, dy):
        params, x, h = res
        dh = dy @ params["down"]["kernel"].T
        dz = dh if slip == "activation's slope" else jnp.where(h > 0, dh, 0)
        up_bias = dh if slip == "biases exchanged" else dz
        grads = {
            "up": {"kernel": x.T @ dz, "bias": up_bias.sum(0)},
            "down": {"kernel": h.T @ dy, "bias": dy.sum(0)},
        }
        return grads, dz @ params["up"]["kernel"].T

    mlp.defvjp(fwd, bwd)
    return mlp, mlp.fun


@case(
    "anti-aliasing with a fixed filter, closed over",
    "convolution",
    draw(x=(2, 9)),
    Twin(
        "filter not turned",
        "transpose|index|function|operand",
        "x",
        "Correlated again instead of convolved.",
    ),
    Twin("stride's offset", "index|region", "x", "Put back one place too late."),
)
def closed_filter(slip):
    taps = np.array([0.1, 0.5, 0.3, 0.1], np.float32)

    @jax.custom_vjp
    def smooth(x):
        padded = jnp.pad(x, ((0, 0), (1, 2)))
        n = x.shape[1]
        full = sum(w * padded[:, i : i + n] for i, w in enumerate(taps))
        return full[:, ::2].astype(x.dtype)

    def fwd(x):
        return smooth.fun(x), x

    def bwd(x, g):
        n = x.shape[1]
        late = 1 if slip == "stride's offset" else 0
        spread = (
            jnp.zeros((len(x), n + late), g.dtype)
            .at[:, late::2]
            .set(g[:, : (n + 1) // 2])[:, :n]
        )
        padded = jnp.pad(spread, ((0, 0), (2, 1)))
        order = taps if slip == "filter not turned" else taps[::-1]
        full = sum(w * padded[:, i : i + n] for i, w in enumerate(order))
        return (full.astype(x.dtype),)

    smooth.defvjp(fwd, bwd)
    return smooth, smooth.fun


def stream_and_weight(eps):
    def args(rng):
        return normal(rng, 3, 5), normal(rng, 3, 5), positive(rng, 5), eps

    return args


@case(
    "fused residual and RMSNorm of vLLM and Liger ports",
    "normalisation with two outputs",
    lambda rng: (normal(rng, 3, 5), normal(rng, 3, 5), jnp.ones(5), 1e-6),
    Twin(
        "second output dropped",
        "path|term|cotangent|zero",
        "x residual",
        "The cotangent of the sum is not added.",
    ),
    Twin(
        "weight not applied",
        "factor|operand",
        "x residual",
        "dy is not times the weight, which is 1 at the start.",
        witness=lambda rng: (
            normal(rng, 3, 5),
            normal(rng, 3, 5),
            positive(rng, 5),
            1e-6,
        ),
    ),
    Twin(
        "eps outside",
        "eps|option|constant|function",
        "x residual weight",
        "The root is taken before epsilon is added.",
        witness=lambda rng: (
            normal(rng, 3, 5),
            normal(rng, 3, 5),
            positive(rng, 5),
            0.1,
        ),
    ),
    fixed=(2,),
)
def fused_add_rmsnorm(slip):
    def plain(x, residual, weight, eps):
        h = x + residual
        return weight * h * lax.rsqrt((h * h).mean(-1, keepdims=True) + eps), h

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, residual, weight, eps):
        y, h = plain(x, residual, weight, eps)
        return (y, h), (h, weight)

    def bwd(eps, res, g):
        h, weight = res
        dy, dh = g
        ms = (h * h).mean(-1, keepdims=True)
        r = lax.rsqrt(ms + eps)
        if slip == "eps outside":
            r = 1 / (jnp.sqrt(ms) + eps)
        dn = dy if slip == "weight not applied" else dy * weight
        dx = r * (dn - h * r * r * (dn * h).mean(-1, keepdims=True))
        if slip != "second output dropped":
            dx = dx + dh
        return dx, dx, (dy * h * r).sum(0)

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "depthwise convolution of ConvNeXt in flax",
    "convolution",
    lambda rng: (normal(rng, 1, 6, 6, 2), normal(rng, 3, 3, 2), 1),
    Twin(
        "stride ignored in dw",
        "index|option|function|operand",
        "kernel",
        "The kernel's gradient assumes that the stride is 1.",
        witness=lambda rng: (normal(rng, 1, 6, 6, 2), normal(rng, 3, 3, 2), 2),
    ),
    Twin(
        "first image only",
        "sum|index|region",
        "kernel",
        "Only image 0 is summed.",
        witness=lambda rng: (normal(rng, 2, 6, 6, 2), normal(rng, 3, 3, 2), 1),
    ),
    Twin("kernel not flipped", "transpose|index|function", "x", "Not turned round."),
)
def depthwise_conv(slip):
    def windows(x, stride):
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        H, W = x.shape[1:3]
        return [
            (i, j, padded[:, i : i + H : stride, j : j + W : stride])
            for i in range(3)
            for j in range(3)
        ]

    def plain(x, kernel, stride):
        return sum(kernel[i, j] * part for i, j, part in windows(x, stride))

    conv = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, kernel, stride):
        return plain(x, kernel, stride), (x, kernel)

    def bwd(stride, res, g):
        x, kernel = res
        H, W = x.shape[1:3]
        dense = jnp.zeros_like(x).at[:, ::stride, ::stride].set(g)
        padded = jnp.pad(dense, ((0, 0), (1, 1), (1, 1), (0, 0)))
        turned = kernel if slip == "kernel not flipped" else kernel[::-1, ::-1]
        dx = sum(
            turned[i, j] * padded[:, i : i + H, j : j + W]
            for i in range(3)
            for j in range(3)
        )
        used = g
        if slip == "first image only":
            used = g.at[1:].set(0)
        parts = windows(x, stride)
        if slip == "stride ignored in dw":
            h, w = g.shape[1:3]
            parts = [(i, j, p[:, :h, :w]) for i, j, p in windows(x, 1)]
        dk = jnp.stack([(p * used).sum((0, 1, 2)) for _, _, p in parts])
        return dx, dk.reshape(kernel.shape)

    conv.defvjp(fwd, bwd)
    return conv, plain

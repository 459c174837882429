"""Bugs of layers with their threads: axes of weights, groups, windows, tails."""

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
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "flagos-ai/FlagGems#4992",
    "activation with learned parameters",
    draw(x=(2, 4, 3, 4), weight=(4,)),
    Twin(
        "as reported",
        "index|sum|axis|operand|transpose",
        "x weight",
        "The weights of the channels are taken along the last axis, not the second.",
    ),
    kind="bug",
    name="prelu FlagGems#4992",
)
def prelu(slip):
    def along_channels(weight, x):
        return weight.reshape(1, -1, *(1,) * (x.ndim - 2))

    @jax.custom_vjp
    def activate(x, weight):
        return jnp.where(x > 0, x, along_channels(weight, x) * x)

    def fwd(x, weight):
        return activate.fun(x, weight), (x, weight)

    def bwd(res, g):
        x, weight = res
        axis = x.ndim - 1 if slip and x.shape[-1] == len(weight) else 1
        slope = weight if axis == x.ndim - 1 else along_channels(weight, x)
        dx = jnp.where(x > 0, g, slope * g)
        others = tuple(i for i in range(x.ndim) if i != axis)
        return dx, jnp.where(x > 0, 0, g * x).sum(others)

    activate.defvjp(fwd, bwd)
    return activate, activate.fun


def mixer_args(rng):
    return *draw(x=(3, 8), z=(3, 8))(rng), jnp.ones(8), 2, 1e-5


@case(
    "state-spaces/mamba#547",
    "normalisation with a gate",
    mixer_args,
    Twin(
        "as reported",
        "sum|axis|option|operand|residual",
        "x z weight",
        "The backward normalises over the whole width, not over the groups.",
    ),
    kind="bug",
    name="grouped_gated_rmsnorm mamba#547",
    fixed=(2,),
    narrow=False,
)
def grouped_gated_rmsnorm(slip):
    def groups(a, count):
        return a.reshape(*a.shape[:-1], count, -1)

    def pieces(x, z, count, eps):
        gated = groups(x * jax.nn.silu(z), count)
        root = lax.rsqrt((gated * gated).mean(-1, keepdims=True) + eps)
        return gated * root, root

    def plain(x, z, weight, count, eps):
        return pieces(x, z, count, eps)[0].reshape(x.shape) * weight

    norm = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(x, z, weight, count, eps):
        return plain(x, z, weight, count, eps), (x, z, weight)

    def bwd(count, eps, res, g):
        x, z, weight = res
        if slip:
            count = 1
        normed, root = pieces(x, z, count, eps)
        dnormed = groups(g * weight, count)
        inner = (dnormed * normed).mean(-1, keepdims=True)
        dgated = (root * (dnormed - normed * inner)).reshape(x.shape)
        s = jax.nn.sigmoid(z)
        dz = dgated * x * s * (1 + z * (1 - s))
        dweight = g * normed.reshape(x.shape)
        return dgated * z * s, dz, dweight.sum(tuple(range(x.ndim - 1)))

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "flagos-ai/FlagGems#5218",
    "upsampling",
    lambda rng: (normal(rng, 1, 3, 2), 10, True),
    Twin(
        "as reported",
        "term|region|index|mask|option",
        "x",
        "The window of outputs that are gathered is too short with aligned corners.",
    ),
    kind="bug",
    name="linear_upsample FlagGems#5218",
)
def linear_upsample(slip):
    def sources(width, size, aligned):
        """Left neighbour, right neighbour and the share of the right one."""
        out = np.arange(size)
        if aligned:
            place = out * (width - 1) / max(size - 1, 1)
        else:
            place = np.maximum((out + 0.5) * width / size - 0.5, 0)
        left = np.minimum(np.floor(place).astype(int), width - 1)
        return left, np.minimum(left + 1, width - 1), place - left

    def plain(x, size, aligned):
        left, right, share = sources(x.shape[-1], size, aligned)
        share = jnp.asarray(share, x.dtype)
        return x[..., left] * (1 - share) + x[..., right] * share

    resize = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, size, aligned):
        return plain(x, size, aligned), jnp.zeros((x.shape[-1], 0), x.dtype)

    def bwd(size, aligned, like, g):
        width = len(like)
        left, right, share = sources(width, size, aligned)
        sample = np.arange(width)[:, None]
        weight = (left == sample) * (1 - share) + (right == sample) * share
        if slip:
            stretch = (size - 1) / max(width - 1, 1) if aligned else size / width
            reach = np.ceil(size / width) + 2
            weight = weight * (np.abs(np.arange(size) - sample * stretch) <= reach)
        return (g @ jnp.asarray(weight.T, g.dtype),)

    resize.defvjp(fwd, bwd)
    return resize, plain


def far_tail(rng):
    return jnp.array([-3.0, 0.5, 20.0, 800.0, 950.0, 1200.0]), 1.0, 1000.0


@case(
    "tenstorrent/tt-metal#56397",
    "activation with options",
    lambda rng: (normal(rng, 3, 4), 1.0, 1000.0),
    Twin(
        "as reported",
        "edge|zero|region",
        "x",
        "exp(beta x) overflows below a high threshold, and its reciprocal makes it 0.",
        witness=far_tail,
    ),
    kind="bug",
    name="softplus_tail tt-metal#56397",
)
def softplus_tail(slip):
    def plain(x, beta, threshold):
        return jnp.where(beta * x > threshold, x, jnp.logaddexp(beta * x, 0) / beta)

    softplus = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, beta, threshold):
        return plain(x, beta, threshold), x

    def bwd(beta, threshold, x, g):
        if slip:
            e = jnp.exp(beta * x)
            share = 1 / (e + 1)
            slope = jnp.where(share == 0, 0, e * share)  # as infinity times 0 there
        else:
            slope = jax.nn.sigmoid(beta * x)
        return (jnp.where(beta * x > threshold, g, g * slope),)

    softplus.defvjp(fwd, bwd)
    return softplus, plain

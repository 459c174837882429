"""Blocks of networks: activations, gates, residual branches, patches."""

import jax
import jax.numpy as jnp

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
    "memory-efficient Mish in timm",
    "activation",
    draw(x=(3, 7)),
    Twin(
        "product rule",
        "term",
        "x",
        "Only tanh of softplus is there, the derivative of the gate is left out.",
    ),
    Twin(
        "square of tanh",
        "function|factor|ratio",
        "x",
        "The derivative of tanh is 1 - t where 1 - t squared is meant.",
    ),
)
def mish(slip):
    @jax.custom_vjp
    def activate(x):
        return x * jnp.tanh(jax.nn.softplus(x))

    def fwd(x):
        return activate(x), x

    def bwd(x, g):
        t = jnp.tanh(jax.nn.softplus(x))
        bend = 1 - (t if slip == "square of tanh" else t * t)
        slope = t + x * jax.nn.sigmoid(x) * bend
        if slip == "product rule":
            slope = t
        return (g * slope,)

    activate.defvjp(fwd, bwd)
    return activate, activate.fun


@case(
    "glu in jax.nn and torch.nn.functional",
    "gated layer",
    lambda rng: (normal(rng, 3, 8, 2), 1),
    Twin(
        "halves swapped",
        "swap",
        "x",
        "The gradient of the gate is put in front of that of the value.",
    ),
    Twin(
        "sigmoid's slope",
        "factor|ratio|function",
        "x",
        "The sigmoid is pulled back by itself, without one minus itself.",
    ),
    Twin(
        "last axis",
        "index|swap|option|axis",
        "x",
        "The halves are put together at the last axis, not at the one asked for.",
    ),
)
def glu_split(slip):
    def plain(x, axis):
        value, gate = jnp.split(x, 2, axis)
        return value * jax.nn.sigmoid(gate)

    glu = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axis):
        return plain(x, axis), x

    def bwd(axis, x, g):
        value, gate = jnp.split(x, 2, axis)
        open_ = jax.nn.sigmoid(gate)
        slope = open_ if slip == "sigmoid's slope" else open_ * (1 - open_)
        parts = [g * open_, g * value * slope]
        if slip == "halves swapped":
            parts = parts[::-1]
        if slip == "last axis":
            return (jnp.concatenate(parts, -1).reshape(x.shape),)
        return (jnp.concatenate(parts, axis),)

    glu.defvjp(fwd, bwd)
    return glu, plain


def branch(rng):
    params = {"kernel": normal(rng, 6, 6, std=0.4), "bias": normal(rng, 6)}
    return normal(rng, 2, 3, 6), {**params, "gamma": normal(rng, 6, std=0.3)}


@case(
    "LayerScale of ConvNeXt and CaiT in flax ports",
    "residual branch with a scale",
    branch,
    Twin(
        "branch alone",
        "term|path",
        "x",
        "The gradient of the residual connection itself is forgotten.",
    ),
    Twin(
        "scaled branch",
        "factor|residual|operand",
        "params",
        "gamma's gradient is taken with the branch after its multiplication.",
    ),
    Twin(
        "bias before gamma",
        "factor|operand|residual",
        "params",
        "The bias gets the output's cotangent, gamma is not applied.",
    ),
)
def layer_scale_residual(slip):
    def inner(x, params):
        return x @ params["kernel"] + params["bias"]

    @jax.custom_vjp
    def block(x, params):
        return x + params["gamma"] * jnp.tanh(inner(x, params))

    def fwd(x, params):
        value = jnp.tanh(inner(x, params))
        return x + params["gamma"] * value, (x, params, value)

    def bwd(res, g):
        x, params, value = res
        gamma = params["gamma"]
        seen = gamma * value if slip == "scaled branch" else value
        dgamma = (g * seen).sum((0, 1))
        dh = g * gamma * (1 - value**2)
        dx = dh @ params["kernel"].T
        if slip != "branch alone":
            dx = dx + g
        dbias = g * (1 - value**2) if slip == "bias before gamma" else dh
        dparams = {
            "kernel": jnp.einsum("btd,bte->de", x, dh),
            "bias": dbias.sum((0, 1)),
            "gamma": dgamma,
        }
        return dx, dparams

    block.defvjp(fwd, bwd)
    return block, block.fun


def image(rng):
    return normal(rng, 2, 4, 6, 3), normal(rng, 2, 2, 3, 5), normal(rng, 6, 5), 2


@case(
    "patch embedding of ViT in flax ports and big_vision",
    "embedding of patches",
    image,
    Twin(
        "positions averaged",
        "factor|ratio|sum",
        "positions",
        "The gradient of the table of positions is a mean over the batch.",
    ),
    Twin(
        "patch transposed",
        "transpose|index|swap",
        "images",
        "Rows and columns within a patch are exchanged.",
    ),
    Twin(
        "one image",
        "sum|index|term",
        "kernel",
        "The kernel learns from the first image of the batch only.",
    ),
)
def patch_embed(slip):
    def patches(images, size):
        b, h, w, c = images.shape
        cut = images.reshape(b, h // size, size, w // size, size, c)
        return cut.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, size, size, c)

    def plain(images, kernel, positions, size):
        cut = patches(images, size)
        return jnp.einsum("bnijc,ijcd->bnd", cut, kernel) + positions

    embed = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(images, kernel, positions, size):
        return plain(images, kernel, positions, size), (images, kernel)

    def bwd(size, res, g):
        images, kernel = res
        b, h, w, c = images.shape
        cut = patches(images, size)
        count = 1 if slip == "one image" else b
        dkernel = jnp.einsum("bnijc,bnd->ijcd", cut[:count], g[:count])
        dcut = jnp.einsum("bnd,ijcd->bnijc", g, kernel)
        if slip == "patch transposed":
            dcut = dcut.swapaxes(2, 3)
        dcut = dcut.reshape(b, h // size, w // size, size, size, c)
        dimages = dcut.transpose(0, 1, 3, 2, 4, 5).reshape(images.shape)
        dpositions = g.mean(0) if slip == "positions averaged" else g.sum(0)
        return dimages, dkernel, dpositions

    embed.defvjp(fwd, bwd)
    return embed, plain


@case(
    "in-place leaky ReLU and dense layer in memory-saving PyTorch layers",
    "dense layer that keeps its output",
    lambda rng: (normal(rng, 5, 4), normal(rng, 4, 3), normal(rng, 3), 0.2),
    Twin(
        "slope of ReLU",
        "option|mask|factor|term",
        "x kernel bias",
        "Where the output is negative there is no gradient, the slope is ignored.",
    ),
    Twin(
        "slope twice",
        "factor|ratio",
        "kernel",
        "The kernel's gradient has the slope twice.",
    ),
)
def leaky_relu_inplace(slip):
    def plain(x, kernel, bias, slope):
        return jax.nn.leaky_relu(x @ kernel + bias, slope)

    layer = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, kernel, bias, slope):
        out = plain(x, kernel, bias, slope)
        return out, (x, kernel, out)

    def bwd(slope, res, g):
        x, kernel, out = res
        low = 0.0 if slip == "slope of ReLU" else slope
        dh = jnp.where(out >= 0, g, low * g)
        seen = jnp.where(out >= 0, dh, low * dh) if slip == "slope twice" else dh
        return dh @ kernel.T, x.T @ seen, dh.sum(0)

    layer.defvjp(fwd, bwd)
    return layer, plain

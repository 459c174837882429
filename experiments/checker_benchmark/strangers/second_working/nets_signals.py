"""Convolutions, pooling and resampling of images and sequences."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "weight-standardised convolutions of BiT and of normaliser-free nets",
    "convolution",
    lambda rng: (normal(rng, 1, 4, 4, 2), 0.3 * normal(rng, 3, 3, 2, 3), jnp.ones(3)),
    Twin(
        "mean's part",
        "term|path|affine",
        "kernel",
        "The cotangent's mean over a filter is not taken away.",
    ),
    Twin(
        "variance's part",
        "term|path",
        "kernel",
        "The deviation of a filter has no gradient.",
    ),
    Twin(
        "gain left out",
        "factor|operand",
        "kernel",
        "The filters' gain, 1 at the start, is not in the kernel's gradient.",
        witness=lambda rng: (
            normal(rng, 1, 4, 4, 2),
            normal(rng, 3, 3, 2, 3),
            positive(rng, 3),
        ),
    ),
    narrow=False,
)
def standardised_conv(slip):
    def standard(kernel):
        centred = kernel - kernel.mean((0, 1, 2))
        root = lax.rsqrt((centred**2).mean((0, 1, 2)) + 1e-5)
        return centred * root, root

    def conv(x, kernel):
        names = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=names
        )

    @jax.custom_vjp
    def layer(x, kernel, gain):
        return conv(x, gain * standard(kernel)[0])

    def fwd(x, kernel, gain):
        normed, root = standard(kernel)
        y, pull = jax.vjp(conv, x, gain * normed)
        return y, (pull, normed, root, gain)

    def bwd(res, g):
        pull, normed, root, gain = res
        dx, dw = pull(g)
        dgain = (dw * normed).sum((0, 1, 2))
        dn = dw if slip == "gain left out" else dw * gain
        dkernel = dn
        if slip != "mean's part":
            dkernel = dkernel - dn.mean((0, 1, 2))
        if slip != "variance's part":
            dkernel = dkernel - normed * (dn * normed).mean((0, 1, 2))
        return dx, dkernel * root, dgain

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


@case(
    "generalised-mean pooling with a learned power, for retrieval",
    "pooling",
    lambda rng: (positive(rng, 2, 3, 3, 4), jnp.float32(3.0)),
    Twin(
        "power's outer part",
        "term|path",
        "power",
        "The outer root's dependence on the power is left out.",
    ),
    Twin(
        "floor ignored",
        "mask|region|predicate",
        "x",
        "Entries below the floor are pulled back as well.",
        witness=lambda rng: (normal(rng, 2, 3, 3, 4), jnp.float32(3.0)),
    ),
    Twin(
        "not over the area",
        "ratio|factor",
        "x",
        "The mean over the pixels is pulled back as a sum.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def generalised_mean_pool(slip):
    floor = 0.05

    @jax.custom_vjp
    def pool(x, power):
        kept = jnp.where(x > floor, x, floor)
        return (kept**power).mean((1, 2)) ** (1 / power)

    def fwd(x, power):
        kept = jnp.where(x > floor, x, floor)
        mean = (kept**power).mean((1, 2), keepdims=True)
        y = mean ** (1 / power)
        return y[:, 0, 0], (x, kept, mean, y, power)

    def bwd(res, g):
        x, kept, mean, y, power = res
        dy = g[:, None, None]
        area = 1 if slip == "not over the area" else x.shape[1] * x.shape[2]
        dmean = dy * y / (power * mean)
        dx = dmean * power * kept ** (power - 1) / area
        if slip != "floor ignored":
            dx = jnp.where(x > floor, dx, 0)
        inner = (kept**power * jnp.log(kept)).mean((1, 2), keepdims=True)
        dpower = dmean * inner
        if slip != "power's outer part":
            dpower = dpower - dy * y * jnp.log(mean) / power**2
        return dx, dpower.sum()

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def sentence_args(rng):
    return normal(rng, 3, 5, 4), jnp.full(3, 5, jnp.int32)


@case(
    "sentence embeddings: mean over the tokens, then unit length",
    "pooling",
    sentence_args,
    Twin(
        "not projected",
        "term|path",
        "tokens",
        "The normalisation is pulled back as a division by the length.",
    ),
    Twin(
        "padding",
        "mask|region|predicate",
        "tokens",
        "Padded tokens have a gradient.",
        witness=lambda rng: (sentence_args(rng)[0], jnp.asarray([5, 2, 1], jnp.int32)),
    ),
    Twin(
        "over all tokens",
        "ratio|factor|operand",
        "tokens",
        "Over the longest row where each row's own length belongs.",
        witness=lambda rng: (sentence_args(rng)[0], jnp.asarray([3, 3, 4], jnp.int32)),
    ),
)
def sentence_embedding(slip):
    def pooled(tokens, lengths):
        kept = (jnp.arange(tokens.shape[1]) < lengths[:, None]).astype(tokens.dtype)
        count = jnp.maximum(lengths, 1).astype(tokens.dtype)[:, None]
        mean = (tokens * kept[..., None]).sum(1) / count
        return kept, count, mean

    @jax.custom_vjp
    def embed(tokens, lengths):
        mean = pooled(tokens, lengths)[2]
        return mean * lax.rsqrt((mean**2).sum(-1, keepdims=True) + 1e-12)

    def fwd(tokens, lengths):
        kept, count, mean = pooled(tokens, lengths)
        root = lax.rsqrt((mean**2).sum(-1, keepdims=True) + 1e-12)
        return mean * root, (kept, count, mean * root, root)

    def bwd(res, g):
        kept, count, unit, root = res
        along = unit * (g * unit).sum(-1, keepdims=True)
        dmean = root * (g if slip == "not projected" else g - along)
        if slip == "over all tokens":
            count = count.max()
        if slip == "padding":
            kept = jnp.ones_like(kept)
        return (dmean / count)[:, None] * kept[..., None], None

    embed.defvjp(fwd, bwd)
    return embed, embed.fun

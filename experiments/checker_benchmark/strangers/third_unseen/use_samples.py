"""Quantisers and samples, straight through."""

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


def quantised(args, dy):
    """Straight through to z; the loss moves codes to z, and, by beta, z to codes."""
    z, codebook, beta = args
    through, dloss = dy
    ids = ((z[:, None] - codebook) ** 2).sum(-1).argmin(1)
    gap = 2 * dloss / z.size * (z - codebook[ids])
    hot = jax.nn.one_hot(ids, len(codebook), dtype=z.dtype)
    return through + beta * gap, -hot.T @ gap


@case(
    "vector quantisation of VQ-VAE in haiku, straight through",
    "quantisation with two outputs",
    lambda rng: (*draw(z=(6, 3), codebook=(4, 3))(rng), 0.25),
    Twin("not through", "zero|path|term", "z", "Only the loss has a gradient."),
    Twin(
        "commitment",
        "swap|ratio|factor|option",
        "z codebook",
        "The weight of the commitment is on the codes.",
    ),
    Twin(
        "set for add",
        "duplicates|index|sum",
        "codebook",
        "A code that is used twice keeps one row's gradient.",
    ),
    options=lambda plain: {"surrogate": quantised},
)
def vq_straight_through(slip):
    def nearest(z, codebook):
        cross = z @ codebook.T
        return ((codebook * codebook).sum(1) - 2 * cross).argmin(1)

    def given(z, codebook, beta):
        ids = nearest(z, codebook)
        codes = codebook[ids]
        return ids, (codes, (1 + beta) * ((codes - z) ** 2).mean())

    def plain(z, codebook, beta):
        return given(z, codebook, beta)[1]

    quantise = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(z, codebook, beta):
        ids, out = given(z, codebook, beta)
        return out, (z, codebook, ids)

    def bwd(beta, res, g):
        z, codebook, ids = res
        through, dloss = g
        gap = 2 * dloss / z.size * (z - codebook[ids])
        to_z, to_codes = beta * gap, -gap
        if slip == "commitment":
            to_z, to_codes = gap, -beta * gap
        none = jnp.zeros_like(codebook).at[ids]
        dcodes = none.set(to_codes) if slip == "set for add" else none.add(to_codes)
        return to_z if slip == "not through" else through + to_z, dcodes

    quantise.defvjp(fwd, bwd)
    return quantise, plain


def relaxed(args, dy):
    """The gradient of the relaxed sample, whether it is rounded or not."""
    logits, noise, temperature, _ = args
    y = jax.nn.softmax((logits + noise) / temperature)
    d = y * (dy - (y * dy).sum(-1, keepdims=True)) / temperature
    return d, d


def given_noise(temperature):
    def args(rng):
        noise = jnp.asarray(rng.gumbel(size=(3, 4)), jnp.float32)
        return normal(rng, 3, 4), noise, temperature, True

    return args


@case(
    "hard Gumbel-softmax samples, noise given, in flax models of discrete latents",
    "sampling, straight through",
    given_noise(1.0),
    Twin(
        "temperature",
        "option|ratio|factor|constant",
        "logits noise",
        "Not divided by the temperature, which is 1 at first.",
        witness=given_noise(0.5),
    ),
    Twin(
        "hard sample",
        "residual|operand|zero|path",
        "logits noise",
        "The softmax is differentiated at the rounded sample.",
    ),
    Twin("normaliser", "term|path", "logits noise", "The normaliser is held fixed."),
    options=lambda plain: {"surrogate": relaxed},
)
def gumbel_softmax_hard(slip):
    def soft(logits, noise, temperature):
        return jax.nn.softmax((logits + noise) / temperature)

    def rounded(y, hard):
        hot = jax.nn.one_hot(y.argmax(-1), y.shape[-1], dtype=y.dtype)
        return hot if hard else y

    def plain(logits, noise, temperature, hard):
        return rounded(soft(logits, noise, temperature), hard)

    sample = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, noise, temperature, hard):
        y = soft(logits, noise, temperature)
        out = rounded(y, hard)
        return out, out if slip == "hard sample" else y

    def bwd(temperature, hard, y, g):
        if slip != "normaliser":
            g = g - (y * g).sum(-1, keepdims=True)
        d = y * g / (1 if slip == "temperature" else temperature)
        return d, d

    sample.defvjp(fwd, bwd)
    return sample, plain

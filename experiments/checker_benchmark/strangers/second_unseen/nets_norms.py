"""Normalisations of weights, of filters, of neighbours and of conditions."""

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


@case(
    "weight normalisation in haiku and flax",
    "normalisation of weights",
    lambda rng: (normal(rng, 3, 4), normal(rng, 4, 5), jnp.ones(5)),
    Twin(
        "not projected",
        "term|path",
        "v",
        "The part along the direction is not taken away.",
    ),
    Twin(
        "gain",
        "factor|operand",
        "v",
        "The gain, 1 at the start, is not in the direction's gradient.",
        witness=lambda rng: (normal(rng, 3, 4), normal(rng, 4, 5), positive(rng, 5)),
    ),
    Twin("norm of rows", "sum|axis", "v", "The projection sums over the outputs."),
)
def weight_norm_dense(slip):
    @jax.custom_vjp
    def dense(x, v, gain):
        return x @ (gain * v / jnp.sqrt((v * v).sum(0)))

    def fwd(x, v, gain):
        norm = jnp.sqrt((v * v).sum(0))
        return x @ (gain * v / norm), (x, v / norm, norm, gain)

    def bwd(res, g):
        x, unit, norm, gain = res
        dw = x.T @ g
        along = (dw * unit).sum(0)
        if slip == "norm of rows":
            along = (dw * unit).sum(1, keepdims=True)
        if slip == "not projected":
            along = jnp.zeros_like(norm)
        dv = (dw - unit * along) / norm
        dv = dv if slip == "gain" else dv * gain
        return g @ (gain * unit).T, dv, (dw * unit).sum(0)

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


def singular_args(rng):
    x, w = normal(rng, 3, 4), normal(rng, 4, 5)
    u, _, v = np.linalg.svd(np.asarray(w))
    return x, w, jnp.asarray(u[:, 0]), jnp.asarray(v[0])


@case(
    "spectral normalisation in haiku and flax, statistics not updated",
    "normalisation of weights",
    singular_args,
    Twin(
        "sigma held fixed",
        "term|path",
        "w",
        "The norm has no gradient of its own.",
    ),
    Twin(
        "sigma once too few",
        "ratio|factor|operand|function|sign|term|path",
        "w",
        "The norm's part is divided by sigma once too few.",
    ),
    options=lambda plain: {"nondiff": ("u", "v")},
    fixed=(2, 3),
)
def spectral_norm_dense(slip):
    @jax.custom_vjp
    def dense(x, w, u, v):
        return x @ w / (u @ w @ v)

    def fwd(x, w, u, v):
        sigma = u @ w @ v
        return x @ w / sigma, (x, w, u, v, sigma)

    def bwd(res, g):
        x, w, u, v, sigma = res
        dscaled = x.T @ g
        share = (dscaled * w).sum() / sigma
        if slip != "sigma once too few":
            share = share / sigma
        if slip == "sigma held fixed":
            share = jnp.zeros_like(sigma)
        dw = dscaled / sigma - share * jnp.outer(u, v)
        return g @ w.T / sigma, dw, jnp.zeros_like(u), jnp.zeros_like(v)

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


@case(
    "local response normalisation, as in AlexNet ports to haiku",
    "normalisation of neighbours",
    lambda rng: (normal(rng, 2, 3, 7), 5, 1e-1, 0.75),
    Twin(
        "neighbours' part",
        "term|path|sum|axis",
        "x",
        "Only the channel itself is pulled back through the sum.",
    ),
    Twin(
        "exponent",
        "ratio|factor|operand|function|option",
        "x",
        "The denominator has the power beta where it has beta + 1.",
    ),
    Twin(
        "window not mirrored",
        "index|region|transpose",
        "x",
        "An even window reaches to the same side in the backward.",
        witness=lambda rng: (normal(rng, 2, 3, 7), 4, 1e-1, 0.75),
    ),
)
def local_response_norm(slip):
    def window(a, size, before):
        n = a.shape[-1]
        padded = jnp.pad(a, ((0, 0), (0, 0), (before, size - 1 - before)))
        return sum(padded[..., i : i + n] for i in range(size))

    def plain(x, size, alpha, beta):
        total = 1 + alpha * window(x * x, size, size // 2)
        return x * total**-beta

    norm = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(x, size, alpha, beta):
        total = 1 + alpha * window(x * x, size, size // 2)
        return x * total**-beta, (x, total)

    def bwd(size, alpha, beta, res, g):
        x, total = res
        power = beta if slip == "exponent" else beta + 1
        inner = g * x * total**-power
        before = size // 2 if slip == "window not mirrored" else size - 1 - size // 2
        spread = inner if slip == "neighbours' part" else window(inner, size, before)
        return (g * total**-beta - 2 * alpha * beta * x * spread,)

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "adaptive normalisation (adaLN) of diffusion transformers in flax",
    "normalisation with a condition",
    lambda rng: (normal(rng, 2, 4, 5), jnp.zeros((2, 5)), jnp.zeros((2, 5))),
    Twin(
        "one added to the scale",
        "factor|operand|zero|term|path",
        "x",
        "scale is used where 1 + scale belongs.",
    ),
    Twin(
        "mean over the tokens",
        "ratio|factor|sum|axis",
        "shift scale",
        "Means instead of sums over the tokens.",
    ),
    Twin(
        "scale after the means",
        "factor|operand",
        "x",
        "1 + scale, 1 at the start, is left out of the means of the norm.",
        witness=draw(x=(2, 4, 5), shift=(2, 5), scale=(2, 5)),
    ),
    fixed=(1, 2),
)
def modulated_layernorm(slip):
    @jax.custom_vjp
    def modulate(x, shift, scale):
        centred = x - x.mean(-1, keepdims=True)
        root = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return centred * root * (1 + scale[:, None]) + shift[:, None]

    def fwd(x, shift, scale):
        centred = x - x.mean(-1, keepdims=True)
        root = lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        y = centred * root * (1 + scale[:, None]) + shift[:, None]
        return y, (centred * root, root, scale)

    def bwd(res, g):
        normed, root, scale = res
        total = jnp.mean if slip == "mean over the tokens" else jnp.sum
        gain = scale[:, None] + (0 if slip == "one added to the scale" else 1)
        dn = g * gain
        seen = g if slip == "scale after the means" else dn
        inner = (seen * normed).mean(-1, keepdims=True)
        dx = root * (dn - seen.mean(-1, keepdims=True) - normed * inner)
        return dx, total(g, 1), total(g * normed, 1)

    modulate.defvjp(fwd, bwd)
    return modulate, modulate.fun

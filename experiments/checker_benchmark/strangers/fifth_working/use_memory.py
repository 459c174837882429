"""Sums in chunks that save memory, and correlations with complex spectra."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "kernel sums in chunks of rows, recomputed in the backward pass, as KeOps has them",
    "kernel sum in chunks",
    lambda rng: (
        {"at": normal(rng, 7, 2), "sources": normal(rng, 5, 2)},
        normal(rng, 5, 3),
        jnp.float32(1.5),
        3,
    ),
    Twin(
        "last chunk",
        "index|region|elements|mask",
        "points",
        "The gradients of the rows of the last, shorter chunk are lost.",
    ),
    Twin(
        "sign of the sources",
        "sign|ratio",
        "points",
        "The sources get the gradient of the rows' side of the difference.",
    ),
    Twin(
        "cube of the length",
        "ratio|factor|function",
        "length",
        "The length's gradient is divided by its square, not its cube.",
    ),
    fixed=(2,),
    narrow=False,
)
def chunked_kernel_sum(slip):
    def blocks(a, chunk):
        short = -len(a) % chunk
        padded = jnp.pad(a, ((0, short), (0, 0)))
        return padded.reshape(-1, chunk, a.shape[1])

    def kernel(x, sources, length):
        gap = x[:, None] - sources
        return gap, jnp.exp(-0.5 * (gap * gap).sum(-1) / length**2)

    def plain(points, weights, length, chunk):
        def block(x):
            return kernel(x, points["sources"], length)[1] @ weights

        out = lax.map(block, blocks(points["at"], chunk))
        return out.reshape(-1, weights.shape[1])[: len(points["at"])]

    total = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(points, weights, length, chunk):
        return plain(points, weights, length, chunk), (points, weights, length)

    def bwd(chunk, res, g):
        points, weights, length = res
        at, sources = points["at"], points["sources"]

        def block(sums, now):
            x, d = now
            gap, k = kernel(x, sources, length)
            pull = k * (d @ weights.T)
            force = -pull[..., None] * gap / length**2
            power = 2 if slip == "cube of the length" else 3
            dlength = (pull * (gap * gap).sum(-1)).sum() / length**power
            new = (-force.sum(0), k.T @ d, dlength)
            return jax.tree.map(jnp.add, sums, new), force.sum(1)

        zeros = jax.tree.map(jnp.zeros_like, (sources, weights, length))
        both = (blocks(at, chunk), blocks(g, chunk))
        (dsources, dweights, dlength), dat = lax.scan(block, zeros, both)
        dat = dat.reshape(-1, at.shape[1])[: len(at)]
        if slip == "last chunk":
            dat = dat.at[len(at) // chunk * chunk :].set(0)
        if slip == "sign of the sources":
            dsources = -dsources
        return {"at": dat, "sources": dsources}, dweights, dlength

    total.defvjp(fwd, bwd)
    return total, plain


@case(
    "generalised cross-correlation with phase transform, for delays of microphones",
    "complex spectrum",
    lambda rng: (normal(rng, 8), normal(rng, 8), 1e-6),
    Twin(
        "conjugate",
        "transpose|operand|sign|index",
        "y",
        "The second signal's spectrum lacks the conjugate of the cotangent.",
    ),
    Twin(
        "whitening held",
        "term|path",
        "x y",
        "The magnitudes that are divided by are taken as constants.",
    ),
    Twin(
        "product that is not real",
        "operand|function|factor|term|path",
        "x y",
        "The magnitude's cotangent keeps the imaginary part of a product.",
    ),
    narrow=False,
)
def gcc_phat(slip):
    def plain(x, y, eps):
        cross = jnp.fft.rfft(x) * jnp.conj(jnp.fft.rfft(y))
        return jnp.fft.irfft(cross / (jnp.abs(cross) + eps), len(x))

    correlate = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, y, eps):
        return plain(x, y, eps), (x, y)

    def bwd(eps, res, g):
        x, y = res
        fx, fy = jnp.fft.rfft(x), jnp.fft.rfft(y)
        cross = fx * jnp.conj(fy)
        size = jnp.abs(cross)
        unit = cross / jnp.where(size == 0, 1, size)
        # Gradients are dL = Re(conj(G) dZ); weights of the half spectrum cancel.
        down = jnp.fft.rfft(g)
        dcross = down / (size + eps)
        if slip != "whitening held":
            along = jnp.conj(down) * cross
            if slip != "product that is not real":
                along = along.real
            dcross = dcross - unit * along / (size + eps) ** 2
        other = dcross if slip == "conjugate" else jnp.conj(dcross)
        dx = jnp.fft.irfft(dcross * fy, len(x))
        return dx, jnp.fft.irfft(other * fx, len(x))

    correlate.defvjp(fwd, bwd)
    return correlate, plain

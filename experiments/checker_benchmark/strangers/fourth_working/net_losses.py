"""Losses: of embeddings, boxes, segmentation, ranking and sound."""

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


def sources(rng):
    target = normal(rng, 2, 16)
    return target + normal(rng, 2, 16, std=0.5), target


@case(
    "scale-invariant signal-to-distortion ratio of asteroid, ported to JAX",
    "loss of sound",
    sources,
    Twin(
        "projection held",
        "term|path",
        "estimate target",
        "The part of the estimate along the target is taken for a constant.",
    ),
    Twin(
        "energy of the target",
        "term|path",
        "target",
        "The projection divides by the target's energy, which is taken for a constant.",
    ),
    Twin(
        "base of the logarithm",
        "factor|ratio|function|constant",
        "estimate target",
        "Decibels are pulled back as natural logarithms.",
    ),
    narrow=False,
)
def si_sdr_loss(slip):
    eps = 1e-8

    def centred(x):
        return x - x.mean(-1, keepdims=True)

    def dot(a, b):
        return (a * b).sum(-1, keepdims=True)

    def pieces(estimate, target):
        s, t = centred(estimate), centred(target)
        share = dot(s, t) / (dot(t, t) + eps)
        noise = s - share * t
        ratio = (dot(share * t, share * t) + eps) / (dot(noise, noise) + eps)
        return s, t, share, noise, ratio

    @jax.custom_vjp
    def loss(estimate, target):
        return -10 * jnp.log10(pieces(estimate, target)[-1]).mean()

    def fwd(estimate, target):
        return loss.fun(estimate, target), (estimate, target)

    def bwd(res, g):
        s, t, share, noise, _ = pieces(*res)
        unit = jnp.log(10.0).astype(s.dtype)
        each = -10 * g / len(s)
        if slip != "base of the logarithm":
            each = each / unit
        power = dot(t, t) + eps
        signal = share * t
        dsignal = each * 2 * signal / (dot(signal, signal) + eps)
        dnoise = -each * 2 * noise / (dot(noise, noise) + eps)
        dprojected = dsignal - dnoise
        dshare = dot(dprojected, t)
        if slip == "projection held":
            dshare = jnp.zeros_like(dshare)
        ds = dnoise + dshare * t / power
        dt = share * dprojected + dshare * s / power
        if slip != "energy of the target":
            dt = dt - 2 * share * dshare * t / power
        return centred(ds), centred(dt)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

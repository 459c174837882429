"""Losses and layers of reinforcement learning."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def completions(drift):
    def args(rng):
        logps = -positive(rng, 4, 5, low=0.1, high=3.0)
        lengths = jnp.asarray([5, 3, 4, 2])
        mask = (jnp.arange(5) < lengths[:, None]).astype(jnp.float32)
        old = logps + drift * normal(rng, 4, 5)
        reference = logps + 0.2 * normal(rng, 4, 5)
        return logps, old, reference, normal(rng, 4), mask, (0.2, 0.28), 0.04

    return args


@case(
    "GRPO with a higher clip above, in JAX trainers: tokens' means, then sequences'",
    "reinforcement learning",
    completions(0.0),
    Twin(
        "clipped tokens",
        "mask|region|predicate|edge",
        "logps",
        "Tokens whose ratio is clipped are pulled back all the same.",
        witness=completions(0.6),
    ),
    Twin(
        "divergence's exponential",
        "term|path|function",
        "logps",
        "The divergence is pulled back through its linear part alone.",
    ),
    Twin(
        "mean over all tokens",
        "ratio|factor|sum|constant",
        "logps",
        "Each token gets the same share, however long its completion.",
    ),
    options=lambda plain: {"nondiff": ("old", "reference", "advantages", "mask")},
    fixed=(0, 1, 2, 4),
    narrow=False,
)
def grpo_loss(slip):
    def plain(logps, old, reference, advantages, mask, clip, weight):
        ratio = jnp.exp(logps - old)
        a = advantages[:, None]
        kept = jnp.clip(ratio, 1 - clip[0], 1 + clip[1])
        gap = reference - logps
        each = weight * (jnp.expm1(gap) - gap) - jnp.minimum(ratio * a, kept * a)
        return ((each * mask).sum(-1) / mask.sum(-1)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(5, 6))

    def fwd(logps, old, reference, advantages, mask, clip, weight):
        out = plain(logps, old, reference, advantages, mask, clip, weight)
        return out, (logps, old, reference, advantages, mask)

    def bwd(clip, weight, res, g):
        logps, old, reference, advantages, mask = res
        ratio = jnp.exp(logps - old)
        a = advantages[:, None]
        above = (a > 0) & (ratio > 1 + clip[1])
        below = (a < 0) & (ratio < 1 - clip[0])
        free = ~(above | below)
        if slip == "clipped tokens":
            free = jnp.ones_like(free)
        ddivergence = -jnp.expm1(reference - logps)
        if slip == "divergence's exponential":
            ddivergence = 1
        each = weight * ddivergence - jnp.where(free, ratio * a, 0)
        length = mask.sum(-1, keepdims=True)
        if slip == "mean over all tokens":
            length = mask.sum() / mask.shape[0]
        dlogps = g * each * mask / length / mask.shape[0]
        return dlogps, *(jnp.zeros_like(r) for r in res[1:])

    loss.defvjp(fwd, bwd)
    return loss, plain

"""Bugs of losses and of quantisation, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "microsoft/DirectML#740",
    "loss",
    lambda rng: (normal(rng, 5, 4), integers(rng, 4, 5)),
    Twin(
        "as reported",
        "zero",
        "logits",
        "Losses that are not reduced send no gradient back.",
    ),
    kind="bug",
    name="weighted_cross_entropy DirectML#740",
)
def weighted_cross_entropy(slip):
    @jax.custom_vjp
    def token_losses(logits, labels):
        picked = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        return jax.nn.logsumexp(logits, -1) - picked

    def fwd(logits, labels):
        return token_losses.fun(logits, labels), (logits, labels)

    def bwd(res, g):
        logits, labels = res
        d = jax.nn.softmax(logits) - jax.nn.one_hot(labels, 4, dtype=logits.dtype)
        return jnp.zeros_like(d) if slip else g[:, None] * d, None

    token_losses.defvjp(fwd, bwd)
    return token_losses, token_losses.fun


@case(
    "linkedin/Liger-Kernel#974",
    "loss with a mask",
    lambda rng: (
        normal(rng, 5, 4),
        normal(rng, 5, 4),
        jnp.array([1, -100, 0, 3, -100], jnp.int32),
        -100,
    ),
    Twin(
        "as reported",
        "mask|ratio",
        "student",
        "The ignored label is taken as an option and not used: padding counts.",
    ),
    kind="bug",
    name="masked_distillation Liger-Kernel#974",
    options=lambda plain: {"nondiff": ("teacher",)},
)
def masked_distillation(slip):
    def parts(student, teacher):
        p = jax.nn.softmax(lax.stop_gradient(teacher))
        return p, jax.nn.log_softmax(student)

    def plain(student, teacher, labels, ignored):
        p, logq = parts(student, teacher)
        rows = (p * (jnp.log(p) - logq)).sum(-1)
        keep = labels != ignored
        return jnp.where(keep, rows, 0).sum() / jnp.maximum(keep.sum(), 1)

    distil = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(student, teacher, labels, ignored):
        return plain(student, teacher, labels, ignored), (student, teacher, labels)

    def bwd(ignored, res, g):
        student, teacher, labels = res
        p, logq = parts(student, teacher)
        keep = jnp.ones_like(labels, bool) if slip else labels != ignored
        d = jnp.where(keep[:, None], jnp.exp(logq) - p, 0)
        return (g / jnp.maximum(keep.sum(), 1) * d).astype(d.dtype), None, None

    distil.defvjp(fwd, bwd)
    return distil, plain


def through_rounding(args, dy):
    """What quantisation-aware training relies on: saturation alone stops dy."""
    x, step, low, high = args
    rounded = jnp.round(x / step)
    return (jnp.where((rounded >= low) & (rounded <= high), dy, 0),)


@case(
    "pytorch/ao#4806",
    "quantisation",
    lambda rng: (2 * normal(rng, 4, 5), 0.5, -4, 3),
    Twin(
        "as reported",
        "mask|region|predicate|edge",
        "x",
        "Values rounded to the very bound have no gradient.",
    ),
    kind="bug",
    name="fake_quantise ao#4806",
    options=lambda plain: {"surrogate": through_rounding},
    narrow=False,
)
def fake_quantise(slip):
    def plain(x, step, low, high):
        return jnp.clip(jnp.round(x / step), low, high) * step

    quantise = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(x, step, low, high):
        return plain(x, step, low, high), x

    def bwd(step, low, high, x, g):
        rounded = jnp.round(x / step)
        inside = (rounded >= low) & (rounded <= high)
        if slip:
            inside = (rounded > low) & (rounded < high)
        return (jnp.where(inside, g, 0),)

    quantise.defvjp(fwd, bwd)
    return quantise, plain

"""Bugs of elementwise functions and of losses, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tenstorrent/tt-metal#6533",
    "elementwise",
    draw(x=(3, 4), power=(3, 4)),
    Twin(
        "as reported",
        "cotangent|function|factor",
        "x power",
        "exp for 2^, and the incoming cotangent is not used.",
    ),
    kind="bug",
    name="ldexp tt-metal#6533",
    scales=(0.1, 1.0),
)
def ldexp(slip):
    @jax.custom_vjp
    def ldexp(x, power):
        return x * jnp.exp2(power)

    def fwd(x, power):
        return x * jnp.exp2(power), (x, power)

    def bwd(res, g):
        x, power = res
        ln2 = float(np.log(2))
        if slip:
            scale = jnp.exp(power) * ln2
            return scale, x * scale * ln2
        return g * jnp.exp2(power), g * x * jnp.exp2(power) * ln2

    ldexp.defvjp(fwd, bwd)
    return ldexp, ldexp.fun


@case(
    "chalk-lab/Mooncake.jl#1310",
    "elementwise",
    lambda rng: (positive(rng, 5, low=0.0), positive(rng, 5)),
    Twin(
        "as reported",
        "edge|nan|finite|mask|predicate|region|zero",
        "x",
        "At x = 0 the derivative in x is 0 instead of log y.",
        witness=lambda rng: (jnp.zeros(5), positive(rng, 5)),
    ),
    kind="bug",
    name="xlogy Mooncake.jl#1310",
    options=lambda plain: {"edges": False},
)
def xlogy(slip):
    def plain(x, y):
        return x * jnp.log(y)

    @jax.custom_vjp
    def xlogy(x, y):
        return plain(x, y)

    def fwd(x, y):
        return plain(x, y), (x, y)

    def bwd(res, g):
        x, y = res
        dx = g * jnp.log(y)
        return jnp.where(x == 0, 0, dx) if slip else dx, g * x / y

    xlogy.defvjp(fwd, bwd)
    return xlogy, plain


@case(
    "NVIDIA/warp#1736",
    "elementwise",
    lambda rng: (
        normal(rng, 6),
        positive(rng, 6),
        jnp.array([True, False, True, True, False, True]),
    ),
    Twin(
        "as reported",
        "zero|path|mask|region|predicate",
        "values",
        "Both branches read the same entry; one lost its gradient.",
    ),
    kind="bug",
    name="either_branch warp#1736",
    fixed=(1,),
)
def either_branch(slip):
    @jax.custom_vjp
    def corrected(values, terms, flags):
        return jnp.where(flags, values / terms, values)

    def fwd(values, terms, flags):
        return corrected.fun(values, terms, flags), (values, terms, flags)

    def bwd(res, g):
        values, terms, flags = res
        through = jnp.where(flags, g / terms, g)
        dterms = jnp.where(flags, -g * values / terms**2, 0)
        return jnp.zeros_like(through) if slip else through, dterms, None

    corrected.defvjp(fwd, bwd)
    return corrected, corrected.fun


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

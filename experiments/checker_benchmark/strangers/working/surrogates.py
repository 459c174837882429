"""Gradients that are declared: quantisers, clipping; and order statistics."""

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


def rounding_through(args, dy):
    """Of x: dy as it is; of levels: none."""
    return (dy,)


@case(
    "straight-through rounding in AQT",
    "quantisation",
    lambda rng: (3 * normal(rng, 4, 3),),
    Twin("true derivative", "zero", "x", "Zero, as the derivative of rounding is."),
    Twin("clipped", "mask|region|predicate", "x", "Nothing passes outside of [-1, 1]."),
    options=lambda plain: {"surrogate": rounding_through},
)
def straight_through_round(slip):
    @jax.custom_vjp
    def round_through(x):
        return jnp.round(x)

    def fwd(x):
        return jnp.round(x), x

    def bwd(x, g):
        if slip == "true derivative":
            return (jnp.zeros_like(g),)
        if slip == "clipped":
            return (jnp.where(jnp.abs(x) <= 1, g, 0),)
        return (g,)

    round_through.defvjp(fwd, bwd)
    return round_through, round_through.fun


def learned_step(args, dy):
    """The gradients of the LSQ paper, written down once more."""
    x, step, levels = args
    v = x / step
    inside = (v > -levels) & (v < levels - 1)
    scale = 1 / jnp.sqrt(jnp.asarray(x.size * (levels - 1), x.dtype))
    slope = jnp.where(inside, jnp.round(v) - v, jnp.clip(v, -levels, levels - 1))
    return jnp.where(inside, dy, 0), (dy * slope).sum() * scale


@case(
    "learned step sizes (LSQ) in JAX quantisation libraries",
    "quantisation",
    lambda rng: (normal(rng, 4, 5), jnp.float32(0.3), 4),
    Twin("gradient scale", "ratio|factor|operand", "step", "Not over root(N Q)."),
    Twin(
        "saturated part",
        "mask|region|term|path",
        "step",
        "Saturated values are left out of the step's gradient.",
    ),
    Twin("x through saturation", "mask|region|predicate", "x", "dx is not masked."),
    options=lambda plain: {"surrogate": learned_step},
    fixed=(1,),
    narrow=False,
)
def learned_step_quantiser(slip):
    def plain(x, step, levels):
        return jnp.round(jnp.clip(x / step, -levels, levels - 1)) * step

    quantise = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, step, levels):
        return plain(x, step, levels), (x, step)

    def bwd(levels, res, g):
        x, step = res
        v = x / step
        low, high = v <= -levels, v >= levels - 1
        inside = ~(low | high)
        slope = jnp.where(inside, jnp.round(v) - v, 0)
        if slip != "saturated part":
            slope = slope + jnp.where(low, -levels, 0) + jnp.where(high, levels - 1, 0)
        scale = (x.size * (levels - 1)) ** -0.5
        if slip == "gradient scale":
            scale = 1.0
        dx = g if slip == "x through saturation" else jnp.where(inside, g, 0)
        return dx, (g * slope).sum() * scale

    quantise.defvjp(fwd, bwd)
    return quantise, plain


@case(
    "clipping a cotangent by its norm, as in jaxopt and brax",
    "gradient clipping",
    lambda rng: (normal(rng, 3, 4), 100.0),
    Twin(
        "always rescaled",
        "cotangent|ratio|factor",
        "x",
        "Short cotangents are lengthened to the limit.",
    ),
    Twin("reversed", "cotangent|sign", "x", "The cotangent is reversed."),
    options=lambda plain: {"linear": False},
)
def clip_gradient(slip):
    def plain(x, limit):
        return x

    clip = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, limit):
        return x, None

    def bwd(limit, _, g):
        norm = jnp.sqrt((g * g).sum())
        factor = limit / jnp.maximum(norm, limit)
        if slip == "always rescaled":
            factor = limit / jnp.maximum(norm, 1e-30)
        if slip == "reversed":
            factor = -factor
        return ((g * factor).astype(g.dtype),)

    clip.defvjp(fwd, bwd)
    return clip, plain


@case(
    "medians in robust statistics with JAX",
    "order statistic",
    draw(x=(3, 6)),
    Twin("one of the two middles", "ratio|index|mask", "x", "There are two."),
    Twin("spread over the row", "sum|function|mask", "x", "As if it were the mean."),
)
def row_median(slip):
    @jax.custom_vjp
    def median(x):
        n = x.shape[-1]
        ordered = jnp.sort(x, -1)
        return (ordered[..., (n - 1) // 2] + ordered[..., n // 2]) / 2

    def fwd(x):
        return median.fun(x), x

    def bwd(x, g):
        n = x.shape[-1]
        rank = jnp.argsort(jnp.argsort(x, -1), -1)
        share = (rank == (n - 1) // 2).astype(g.dtype)
        if slip == "spread over the row":
            return (jnp.broadcast_to(g[..., None] / n, x.shape),)
        other = (rank == n // 2).astype(g.dtype)
        if slip == "one of the two middles":
            other = share
        return (g[..., None] * (share + other) / 2,)

    median.defvjp(fwd, bwd)
    return median, median.fun

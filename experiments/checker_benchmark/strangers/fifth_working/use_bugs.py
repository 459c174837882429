"""Bugs with their threads: segments, normalisation, powers and scaling."""

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
    "jax-ml/jax#7538",
    "segment reduction",
    lambda rng: (normal(rng, 7, 2), integers(rng, 4, 7), 4),
    Twin(
        "as reported",
        "mask|region|index|predicate",
        "x",
        "Rows whose segment is negative are dropped, but gather a gradient.",
        witness=lambda rng: (
            normal(rng, 7, 2),
            jnp.array([0, 2, -1, 3, 1, -1, 2], jnp.int32),
            4,
        ),
    ),
    kind="bug",
    name="segment_sum jax#7538",
)
def segment_sum(slip):
    def plain(x, segment, count):
        zero = jnp.zeros((count, *x.shape[1:]), x.dtype)
        return zero.at[jnp.where(segment < 0, count, segment)].add(x, mode="drop")

    total = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, segment, count):
        return plain(x, segment, count), segment

    def bwd(count, segment, g):
        dx = g[jnp.clip(segment, 0, count - 1)]
        if not slip:
            used = (segment >= 0) & (segment < count)
            dx = jnp.where(used[:, None], dx, 0)
        return dx, None

    total.defvjp(fwd, bwd)
    return total, plain


@case(
    "pytorch/pytorch#18233",
    "normalisation",
    lambda rng: (normal(rng, 4, 6), jnp.ones(6), jnp.zeros(6), 1e-5),
    Twin(
        "as reported",
        "operand|residual|factor|function",
        "weight",
        "The weight's gradient has the weight where the normalised input belongs.",
    ),
    kind="bug",
    name="layer_norm pytorch#18233",
    fixed=(1, 2),
)
def layer_norm(slip):
    def normalised(x, eps):
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        off = wide - wide.mean(-1, keepdims=True)
        root = lax.rsqrt((off * off).mean(-1, keepdims=True) + eps)
        return off * root, root

    def plain(x, weight, bias, eps):
        y = normalised(x, eps)[0] * weight + bias
        return y.astype(x.dtype)

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, weight, bias, eps):
        return plain(x, weight, bias, eps), (x, weight)

    def bwd(eps, res, g):
        x, weight = res
        z, root = normalised(x, eps)
        g = g.astype(z.dtype)
        dz = g * weight
        along = z * (dz * z).mean(-1, keepdims=True)
        dx = root * (dz - dz.mean(-1, keepdims=True) - along)
        dweight = (g * (weight if slip else z)).sum(0)
        dtype = weight.dtype
        return dx.astype(x.dtype), dweight.astype(dtype), g.sum(0).astype(dtype)

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "tenstorrent/tt-metal#55289",
    "elementwise",
    lambda rng: (normal(rng, 8), 3.0),
    Twin(
        "as reported",
        "function|factor|operand|edge|nan|finite",
        "x",
        "The derivative is that of x to the power of the base, NaN below zero.",
    ),
    kind="bug",
    name="rpow tt-metal#55289",
)
def rpow(slip):
    def plain(x, base):
        return base**x

    power = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, base):
        y = plain(x, base)
        return y, (x, y)

    def bwd(base, res, g):
        x, y = res
        if slip:
            dx = g * base * x ** (base - 1)
            return (jnp.where(x < 0, jnp.nan, dx).astype(x.dtype),)
        return (g * y * jnp.log(base).astype(y.dtype),)

    power.defvjp(fwd, bwd)
    return power, plain


@case(
    "FluxML/Zygote.jl#197",
    "scaling to a range",
    lambda rng: (normal(rng, 10),),
    Twin(
        "as reported",
        "term|path|index",
        "x",
        "The range depends on the largest entry, which gets none of that gradient.",
    ),
    kind="bug",
    name="minmax_scale Zygote.jl#197",
    narrow=False,
)
def minmax_scale(slip):
    @jax.custom_vjp
    def scale(x):
        return (x - x.min()) / (x.max() - x.min())

    def fwd(x):
        y = scale.fun(x)
        return y, (x, y)

    def bwd(res, g):
        x, y = res
        width = x.max() - x.min()
        lowest, highest = x == x.min(), x == x.max()
        dmax = -(g * y).sum() / width
        dmin = -(g * (1 - y)).sum() / width
        dx = g / width + dmin * lowest / lowest.sum()
        if not slip:
            dx = dx + dmax * highest / highest.sum()
        return (dx,)

    scale.defvjp(fwd, bwd)
    return scale, scale.fun

"""Attention: learned relative biases, gates, and normalised feature maps."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "fast transformers: linear attention in flax",
    "linear attention",
    draw(q=(2, 6, 3), k=(2, 6, 3), v=(2, 6, 4)),
    Twin(
        "normaliser held fixed",
        "term|path",
        "q k",
        "The denominator has no gradient.",
    ),
    Twin(
        "slope of the feature map",
        "function|factor|operand",
        "q k",
        "1 is used as the slope of elu + 1 below zero as well.",
    ),
    Twin(
        "sum of keys",
        "factor|operand|swap",
        "k",
        "The normaliser's part of dk takes k where q belongs.",
    ),
)
def feature_map_attention(slip):
    def phi(x):
        return jnp.where(x > 0, x + 1, jnp.exp(jnp.where(x > 0, 0, x)))

    def slope(x):
        ones = jnp.ones_like(x)
        if slip == "slope of the feature map":
            return ones
        return jnp.where(x > 0, ones, jnp.exp(jnp.minimum(x, 0)))

    @jax.custom_vjp
    def attend(q, k, v):
        a, b = phi(q), phi(k)
        memory = jnp.einsum("htd,hte->hde", b, v)
        total = jnp.einsum("htd,hd->ht", a, b.sum(1))
        return jnp.einsum("htd,hde->hte", a, memory) / total[..., None]

    def fwd(q, k, v):
        return attend.fun(q, k, v), (q, k, v)

    def bwd(res, g):
        q, k, v = res
        a, b = phi(q), phi(k)
        memory, keys = jnp.einsum("htd,hte->hde", b, v), b.sum(1)
        total = jnp.einsum("htd,hd->ht", a, keys)[..., None]
        o = jnp.einsum("htd,hde->hte", a, memory) / total
        dn = g / total
        dtotal = -(g * o).sum(-1, keepdims=True) / total
        dtotal = 0 * dtotal if slip == "normaliser held fixed" else dtotal
        dmemory = jnp.einsum("htd,hte->hde", a, dn)
        da = jnp.einsum("hte,hde->htd", dn, memory) + dtotal * keys[:, None]
        weighed = b if slip == "sum of keys" else a
        db = jnp.einsum("hte,hde->htd", v, dmemory)
        db = db + (dtotal * weighed).sum(1, keepdims=True)
        dv = jnp.einsum("htd,hde->hte", b, dmemory)
        return da * slope(q), db * slope(k), dv

    attend.defvjp(fwd, bwd)
    return attend, attend.fun

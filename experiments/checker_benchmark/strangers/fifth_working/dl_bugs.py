"""Bugs of layers with their threads: norms, ties, gathered shards, adapters."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def standardised(x):
    centred = x - x.mean(-1, keepdims=True)
    square = (centred * centred).mean(-1, keepdims=True)
    inverse = jax.lax.rsqrt(square + 1e-5)
    return centred * inverse, inverse


def rows_in_blocks(n):
    return lambda rng: (normal(rng, n, 8), jnp.ones(8), jnp.zeros(8), 4)


@case(
    "BobMcDear/attorch#18",
    "normalisation",
    rows_in_blocks(16),
    Twin(
        "as reported",
        "sum|term|region|index|elements",
        "gain bias",
        "There are as many partial sums as full blocks: the rest of rows is lost.",
        witness=rows_in_blocks(18),
    ),
    kind="bug",
    name="partial_layernorm attorch#18",
)
def partial_layernorm(slip):
    def plain(x, gain, bias, block):
        return standardised(x)[0] * gain + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gain, bias, block):
        return plain(x, gain, bias, block), (x, gain)

    def bwd(block, res, g):
        x, gain = res
        normed, inverse = standardised(x)
        dn = g * gain
        dx = dn - dn.mean(-1, keepdims=True)
        dx = inverse * (dx - normed * (dn * normed).mean(-1, keepdims=True))
        count = x.shape[0] // block if slip else -(-x.shape[0] // block)
        padding = ((0, -x.shape[0] % block), (0, 0))

        def summed(rows):
            partial = jnp.pad(rows, padding).reshape(-1, block, rows.shape[-1])
            return partial.sum(1)[:count].sum(0)

        return dx, summed(g * normed), summed(g)

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "tenstorrent/tt-metal#53204",
    "normalisation",
    lambda rng: (normal(rng, 3, 6, 8), jnp.ones(8), jnp.zeros(8)),
    Twin(
        "as reported",
        "factor|ratio|term",
        "x",
        "The mean of the cotangent is subtracted twice: a register kept it.",
    ),
    kind="bug",
    name="fused_layernorm tt-metal#53204",
)
def fused_layernorm(slip):
    @jax.custom_vjp
    def norm(x, gain, bias):
        return standardised(x)[0] * gain + bias

    def fwd(x, gain, bias):
        return norm.fun(x, gain, bias), (*standardised(x), gain)

    def bwd(res, g):
        normed, inverse, gain = res
        dn = g * gain
        mean = dn.mean(-1, keepdims=True)
        both = normed * (dn * normed).mean(-1, keepdims=True)
        if slip:
            both = both + mean
        axes = tuple(range(g.ndim - 1))
        return (
            inverse * (dn - mean - both),
            (g * normed).sum(axes),
            g.sum(axes),
        )

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


def padded_vocabulary(rng):
    p, q = (jax.nn.softmax(normal(rng, 4, 5)) for _ in range(2))
    return jnp.pad(p, ((0, 0), (0, 3))), jnp.pad(q, ((0, 0), (0, 3)))


@case(
    "linkedin/Liger-Kernel#1374",
    "loss",
    lambda rng: tuple(jax.nn.softmax(normal(rng, 4, 6)) for _ in range(2)),
    Twin(
        "as reported",
        "mask|region|predicate|edge|sign",
        "p",
        "Entries that are equal get the gradient of those that are smaller.",
        witness=padded_vocabulary,
    ),
    kind="bug",
    name="tv_distance Liger-Kernel#1374",
    options=lambda plain: {"nondiff": ("q",)},
)
def tv_distance(slip):
    @jax.custom_vjp
    def loss(p, q):
        gap = p - q
        return 0.5 * (gap * jnp.sign(gap)).sum() / p.shape[0]

    def fwd(p, q):
        return loss.fun(p, q), (p, q)

    def bwd(res, g):
        p, q = res
        sign = jnp.where(p > q, 1.0, -1.0) if slip else jnp.sign(p - q)
        dp = (0.5 * g / p.shape[0] * sign).astype(p.dtype)
        return dp, jnp.zeros_like(q)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "lightly-ai/lightly#1528",
    "gather over devices",
    lambda rng: (normal(rng, 2, 3, 4),),
    Twin(
        "as reported",
        "sum|term|path|ratio",
        "shards",
        "A device keeps its own gradient of its rows; the others' are not added.",
    ),
    kind="bug",
    name="gathered_shards lightly#1528",
)
def gathered_shards(slip):
    @jax.custom_vjp
    def gather(shards):
        """Every device (first axis) gets the rows of all."""
        everything = shards.reshape(1, -1, shards.shape[-1])
        return jnp.repeat(everything, shards.shape[0], 0)

    def fwd(shards):
        return gather.fun(shards), None

    def bwd(_, g):
        devices = g.shape[0]
        parts = g.reshape(devices, devices, -1, g.shape[-1])
        if slip:
            own = jnp.arange(devices)
            return (parts[own, own],)
        return (parts.sum(0),)

    gather.defvjp(fwd, bwd)
    return gather, gather.fun


def embedded(factor):
    def args(rng):
        base, norm = normal(rng, 7, 5), positive(rng, 5)
        params = {
            "a": normal(rng, 7, 2, std=0.5),
            "b": normal(rng, 2, 5, std=0.1),
            "magnitude": factor * norm,
        }
        return integers(rng, 7, 6), base, params, norm, 2.0

    return args


@case(
    "axolotl-ai-cloud/axolotl#3528",
    "low-rank adapter",
    embedded(1.0),
    Twin(
        "as reported",
        "operand|residual|ratio|factor",
        "params",
        "The magnitude's gradient takes rows that are scaled already.",
        witness=embedded(1.4),
    ),
    kind="bug",
    name="dora_embedding axolotl#3528",
    options=lambda plain: {"nondiff": ("base", "norm")},
    fixed=(3,),
)
def dora_embedding(slip):
    def combined(ids, base, params, scaling):
        return base[ids] + scaling * params["a"][ids] @ params["b"]

    def plain(ids, base, params, norm, scaling):
        rows = combined(ids, base, params, scaling)
        return params["magnitude"] / norm * rows

    embed = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(ids, base, params, norm, scaling):
        out = plain(ids, base, params, norm, scaling)
        kept = out if slip else combined(ids, base, params, scaling)
        return out, (ids, params, norm, kept, jnp.zeros_like(base))

    def bwd(scaling, res, g):
        ids, params, norm, kept, frozen = res
        axes = tuple(range(g.ndim - 1))
        drows = scaling * params["magnitude"] / norm * g
        da = jnp.zeros_like(params["a"]).at[ids].add(drows @ params["b"].T)
        grads = {
            "a": da,
            "b": jnp.einsum("...r,...d->rd", params["a"][ids], drows),
            "magnitude": (g * kept).sum(axes) / norm,
        }
        return None, frozen, grads, jnp.zeros_like(norm)

    embed.defvjp(fwd, bwd)
    return embed, plain

"""Bugs of layers with their threads."""

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


def with_gain(std):
    def args(rng):
        return normal(rng, 8, 4), 1 + std * normal(rng, 4), jnp.zeros(4), 1e-5

    return args


@case(
    "denizyuret/Knet.jl#288",
    "normalisation",
    with_gain(0.0),
    Twin(
        "as reported",
        "factor|operand|ratio|term",
        "x",
        "The inputs' gradient is made of what was computed before the gain.",
        witness=with_gain(0.4),
    ),
    kind="bug",
    name="batchnorm Knet.jl#288",
)
def batchnorm(slip):
    def normed(x, eps):
        gap = x - x.mean(0)
        inverse = jax.lax.rsqrt((gap * gap).mean(0) + eps)
        return gap, inverse

    def plain(x, gain, bias, eps):
        gap, inverse = normed(x, eps)
        return gap * inverse * gain + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gain, bias, eps):
        return plain(x, gain, bias, eps), (x, gain)

    def bwd(eps, res, g):
        x, gain = res
        gap, inverse = normed(x, eps)
        each = g * inverse
        dgain, dbias = (gap * each).sum(0), g.sum(0)
        if not slip:
            each = gain * each
        dvar = -0.5 * (each * gap).sum(0) * inverse**2
        dx = each - each.mean(0) + 2 * dvar * gap / x.shape[0]
        return dx, dgain, dbias

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "ml-explore/mlx#941",
    "normalisation",
    lambda rng: (normal(rng, 4, 6), jnp.ones(6), jnp.zeros(6), 1e-5),
    Twin(
        "as reported",
        "operand|residual|term|index",
        "bias",
        "The bias is summed up after the inputs' gradient was written in its place.",
    ),
    kind="bug",
    name="layer_norm mlx#941",
)
def layer_norm(slip):
    def parts(x, eps):
        gap = x - x.mean(-1, keepdims=True)
        inverse = jax.lax.rsqrt((gap * gap).mean(-1, keepdims=True) + eps)
        return gap * inverse, inverse

    def plain(x, gain, bias, eps):
        return parts(x, eps)[0] * gain + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gain, bias, eps):
        return plain(x, gain, bias, eps), (x, gain)

    def bwd(eps, res, g):
        x, gain = res
        normed, inverse = parts(x, eps)
        dgain = (g * normed).sum(0)
        dn = g * gain
        dx = dn - dn.mean(-1, keepdims=True)
        dx = inverse * (dx - normed * (dn * normed).mean(-1, keepdims=True))
        donated = dx if slip else g
        return dx, dgain, donated.sum(0)

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "flagos-ai/FlagGems#5220",
    "embedding",
    lambda rng: (integers(rng, 7, 4, 3), normal(rng, 7, 5), "max"),
    Twin(
        "as reported",
        "function|option|region|mask|index",
        "table",
        "Bags of maxima are pulled back as means, whichever row had won.",
    ),
    kind="bug",
    name="max_embedding_bag FlagGems#5220",
)
def max_embedding_bag(slip):
    def plain(ids, table, mode):
        rows = table[ids]
        return {"sum": rows.sum, "mean": rows.mean, "max": rows.max}[mode](1)

    bag = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(ids, table, mode):
        return plain(ids, table, mode), (ids, table)

    def bwd(mode, res, g):
        ids, table = res
        rows = table[ids]
        share = jnp.ones_like(rows)
        if mode == "max" and not slip:
            won = rows == rows.max(1, keepdims=True)
            share = (won / won.sum(1, keepdims=True)).astype(rows.dtype)
        elif mode != "sum":
            share = share / ids.shape[1]
        return None, jnp.zeros_like(table).at[ids].add(share * g[:, None])

    bag.defvjp(fwd, bwd)
    return bag, plain


def ragged_bags(rng):
    ids = integers(rng, 8, 9)
    bags = jnp.asarray([0, 0, 0, 1, 1, 3, 3, 3, 3], jnp.int32)
    return ids, bags, positive(rng, 9), normal(rng, 8, 4), 4


@case(
    "meta-pytorch/torchrec#4602",
    "embedding",
    ragged_bags,
    Twin(
        "as reported",
        "zero|path",
        "weights",
        "The weights of the samples get no gradient.",
    ),
    kind="bug",
    name="weighted_bags torchrec#4602",
)
def weighted_bags(slip):
    def plain(ids, bags, weights, table, count):
        return jax.ops.segment_sum(weights[:, None] * table[ids], bags, count)

    bag = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(ids, bags, weights, table, count):
        return plain(ids, bags, weights, table, count), (ids, bags, weights, table)

    def bwd(count, res, g):
        ids, bags, weights, table = res
        each = g[bags]
        dweights = (table[ids] * each).sum(-1)
        if slip:
            dweights = jnp.zeros_like(weights)
        dtable = jnp.zeros_like(table).at[ids].add(weights[:, None] * each)
        return None, None, dweights, dtable

    bag.defvjp(fwd, bwd)
    return bag, plain

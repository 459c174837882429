"""Graphs, sorting, cumulative maxima and envelopes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def neighbourhoods(rng):
    index = np.stack([rng.permutation(6)[:3] for _ in range(6)])
    x, bias = normal(rng, 6, 3), jnp.zeros(4, jnp.float32)
    return x, jnp.asarray(index, jnp.int32), normal(rng, 6, 4, std=0.4), bias


@case(
    "EdgeConv of dynamic graph networks on neighbour lists, in JAX",
    "graph layer",
    neighbourhoods,
    Twin(
        "centre of the difference",
        "term|path",
        "x",
        "That a point is subtracted from its neighbours is left out.",
    ),
    Twin(
        "neighbours overwritten",
        "duplicates|index|sum",
        "x",
        "A point that is a neighbour of several keeps one of the gradients.",
    ),
    Twin(
        "every neighbour",
        "mask|region|predicate|elements",
        "x weight bias",
        "Not the largest message alone is pulled back.",
    ),
)
def edge_conv(slip):
    def edges(x, index):
        centre = jnp.broadcast_to(x[:, None], (*index.shape, x.shape[1]))
        return jnp.concatenate([centre, x[index] - centre], -1)

    @jax.custom_vjp
    def conv(x, index, weight, bias):
        return jax.nn.relu(edges(x, index) @ weight + bias).max(1)

    def fwd(x, index, weight, bias):
        messages = jax.nn.relu(edges(x, index) @ weight + bias)
        winner = jnp.argmax(messages, 1)
        return messages.max(1), (x, index, weight, winner, messages.max(1))

    def bwd(res, g):
        x, index, weight, winner, most = res
        won = jnp.arange(index.shape[1])[:, None] == winner[:, None]
        if slip == "every neighbour":
            won = jnp.ones_like(won)
        dmessages = jnp.where(won, jnp.where(most > 0, g, 0)[:, None], 0)
        dweight = jnp.einsum("nkf,nko->fo", edges(x, index), dmessages)
        dcentre, dgap = jnp.split(dmessages @ weight.T, 2, -1)
        dx = dcentre.sum(1)
        if slip != "centre of the difference":
            dx = dx - dgap.sum(1)
        to = jnp.zeros_like(x).at[index]
        gathered = to.set(dgap) if slip == "neighbours overwritten" else to.add(dgap)
        return dx + gathered, None, dweight, dmessages.sum((0, 1))

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


def grouped(shift):
    def args(rng):
        segments = jnp.asarray([0, 0, 1, 1, 1, 3], jnp.int32)
        return normal(rng, 6, 2) + shift, segments, 4

    return args


@case(
    "logsumexp of segments in jraph-like code, with segments that are empty",
    "segment reduction",
    grouped(0.0),
    Twin(
        "not shifted",
        "edge|function|precision|region",
        "x",
        "Shares are computed by exp, without the segment's value.",
        witness=grouped(800.0),
    ),
    Twin(
        "share of all",
        "sum|axis|index|operand|function",
        "x",
        "The shares are those among all entries, not within the segment.",
    ),
    Twin(
        "cotangents not gathered",
        "index|operand|residual",
        "x",
        "An entry has the cotangent of the segment with its own number.",
    ),
)
def segment_logsumexp(slip):
    """Empty segments are set to 0."""

    def plain(x, segments, count):
        most = jax.ops.segment_max(x, segments, count)
        most = lax.stop_gradient(jnp.where(jnp.isfinite(most), most, 0))
        total = jax.ops.segment_sum(jnp.exp(x - most[segments]), segments, count)
        some = total > 0
        return jnp.where(some, jnp.log(jnp.where(some, total, 1)) + most, 0)

    reduce = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, segments, count):
        y = plain(x, segments, count)
        return y, (x, segments, y)

    def bwd(count, res, g):
        x, segments, y = res
        share = jnp.exp(x - y[segments])
        if slip == "not shifted":
            total = jax.ops.segment_sum(jnp.exp(x), segments, count)
            share = jnp.exp(x) / total[segments]
        if slip == "share of all":
            share = jax.nn.softmax(x, 0)
        if slip == "cotangents not gathered":
            return g[jnp.arange(len(x)) % count] * share, None
        return g[segments] * share, None

    reduce.defvjp(fwd, bwd)
    return reduce, plain


def scores(temperature):
    def args(rng):
        return normal(rng, 2, 5), jnp.float32(temperature)

    return args


@case(
    "NeuralSort: relaxed permutations of scores, in JAX",
    "sorting",
    scores(1.0),
    Twin(
        "distances held",
        "term|path",
        "s",
        "That the sums of distances depend on the scores is left out.",
    ),
    Twin(
        "one side",
        "term|path|factor",
        "s",
        "A distance is pulled back to one of its two scores.",
    ),
    Twin(
        "temperature",
        "factor|option|operand|ratio",
        "s",
        "The scores' gradient is not divided by the temperature.",
        witness=scores(0.5),
    ),
    fixed=(1,),
    narrow=False,
)
def neural_sort(slip):
    def logits(s):
        n = s.shape[-1]
        ranks = n + 1 - 2 * jnp.arange(1, n + 1, dtype=s.dtype)
        far = jnp.abs(s[:, :, None] - s[:, None]).sum(-1)
        return ranks, ranks[:, None] * s[:, None] - far[:, None]

    @jax.custom_vjp
    def permutation(s, temperature):
        return jax.nn.softmax(logits(s)[1] / temperature, -1)

    def fwd(s, temperature):
        p = permutation.fun(s, temperature)
        return p, (s, temperature, p)

    def bwd(res, g):
        s, temperature, p = res
        ranks, c = logits(s)
        dscaled = p * (g - (p * g).sum(-1, keepdims=True))
        dc = dscaled if slip == "temperature" else dscaled / temperature
        ds = jnp.einsum("i,bij->bj", ranks, dc)
        dfar = -dc.sum(1)
        sides = jnp.sign(s[:, :, None] - s[:, None])
        pairs = dfar[:, :, None] + dfar[:, None]
        if slip == "one side":
            pairs = jnp.broadcast_to(dfar[:, :, None], pairs.shape)
        if slip != "distances held":
            ds = ds + (sides * pairs).sum(-1)
        return ds, -(dscaled * c).sum() / temperature**2

    permutation.defvjp(fwd, bwd)
    return permutation, permutation.fun


def levels(reverse):
    def args(rng):
        return normal(rng, 3, 6), 1, reverse

    return args


@case(
    "running maxima (drawdowns, high-water marks) by lax.cummax",
    "scan",
    levels(False),
    Twin(
        "records only",
        "term|sum|mask|region",
        "x",
        "A record has its own cotangent, not those until the next record.",
    ),
    Twin(
        "direction",
        "option|index|transpose|region",
        "x",
        "Backward, the maxima run from the start whatever the direction.",
        witness=levels(True),
    ),
    Twin(
        "position before the record",
        "index|elements|residual",
        "x",
        "The records' positions are off by one.",
    ),
)
def cumulative_maximum(slip):
    def plain(x, axis, reverse):
        return lax.cummax(x, axis, reverse)

    cummax = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, axis, reverse):
        y = plain(x, axis, reverse)
        return y, (x, y)

    def bwd(axis, reverse, res, g):
        x, y = res
        place = lax.broadcasted_iota(jnp.int32, x.shape, axis)
        record = x == y
        if slip == "records only":
            return (jnp.where(record, g, 0),)
        if reverse and slip != "direction":
            none = x.shape[axis] - 1
            owner = lax.cummin(jnp.where(record, place, none), axis, reverse=True)
        else:
            owner = lax.cummax(jnp.where(record, place, 0), axis)
        if slip == "position before the record":
            owner = jnp.maximum(owner - 1, 0)
        zero = jnp.zeros_like(g)
        moved = [jnp.moveaxis(a, axis, 0) for a in (zero, owner, g)]
        others = jnp.indices(moved[1].shape)[1:]
        dx = moved[0].at[(moved[1], *others)].add(moved[2])
        return (jnp.moveaxis(dx, 0, axis),)

    cummax.defvjp(fwd, bwd)
    return cummax, plain

"""Pools over segments and spans; similarities."""

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


def graphs(rng):
    return normal(rng, 7, 3), jnp.array([0, 0, 1, 1, 1, 2, 2], jnp.int32), 3


def tied_graphs(rng):
    x, segments, count = graphs(rng)
    return jnp.maximum(jnp.round(x), 0).at[:2].set(1.0), segments, count + 1


@case(
    "jraph.segment_max as a readout of graphs",
    "graph pooling",
    graphs,
    Twin(
        "ties",
        "ratio|factor|duplicates|mask|region|edge|elements",
        "x",
        "Each of several equal maxima gets the whole gradient.",
        witness=tied_graphs,
    ),
    Twin(
        "size of the graph",
        "ratio|factor|operand",
        "x",
        "The share is one over the number of nodes.",
    ),
    Twin("all nodes", "mask|region|predicate|term", "x", "As if it were the sum."),
)
def segment_max_pool(slip):
    def plain(x, segments, count):
        member = (segments == jnp.arange(count)[:, None])[..., None]
        top = jnp.where(member, x, -jnp.inf).max(1)
        return jnp.where(member.any(1), top, 0)

    def pooled(x, segments, count):
        sizes = jax.ops.segment_sum(jnp.ones_like(segments), segments, count)
        top = jax.ops.segment_max(x, segments, count)
        return jnp.where(sizes[:, None] > 0, top, 0)

    pool = jax.custom_vjp(pooled, nondiff_argnums=(2,))

    def fwd(x, segments, count):
        y = pooled(x, segments, count)
        return y, (x, segments, y)

    def bwd(count, res, g):
        x, segments, y = res
        hit = x == y.at[segments].get(mode="fill", fill_value=jnp.nan)
        if slip == "all nodes":
            return g.at[segments].get(mode="fill", fill_value=0), None
        counted = jnp.ones_like(hit) if slip == "size of the graph" else hit
        ties = jax.ops.segment_sum(counted.astype(g.dtype), segments, count)
        share = g if slip == "ties" else g / jnp.maximum(ties, 1)
        dx = share.at[segments].get(mode="fill", fill_value=0)
        return jnp.where(hit, dx, 0), None

    pool.defvjp(fwd, bwd)
    return pool, plain


def spans(starts, ends):
    def args(rng):
        ends_ = jnp.array(ends, jnp.int32)
        return normal(rng, 7, 3), jnp.array(starts, jnp.int32), ends_

    return args


@case(
    "span representations of tokens, means from start to end, in flax taggers",
    "pooling of spans",
    spans([0, 2, 5], [2, 5, 7]),
    Twin(
        "last token",
        "index|mask|region|predicate",
        "x",
        "The token at the end, which is not in the span, has a gradient.",
    ),
    Twin(
        "empty span",
        "edge|nan|finite",
        "x",
        "Of a span without tokens the gradient is not finite.",
        witness=spans([0, 3, 5], [2, 3, 7]),
    ),
    Twin(
        "overlapping spans",
        "duplicates|sum|index|mask|region",
        "x",
        "A token is given the gradient of the first span it is in only.",
        witness=spans([0, 1, 3], [4, 5, 7]),
    ),
)
def span_mean_pool(slip):
    def inside(starts, ends, length, dtype):
        at = jnp.arange(length)
        return ((at >= starts[:, None]) & (at < ends[:, None])).astype(dtype)

    @jax.custom_vjp
    def pool(x, starts, ends):
        sizes = jnp.maximum(ends - starts, 1).astype(x.dtype)
        return inside(starts, ends, len(x), x.dtype) @ x / sizes[:, None]

    def fwd(x, starts, ends):
        return pool.fun(x, starts, ends), (len(x), starts, ends)

    def bwd(res, g):
        length, starts, ends = res
        sizes = ends - starts
        if slip != "empty span":
            sizes = jnp.maximum(sizes, 1)
        share = g / sizes[:, None].astype(g.dtype)
        if slip == "last token":
            ends = ends + 1
        member = inside(starts, ends, length, g.dtype)
        if slip == "overlapping spans":
            first = jnp.argmax(member, 0)
            return share[first] * member.max(0)[:, None], None, None
        return member.T @ share, None, None

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def with_a_zero(rng):
    a, b, axis, eps = similar_rows(rng)
    return a.at[1].set(0.0), b, axis, eps


def similar_rows(rng):
    return normal(rng, 4, 4), normal(rng, 4, 4), -1, 1e-6


@case(
    "optax.losses.cosine_similarity with epsilon",
    "similarity",
    similar_rows,
    Twin("norms held fixed", "term|path", "a b", "The lengths have no gradient."),
    Twin(
        "zero row",
        "edge|nan|finite",
        "a",
        "A row of zeros is divided by its own length.",
        witness=with_a_zero,
    ),
    Twin(
        "axis of the sums",
        "option|axis|sum",
        "a b",
        "Lengths are along the last axis whatever the axis is.",
        witness=lambda rng: (normal(rng, 4, 4), normal(rng, 4, 4), 0, 1e-6),
    ),
    narrow=False,
)
def cosine_similarity_rows(slip):
    def length(a, axis, eps):
        square = (a * a).sum(axis, keepdims=True)
        long = square > eps * eps
        return jnp.where(long, jnp.sqrt(jnp.where(long, square, 1)), eps), long

    def plain(a, b, axis, eps):
        a = a / length(a, axis, eps)[0]
        return (a * b / length(b, axis, eps)[0]).sum(axis)

    similarity = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(a, b, axis, eps):
        return plain(a, b, axis, eps), (a, b)

    def bwd(axis, eps, res, g):
        a, b = res
        dy = jnp.expand_dims(g, axis)
        along = -1 if slip == "axis of the sums" else axis
        (p, p_long), (q, q_long) = length(a, along, eps), length(b, along, eps)
        if slip == "zero row":
            p = jnp.sqrt((a * a).sum(along, keepdims=True))
        u, v = a / p, b / q
        if slip == "norms held fixed":
            return dy * v / p, dy * u / q
        cosine = (u * v).sum(along, keepdims=True)
        da = (v - jnp.where(p_long, cosine, 0) * u) / p
        db = (u - jnp.where(q_long, cosine, 0) * v) / q
        return dy * da, dy * db

    similarity.defvjp(fwd, bwd)
    return similarity, plain

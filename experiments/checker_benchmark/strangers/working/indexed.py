"""Layers that gather and scatter: embeddings, graphs."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "embedding bags of recommender models",
    "embedding",
    lambda rng: (
        normal(rng, 6, 3),
        jnp.array([0, 3, 1, 5], jnp.int32),
        jnp.array([0, 0, 1, 2], jnp.int32),
        3,
    ),
    Twin(
        "set for add",
        "duplicates|index",
        "table",
        "A repeated row is overwritten.",
        witness=lambda rng: (
            normal(rng, 6, 3),
            jnp.array([0, 3, 3, 3], jnp.int32),
            jnp.array([0, 0, 1, 2], jnp.int32),
            3,
        ),
    ),
    Twin("count forgotten", "ratio|factor|sum", "table", "Sums instead of means."),
)
def embedding_bag(slip):
    def plain(table, ids, bags, count):
        sums = jax.ops.segment_sum(table[ids], bags, count)
        sizes = jax.ops.segment_sum(jnp.ones_like(bags), bags, count)
        return sums / jnp.maximum(sizes, 1)[:, None].astype(sums.dtype)

    bag = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(table, ids, bags, count):
        return plain(table, ids, bags, count), (table, ids, bags)

    def bwd(count, res, g):
        table, ids, bags = res
        sizes = jax.ops.segment_sum(jnp.ones_like(bags), bags, count)
        if slip != "count forgotten":
            g = g / jnp.maximum(sizes, 1)[:, None].astype(g.dtype)
        zero = jnp.zeros_like(table).at[ids]
        rows = g[bags]
        return zero.set(rows) if slip == "set for add" else zero.add(rows), None, None

    bag.defvjp(fwd, bwd)
    return bag, plain


@case(
    "jraph.segment_softmax in graph attention",
    "graph layer",
    lambda rng: (normal(rng, 7), jnp.array([0, 0, 1, 1, 1, 2, 2], jnp.int32), 3),
    Twin("one softmax", "sum|path|mask|operand", "logits", "The row term is over all."),
    Twin("diagonal only", "term|path", "logits", "The row term is missing."),
)
def segment_softmax(slip):
    def plain(logits, segments, count):
        top = jax.ops.segment_max(lax.stop_gradient(logits), segments, count)
        e = jnp.exp(logits - top[segments])
        return e / jax.ops.segment_sum(e, segments, count)[segments]

    softmax = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, segments, count):
        p = plain(logits, segments, count)
        return p, (p, segments)

    def bwd(count, res, g):
        p, segments = res
        mean = jax.ops.segment_sum(p * g, segments, count)[segments]
        if slip == "one softmax":
            mean = (p * g).sum()
        return p * (g if slip == "diagonal only" else g - mean), None

    softmax.defvjp(fwd, bwd)
    return softmax, plain

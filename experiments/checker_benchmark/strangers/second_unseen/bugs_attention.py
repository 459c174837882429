"""Bugs of attention with dropout, blocks and parts, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


def softmax_pullback(p, dp):
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def with_dropout(rng):
    arrays = draw(q=(5, 3), k=(5, 3), v=(5, 2))(rng)
    return *arrays, jnp.asarray(rng.random((5, 5)) < 0.75), 0.25


@case(
    "aws-neuron/nki-samples#81",
    "attention with dropout",
    with_dropout,
    Twin(
        "as reported",
        "operand|residual|mask|factor|path",
        "q k",
        "The softmax's backward takes what is left after dropout, and drops no dy.",
    ),
    kind="bug",
    name="dropped_attention nki-samples#81",
    scales=(0.1, 1.0, 3.0),
)
def dropped_attention(slip):
    def shares(q, k):
        return jax.nn.softmax(q @ k.T / q.shape[1] ** 0.5)

    def dropped(p, kept, rate):
        return jnp.where(kept, p / (1 - rate), 0)

    def plain(q, k, v, kept, rate):
        return dropped(shares(q, k), kept, rate) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, kept, rate):
        return plain(q, k, v, kept, rate), (q, k, v, kept)

    def bwd(rate, res, do):
        q, k, v, kept = res
        p, dy = shares(q, k), do @ v.T
        left = dropped(p, kept, rate)
        if slip:
            ds = softmax_pullback(left, dy)
        else:
            ds = softmax_pullback(p, dropped(dy, kept, rate))
        ds = ds / q.shape[1] ** 0.5
        return ds @ k, ds.T @ q, left.T @ do, None

    attend.defvjp(fwd, bwd)
    return attend, plain


def block_args(sizes):
    def args(rng):
        picked = jnp.array([[1, 0, 1], [1, 1, 0], [0, 1, 1]], bool)
        arrays = draw(q=(12, 3), k=(12, 3), v=(12, 2))(rng)
        return *arrays, picked, jnp.array(sizes, jnp.int32), 4

    return args


@case(
    "hao-ai-lab/FastVideo#925",
    "attention over sparse blocks",
    block_args([4, 4, 4]),
    Twin(
        "as reported",
        "mask|region|edge|index|predicate",
        "q k v",
        "Each half of a block is held to be as full as the whole block is.",
        witness=block_args([4, 3, 2]),
    ),
    kind="bug",
    name="variable_blocks FastVideo#925",
)
def variable_blocks(slip):
    def full(sizes, block):
        """Which places of which block hold a token."""
        return jnp.arange(block) < sizes[:, None]

    def halves(sizes, block):
        half = block // 2
        start = jnp.arange(0, block, half)
        left = sizes[:, None] - (jnp.zeros_like(start) if slip else start)
        return (jnp.arange(half) < left[..., None]).reshape(len(sizes), -1)

    def seen(picked, real, block):
        by_block = jnp.repeat(jnp.repeat(picked, block, 0), block, 1)
        return by_block & real.reshape(-1)

    def scores(q, k, mask):
        return jnp.where(mask, q @ k.T / q.shape[1] ** 0.5, -jnp.inf)

    def shares(s):
        top = lax.stop_gradient(s.max(-1, keepdims=True, initial=-1e30))
        e = jnp.exp(s - top)
        total = e.sum(-1, keepdims=True)
        lse = jnp.where(total > 0, top + jnp.log(jnp.where(total > 0, total, 1)), 0)
        return e / jnp.where(total > 0, total, 1), lse

    def plain(q, k, v, picked, sizes, block):
        mask = seen(picked, full(sizes, block), block)
        return shares(scores(q, k, mask))[0] @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(q, k, v, picked, sizes, block):
        p, lse = shares(scores(q, k, seen(picked, full(sizes, block), block)))
        return p @ v, (q, k, v, picked, sizes, lse)

    def bwd(block, res, do):
        q, k, v, picked, sizes, lse = res
        mask = seen(picked, halves(sizes, block), block)
        p = jnp.exp(scores(q, k, mask) - lse)
        ds = softmax_pullback(p, do @ v.T) / q.shape[1] ** 0.5
        return ds @ k, ds.T @ q, p.T @ do, None, None

    attend.defvjp(fwd, bwd)
    return attend, plain


def parts_on(backend):
    def args(rng):
        return *draw(q=(4, 3), k=(6, 3), v=(6, 3))(rng), 3, backend

    return args


@case(
    "meta-pytorch/attention-gym#200",
    "attention in parts",
    parts_on("flash"),
    Twin(
        "as reported",
        "factor|option|function|operand|residual|ratio",
        "q k v",
        "A backend with base 2 is given the natural logarithm if chosen by default.",
        witness=parts_on(None),
    ),
    kind="bug",
    name="two_part_attention attention-gym#200",
    scales=(0.1, 1.0),
)
def two_part_attention(slip):
    ln2 = float(np.log(2))

    def merged(q, k, v, size):
        outs, logs = [], []
        for i in range(0, len(k), size):
            s = q @ k[i : i + size].T
            outs.append(jax.nn.softmax(s) @ v[i : i + size])
            logs.append(jax.nn.logsumexp(s, -1))
        lse = jax.nn.logsumexp(jnp.stack(logs), 0)
        weights = jnp.exp(jnp.stack(logs) - lse)
        return (weights[..., None] * jnp.stack(outs)).sum(0), lse

    def plain(q, k, v, size, backend):
        return merged(q, k, v, size)[0]

    attend = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(q, k, v, size, backend):
        o, lse = merged(q, k, v, size)
        return o, (q, k, v, o, lse[:, None])

    def bwd(size, backend, res, do):
        q, k, v, o, lse = res
        delta = (do * o).sum(-1, keepdims=True)
        if backend == "flash":
            p = jnp.exp(q @ k.T - lse)
        else:
            natural = slip and backend is None
            p = jnp.exp2(q @ k.T / ln2 - (lse if natural else lse / ln2))
        ds = p * (do @ v.T - delta)
        return ds @ k, ds.T @ q, p.T @ do

    attend.defvjp(fwd, bwd)
    return attend, plain

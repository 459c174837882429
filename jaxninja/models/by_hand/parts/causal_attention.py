"""Causal attention forward and back by hand, by blocks: no T x T scores are ever held.

    z[t, s] = q[t] . k[s] / sqrt(D) for s <= t      lse[t] = log sum_s e^z[t, s]
    o[t] = sum_s p[t, s] v[s]                       p = e^(z - lse[t])

    dv[s] = sum_t p do[t]                           dz = p do[t] . (v[s] - o[t])
    dq[t] = sum_s dz k[s] / sqrt(D)                 dk[s] = sum_t dz q[t] / sqrt(D)

The derivation heads rules/sequence/attention.py. Given lse, a block of p is made again.
In the backward pass blocks are held as [s, t]: then no product sums over the rows of a
matrix, which is slow on a CPU; dq is added up transposed for it. The barrier keeps XLA
from folding the transpose of the keys into the products. q, k and v are cut into blocks
once, forward, and kept so: [blocks, 3, B, H, t, D], each block in one piece.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.models.by_hand.parts.products import product
from jaxninja.rules.blocking import in_parallel, positions


def attention(qkv, B, H, dtype):
    """qkv [N, 3 C] in blocks, o [N, C], and lse [blocks, B, H, t, 1], one row of blocks
    after the other."""
    T = len(qkv) // B
    qkv = in_blocks(qkv, B, 3, H)
    o, lse = by_heads(partial(row_by_row, dtype=dtype), qkv)
    return qkv, in_rows(o[:, None], T), lse


def row_by_row(qkv, dtype):
    """o [blocks, B, H, t, D] and lse."""
    *_, size, D = qkv.shape

    def row(i):
        q_t = qkv[i, 0] / math.sqrt(D)

        def column(j, state):
            m, total, weighted = state
            z = product(q_t, qkv[j, 1], dtype, -1)  # [B, H, t, s]
            z = jnp.where(seen(i, j, size), z, -jnp.inf)
            top = jnp.maximum(m, z.max(-1, keepdims=True))
            p, shrink = jnp.exp(z - top), jnp.exp(m - top)
            total = shrink * total + p.sum(-1, keepdims=True)
            return top, total, shrink * weighted + product(p, qkv[j, 2], dtype)

        none = jnp.zeros_like(q_t[..., :1])
        start = none - jnp.inf, none, jnp.zeros_like(q_t)
        m, total, weighted = lax.fori_loop(0, i + 1, column, start)
        return weighted / total, m + jnp.log(total)

    return lax.map(row, jnp.arange(len(qkv)))


def attention_backward(qkv, o, lse, do, dtype):
    """dqkv [N, 3 C] of qkv in blocks."""
    _, _, B, H, _, D = qkv.shape
    T = len(do) // B
    do_o = (do * o).reshape(B * T, H, D).sum(-1)
    do, do_o = (in_blocks(a, B, 1, H)[:, 0] for a in (do, do_o))
    dqkv = by_heads(partial(column_by_column, dtype=dtype), qkv, lse.mT, do, do_o.mT)
    return in_rows(dqkv, T)


def column_by_column(qkv, lse, do, do_o, dtype):
    """dqkv in blocks, one column of blocks [s, t] after the other; lse and do_o are
    [blocks, B, H, 1, t]."""
    count, *_, size, D = qkv.shape

    def column(j, state):
        dqT, qkv = state
        k_s, v_s = qkv[j, 1] / math.sqrt(D), qkv[j, 2]
        kT_s = lax.optimization_barrier(k_s.mT)

        def row(i, state):
            dqT, dk_s, dv_s = state
            q_t, do_t = qkv[i, 0], do[i]
            z = product(k_s, q_t, dtype, -1)  # [B, H, s, t]
            z = jnp.where(seen(i, j, size).T, z, -jnp.inf)
            p = jnp.exp(z - lse[i])
            dz = p * (product(v_s, do_t, dtype, -1) - do_o[i])
            dqT = dqT.at[i].add(product(kT_s, dz, dtype))
            return dqT, dk_s + product(dz, q_t, dtype), dv_s + product(p, do_t, dtype)

        start = dqT, jnp.zeros_like(k_s), jnp.zeros_like(v_s)
        dqT, dk_s, dv_s = lax.fori_loop(j, count, row, start)
        # no later column reads these q, k and v: their gradients take their place
        done = jnp.stack([dqT[j].mT, dk_s / math.sqrt(D), dv_s])
        return dqT, qkv.at[j].set(done)

    start = jnp.zeros_like(qkv[:, 0].mT), qkv
    return lax.fori_loop(0, count, column, start)[1]


def by_heads(blocks, *arrays):
    """`blocks` of half of the heads, their axis -3, and of the others. Such a loop
    takes one small product after the other, which keeps one core of a CPU busy: two
    that do not wait for each other keep two."""
    H = arrays[0].shape[-3]
    if H == 1 or in_parallel():
        return blocks(*arrays)
    halves = zip(*(jnp.split(a, [H // 2], -3) for a in arrays), strict=True)
    first, second = (blocks(*half) for half in halves)
    return jax.tree.map(lambda *a: jnp.concatenate(a, -3), first, second)


def in_blocks(a, B, parts, H):
    """[N, parts H D] -> [blocks, parts, B, H, t, D], the last one filled up with zeros:
    such keys come after all queries, and such queries have a cotangent of 0."""
    a = a.reshape(B, len(a) // B, parts, H, -1)
    size = positions(a.shape[1])
    a = jnp.pad(a, [(0, 0), (0, -a.shape[1] % size), (0, 0), (0, 0), (0, 0)])
    return a.reshape(B, -1, size, *a.shape[2:]).transpose(1, 3, 0, 4, 2, 5)


def in_rows(a, T):
    """[blocks, parts, B, H, t, D] -> [N, parts H D]."""
    a = a.transpose(2, 0, 4, 1, 3, 5)
    B, width = len(a), math.prod(a.shape[3:])
    return a.reshape(B, -1, width)[:, :T].reshape(B * T, width)


def seen(i, j, size):
    """[t, s]: whether a query of block i sees a key of block j."""
    within = jnp.arange(size)
    return (i * size + within)[:, None] >= j * size + within

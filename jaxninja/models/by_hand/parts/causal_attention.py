"""Causal attention forward and back by hand, by blocks: no T x T scores are ever held.

    z[t, s] = q[t] . k[s] / sqrt(D) for s <= t      lse[t] = log sum_s e^z[t, s]
    o[t] = sum_s p[t, s] v[s]                       p = e^(z - lse[t])

    dv[s] = sum_t p do[t]                           dz = p do[t] . (v[s] - o[t])
    dq[t] = sum_s dz k[s] / sqrt(D)                 dk[s] = sum_t dz q[t] / sqrt(D)

The derivation heads rules/sequence/attention.py. Given lse, a block of p is made again.
In the backward pass blocks are held as [s, t]: then no product sums over the rows of a
matrix, which is slow on a CPU; dq is added up transposed for it. The barrier keeps XLA
from folding the transpose of the keys into the products.

q, k and v are cut into blocks once, forward, and kept so: [blocks, 3, t, D], first the
`count` of one head of one sequence, then those of the next. A CPU takes them in this
order: small steps stay in cache, and XLA would divide larger ones among cores at more
cost than gain.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from jaxninja.models.by_hand.parts.products import product
from jaxninja.rules.blocking import in_parallel, positions


def attention(qkv, B, H, dtype):
    """qkv [N, 3 C] in blocks, o [N, C], and lse [blocks, 1, t]."""
    T = len(qkv) // B
    qkv = in_blocks(qkv, B, 3, H)
    forward = partial(row_by_row, count=len(qkv) // (B * H), dtype=dtype)
    o, lse = of_heads(forward, B * H, qkv)
    return qkv, in_rows(o[:, None], B, T), lse


def row_by_row(qkv, count, dtype):
    """o [blocks, t, D] and lse, one row of blocks after the other."""
    *_, size, D = qkv.shape

    def row(i):
        q_t = qkv[i, 0] / math.sqrt(D)

        def column(j, state):
            m, total, weighted = state
            z = product(q_t, qkv[j, 1], dtype, -1)  # [t, s]
            z = jnp.where(seen(i, j, size), z, -jnp.inf)
            top = jnp.maximum(m, z.max(-1, keepdims=True))
            p, shrink = jnp.exp(z - top), jnp.exp(m - top)
            total = shrink * total + p.sum(-1, keepdims=True)
            return top, total, shrink * weighted + product(p, qkv[j, 2], dtype)

        none = jnp.zeros_like(q_t[..., :1])
        start = none - jnp.inf, none, jnp.zeros_like(q_t)
        m, total, weighted = lax.fori_loop(i - i % count, i + 1, column, start)
        return weighted / total, (m + jnp.log(total)).mT

    return lax.map(row, jnp.arange(len(qkv)))


def attention_backward(qkv, o, lse, do, B, dtype):
    """dqkv [N, 3 C] of qkv in blocks."""
    T, H = len(do) // B, do.shape[1] // qkv.shape[-1]
    do_o = (do * o).reshape(B * T, H, -1).sum(-1)
    do, do_o = in_blocks(do, B, 1, H)[:, 0], in_blocks(do_o, B, 1, H)[..., 0]
    back = partial(column_by_column, count=len(qkv) // (B * H), dtype=dtype)
    return in_rows(of_heads(back, B * H, qkv, lse, do, do_o), B, T)


def column_by_column(qkv, lse, do, do_o, count, dtype):
    """dqkv in blocks, one column of blocks [s, t] after the other; lse and do_o are
    [blocks, 1, t]."""
    *_, size, D = qkv.shape
    put = partial(lax.dynamic_update_index_in_dim, axis=0)

    def column(j, state):
        dqT, qkv = state
        k_s, v_s = qkv[j, 1] / math.sqrt(D), qkv[j, 2]
        kT_s = lax.optimization_barrier(k_s.mT)

        def row(i, state):
            dqT, dk_s, dv_s = state
            q_t, do_t = qkv[i, 0], do[i]
            z = product(k_s, q_t, dtype, -1)  # [s, t]
            z = jnp.where(seen(i, j, size).T, z, -jnp.inf)
            p = jnp.exp(z - lse[i])
            dz = p * (product(v_s, do_t, dtype, -1) - do_o[i])
            dqT = put(dqT, dqT[i] + product(kT_s, dz, dtype), i)
            return dqT, dk_s + product(dz, q_t, dtype), dv_s + product(p, do_t, dtype)

        start = dqT, jnp.zeros_like(k_s), jnp.zeros_like(v_s)
        dqT, dk_s, dv_s = lax.fori_loop(j, j - j % count + count, row, start)
        # no later column reads these q, k and v: their gradients take their place
        done = jnp.stack([dqT[j].mT, dk_s / math.sqrt(D), dv_s])
        return dqT, put(qkv, done, j)

    start = jnp.zeros_like(qkv[:, 0].mT), qkv
    return lax.fori_loop(0, len(qkv), column, start)[1]


def of_heads(f, heads, *arrays):
    """f of the blocks of all heads: all heads at once on a GPU, and where a head is one
    block, so that no loop is left."""
    if in_parallel() or len(arrays[0]) == heads:
        arrays = [a.reshape(heads, -1, *a.shape[1:]) for a in arrays]
        found = jax.vmap(f)(*arrays)
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)
    return f(*arrays)


def in_blocks(a, B, parts, H):
    """[N, parts H D] -> [blocks, parts, t, D], the last of a head filled up with zeros:
    such keys come after all queries, and such queries have a cotangent of 0."""
    T = len(a) // B
    size = positions(T)
    a = a.reshape(B, T, parts, H, -1)
    a = jnp.pad(a, [(0, 0), (0, -T % size), (0, 0), (0, 0), (0, 0)])
    a = a.reshape(B, -1, size, parts, H, a.shape[-1]).transpose(0, 4, 1, 3, 2, 5)
    return a.reshape(-1, *a.shape[3:])


def in_rows(a, B, T):
    """[blocks, parts, t, D] -> [N, parts H D]."""
    _, parts, size, D = a.shape
    a = a.reshape(B, -1, -(-T // size), parts, size, D).transpose(0, 2, 4, 3, 1, 5)
    return a.reshape(B, a.shape[1] * size, -1)[:, :T].reshape(B * T, -1)


def seen(i, j, size):
    """[t, s]: whether a query of block i sees a key of block j."""
    within = jnp.arange(size)
    return (i * size + within)[:, None] >= j * size + within

"""Causal attention forward and back by hand, by blocks: no T x T scores are ever held.

    z[t, s] = q[t] . k[s] / sqrt(D) for s <= t      lse[t] = log sum_s e^z[t, s]
    o[t] = sum_s p[t, s] v[s]                       p = e^(z - lse[t])

    dv[s] = sum_t p do[t]                           dz = p do[t] . (v[s] - o[t])
    dq[t] = sum_s dz k[s] / sqrt(D)                 dk[s] = sum_t dz q[t] / sqrt(D)

The derivation heads rules/sequence/attention.py. Given lse, a block of p is made again.
In the backward pass blocks are held as [s, t]: then no product sums over the rows of a
matrix, which is slow on a CPU; dq is added up transposed for it. The barrier keeps XLA
from folding the transpose of the keys into the products. Arrays have the blocks along
their first axis, so that a block lies in one piece.
"""

import math

import jax.numpy as jnp
from jax import lax

from jaxninja.models.by_hand.parts.products import product
from jaxninja.rules.blocking import positions


def attention(qkv, B, H, dtype):
    """o [N, C] and lse [blocks, B, H, t, 1], one row of blocks after the other."""
    T = len(qkv) // B
    size = positions(T)
    q, k, v = (in_blocks(a, B, H, size) for a in jnp.split(qkv, 3, -1))
    q = q / math.sqrt(q.shape[-1])

    def row(at):
        i, q_t = at

        def column(j, state):
            m, total, weighted = state
            z = product(q_t, k[j].mT, dtype)  # [B, H, t, s]
            z = jnp.where(seen(i, j, size), z, -jnp.inf)
            top = jnp.maximum(m, z.max(-1, keepdims=True))
            p, shrink = jnp.exp(z - top), jnp.exp(m - top)
            total = shrink * total + p.sum(-1, keepdims=True)
            return top, total, shrink * weighted + product(p, v[j], dtype)

        none = jnp.zeros_like(q_t[..., :1])
        start = none - jnp.inf, none, jnp.zeros_like(q_t)
        m, total, weighted = lax.fori_loop(0, i + 1, column, start)
        return weighted / total, m + jnp.log(total)

    o, lse = lax.map(row, (jnp.arange(len(q)), q))
    return in_rows(o, T), lse


def attention_backward(qkv, o, lse, do, B, H, dtype):
    """dqkv [N, 3 C], one column of blocks [s, t] after the other."""
    T = len(qkv) // B
    size = positions(T)
    arrays = *jnp.split(qkv, 3, -1), o, do
    q, k, v, o, do = (in_blocks(a, B, H, size) for a in arrays)
    root = math.sqrt(q.shape[-1])
    q, kT = q / root, lax.optimization_barrier(k.mT)
    lse, do_o = lse.mT, (do * o).sum(-1, keepdims=True).mT  # [blocks, B, H, 1, t]

    def column(dqT, at):
        j, k_s, v_s, kT_s = at

        def row(i, state):
            dqT, dk_s, dv_s = state
            z = product(k_s, q[i].mT, dtype)  # [B, H, s, t]
            p = jnp.where(seen(i, j, size).T, jnp.exp(z - lse[i]), 0)
            dz = p * (product(v_s, do[i].mT, dtype) - do_o[i])
            dqT = dqT.at[i].add(product(kT_s, dz, dtype))
            return dqT, dk_s + product(dz, q[i], dtype), dv_s + product(p, do[i], dtype)

        start = dqT, jnp.zeros_like(k_s), jnp.zeros_like(v_s)
        dqT, dk_s, dv_s = lax.fori_loop(j, len(q), row, start)
        return dqT, (dk_s, dv_s)

    columns = jnp.arange(len(k)), k, v, kT
    dqT, (dk, dv) = lax.scan(column, jnp.zeros_like(kT), columns)
    return jnp.concatenate([in_rows(d, T) for d in (dqT.mT / root, dk, dv)], -1)


def in_blocks(a, B, H, size):
    """[N, C] -> [blocks, B, H, size, D], the last one filled up with zeros: such keys
    come after all queries, and such queries have a cotangent of 0."""
    a = a.reshape(B, len(a) // B, H, -1)
    a = jnp.pad(a, [(0, 0), (0, -a.shape[1] % size), (0, 0), (0, 0)])
    return a.reshape(B, -1, size, *a.shape[2:]).transpose(1, 0, 3, 2, 4)


def in_rows(a, T):
    """[blocks, B, H, size, D] -> [N, C]."""
    a = a.transpose(1, 0, 3, 2, 4)
    B, _, _, H, D = a.shape
    return a.reshape(B, -1, H * D)[:, :T].reshape(B * T, H * D)


def seen(i, j, size):
    """[t, s]: whether a query of block i sees a key of block j."""
    within = jnp.arange(size)
    return (i * size + within)[:, None] >= j * size + within

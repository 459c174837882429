"""Causal attention forward and back by hand, by blocks: no T x T scores are ever held.

    z[t, s] = q[t] . k[s] / sqrt(D) for s <= t      lse[t] = log sum_s e^z[t, s]
    o[t] = sum_s p[t, s] v[s]                       p = e^(z - lse[t])

    dv[s] = sum_t p do[t]                           dz = p do[t] . (v[s] - o[t])
    dq[t] = sum_s dz k[s] / sqrt(D)                 dk[s] = sum_t dz q[t] / sqrt(D)

The derivation heads rules/sequence/attention.py. Given lse, a block of p is made again.
In the backward pass blocks are held as [s, t]: then no product sums over the rows of a
matrix, which is slow on a CPU; dq is added up transposed for it. The barrier keeps XLA
from folding the transpose of the keys into the products.
"""

import math
from functools import partial

import jax.numpy as jnp
from jax import lax

from jaxninja.models.by_hand.parts.products import product
from jaxninja.rules.blocking import positions


def attention(qkv, B, H, dtype):
    """o [N, C] and lse [B, H, T, 1], one row of blocks after the other."""
    T = len(qkv) // B
    size = positions(T)
    q, k, v = (heads(a, B, H, size) for a in jnp.split(qkv, 3, -1))
    q = q / math.sqrt(q.shape[-1])

    def row(i):
        q_t = part(q, i, size)

        def column(j, state):
            m, total, weighted = state
            z = product(q_t, part(k, j, size).mT, dtype)  # [B, H, t, s]
            z = jnp.where(seen(i, j, size), z, -jnp.inf)
            top = jnp.maximum(m, z.max(-1, keepdims=True))
            p, shrink = jnp.exp(z - top), jnp.exp(m - top)
            total = shrink * total + p.sum(-1, keepdims=True)
            weighted = shrink * weighted + product(p, part(v, j, size), dtype)
            return top, total, weighted

        none = jnp.zeros_like(q_t[..., :1])
        start = none - jnp.inf, none, jnp.zeros_like(q_t)
        m, total, weighted = lax.fori_loop(0, i + 1, column, start)
        return weighted / total, m + jnp.log(total)

    blocks = lax.map(row, jnp.arange(q.shape[2] // size))
    o, lse = (jnp.moveaxis(a, 0, 2).reshape(*q.shape[:3], -1) for a in blocks)
    return tokens(o, T), lse[:, :, :T]


def attention_backward(qkv, o, lse, do, B, H, dtype):
    """dqkv [N, 3 C], one column of blocks [s, t] after the other."""
    T = len(qkv) // B
    size = positions(T)
    q, k, v = (heads(a, B, H, size) for a in jnp.split(qkv, 3, -1))
    o, do = heads(o, B, H, size), heads(do, B, H, size)
    root = math.sqrt(q.shape[-1])
    q, kT = q / root, lax.optimization_barrier(k.mT)
    lse = jnp.pad(lse, [(0, 0), (0, 0), (0, q.shape[2] - T), (0, 0)]).mT  # [B, H, 1, T]
    do_o = (do * o).sum(-1, keepdims=True).mT

    def column(j, state):
        dqT, dk, dv = state
        k_s, v_s, kT_s = part(k, j, size), part(v, j, size), part(kT, j, size, 3)

        def row(i, state):
            dqT, dk_s, dv_s = state
            q_t, do_t = part(q, i, size), part(do, i, size)
            z = product(k_s, q_t.mT, dtype)  # [B, H, s, t]
            p = jnp.where(seen(i, j, size).T, jnp.exp(z - part(lse, i, size, 3)), 0)
            dz = p * (product(v_s, do_t.mT, dtype) - part(do_o, i, size, 3))
            dq_t = part(dqT, i, size, 3) + product(kT_s, dz, dtype)
            dqT = lax.dynamic_update_slice_in_dim(dqT, dq_t, i * size, 3)
            dk_s, dv_s = dk_s + product(dz, q_t, dtype), dv_s + product(p, do_t, dtype)
            return dqT, dk_s, dv_s

        start = dqT, jnp.zeros_like(k_s), jnp.zeros_like(v_s)
        dqT, *sums = lax.fori_loop(j, q.shape[2] // size, row, start)
        put = partial(lax.dynamic_update_slice_in_dim, start_index=j * size, axis=2)
        return dqT, *(put(d, sum) for d, sum in zip((dk, dv), sums, strict=True))

    start = jnp.zeros_like(kT), jnp.zeros_like(k), jnp.zeros_like(v)
    dqT, dk, dv = lax.fori_loop(0, q.shape[2] // size, column, start)
    return jnp.concatenate([tokens(d, T) for d in (dqT.mT / root, dk, dv)], -1)


def heads(a, B, H, size):
    """[N, C] -> [B, H, T, D], T filled up with zeros to a multiple of a block: such
    keys come after all queries, and such queries have a cotangent of 0."""
    a = a.reshape(B, len(a) // B, H, -1)
    return jnp.pad(a, [(0, 0), (0, -a.shape[1] % size), (0, 0), (0, 0)]).swapaxes(1, 2)


def tokens(a, T):
    """[B, H, T or more, D] -> [N, C]."""
    a = a[:, :, :T].swapaxes(1, 2)
    return a.reshape(len(a) * T, -1)


def part(x, n, size, axis=2):
    return lax.dynamic_slice_in_dim(x, n * size, size, axis)


def seen(i, j, size):
    """[t, s]: whether a query of block i sees a key of block j."""
    within = jnp.arange(size)
    return (i * size + within)[:, None] >= j * size + within

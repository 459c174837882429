"""Attention in variants: saved logsumexp, groups, windows, rings, rotations."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "flash attention in JAX (tokamax, jax-triton)",
    "attention",
    draw(q=(8, 4), k=(8, 4), v=(8, 3)),
    Twin("scale missing in dq", "ratio|factor|operand", "q", "dq lacks 1/sqrt(d)."),
    Twin(
        "row term of scores",
        "operand|residual|function|term|path",
        "q k",
        "The row term is a sum over dp, not over p dp.",
    ),
    Twin(
        "dv by scores",
        "operand|function|residual|path",
        "v",
        "dv is made of the scores, not of the probabilities.",
    ),
)
def flash_attention(slip):
    @jax.custom_vjp
    def flash(q, k, v):
        return flash_fwd(q, k, v)[0]

    def plain(q, k, v):
        return jax.nn.softmax(q @ k.T / q.shape[-1] ** 0.5) @ v

    def flash_fwd(q, k, v):
        def block(carry, kv):
            m, l, acc = carry
            kb, vb = kv
            s = q @ kb.T / q.shape[-1] ** 0.5
            new = jnp.maximum(m, s.max(-1))
            p, c = jnp.exp(s - new[:, None]), jnp.exp(m - new)
            return (new, l * c + p.sum(-1), acc * c[:, None] + p @ vb), None

        zero = jnp.zeros(len(q), q.dtype)
        start = (zero - 1e30, zero, jnp.zeros((len(q), v.shape[1]), q.dtype))
        blocks = (k.reshape(-1, 2, k.shape[1]), v.reshape(-1, 2, v.shape[1]))
        (m, l, acc), _ = lax.scan(block, start, blocks)
        o = acc / l[:, None]
        return o, (q, k, v, o, m + jnp.log(l))

    def flash_bwd(res, do):
        q, k, v, o, lse = res
        scale = q.shape[-1] ** -0.5
        s = q @ k.T * scale
        p = jnp.exp(s - lse[:, None])
        dp = do @ v.T
        row = (do * o).sum(-1, keepdims=True)
        if slip == "row term of scores":
            row = dp.mean(-1, keepdims=True)
        ds = p * (dp - row) * scale
        dq = ds @ k
        if slip == "scale missing in dq":
            dq = dq / scale
        return dq, ds.T @ q, (s if slip == "dv by scores" else p).T @ do

    flash.defvjp(flash_fwd, flash_bwd)
    return flash, plain


@case(
    "grouped-query attention of Llama in flax",
    "attention with groups",
    draw(q=(5, 4, 3), k=(5, 2, 3), v=(5, 2, 3)),
    Twin(
        "one head of a group",
        "sum|index|path",
        "k v",
        "dk and dv take the first query head of a group only.",
    ),
    Twin(
        "groups interleaved",
        "index|transpose|function",
        "k v",
        "Query heads are put to key heads by turns in the backward.",
    ),
    Twin("mean of a group", "ratio|factor", "k", "dk is averaged over the group."),
)
def grouped_query_attention(slip):
    def shares(q, k):
        T = len(q)
        s = jnp.einsum("qhgd,khd->hgqk", q, k) * q.shape[-1] ** -0.5
        s = jnp.where(jnp.tril(jnp.ones((T, T), bool)), s, -1e9)
        return jax.nn.softmax(s.astype(q.dtype))

    def split_heads(q, k):
        T, H, D = q.shape
        return q.reshape(T, k.shape[1], H // k.shape[1], D)

    @jax.custom_vjp
    def gqa(q, k, v):
        out = jnp.einsum("hgqk,khd->qhgd", shares(split_heads(q, k), k), v)
        return out.reshape(*q.shape[:2], v.shape[-1])

    def fwd(q, k, v):
        return gqa.fun(q, k, v), (q, k, v)

    def bwd(res, do):
        q, k, v = res
        qg = split_heads(q, k)
        g = do.reshape(*qg.shape[:3], v.shape[-1])
        p = shares(qg, k)
        dp = jnp.einsum("qhgd,khd->hgqk", g, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
        dq = jnp.einsum("hgqk,khd->qhgd", ds, k).reshape(q.shape)
        if slip == "one head of a group":
            ds, p = ds.at[:, 1:].set(0), p.at[:, 1:].set(0)
        dk = jnp.einsum("hgqk,qhgd->hgkd", ds, qg)
        dv = jnp.einsum("hgqk,qhgd->hgkd", p, g)
        if slip == "groups interleaved":
            dk = dk.reshape(-1, *dk.shape[2:]).reshape(
                dk.shape[1], dk.shape[0], *dk.shape[2:]
            )
            dv = dv.reshape(-1, *dv.shape[2:]).reshape(
                dv.shape[1], dv.shape[0], *dv.shape[2:]
            )
            dk, dv = dk.swapaxes(0, 1), dv.swapaxes(0, 1)
        dk, dv = dk.sum(1).swapaxes(0, 1), dv.sum(1).swapaxes(0, 1)
        if slip == "mean of a group":
            dk = dk / qg.shape[2]
        return dq, dk, dv

    gqa.defvjp(fwd, bwd)
    return gqa, gqa.fun


@case(
    "sliding windows of Mistral and Gemma",
    "attention with a window",
    lambda rng: (*draw(q=(2, 7, 3), k=(2, 7, 3), v=(2, 7, 3))(rng), 3, 30.0),
    Twin(
        "window off by one", "mask|index|region", "q k v", "One key more in the window."
    ),
    Twin(
        "cap's slope",
        "factor|path|term|function",
        "q k",
        "tanh's slope is missing.",
        witness=lambda rng: (*draw(q=(2, 7, 3), k=(2, 7, 3), v=(2, 7, 3))(rng), 3, 2.0),
    ),
)
def sliding_window_attention(slip):
    def capped(q, k, cap):
        s = jnp.einsum("hqd,hkd->hqk", q, k) * q.shape[-1] ** -0.5
        return cap * jnp.tanh(s / cap)

    def seen(T, window):
        ago = jnp.arange(T)[:, None] - jnp.arange(T)
        return (ago >= 0) & (ago < window)

    def plain(q, k, v, window, cap):
        s = jnp.where(seen(q.shape[1], window), capped(q, k, cap), -1e30)
        return jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(s), v)

    attend = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(q, k, v, window, cap):
        return plain(q, k, v, window, cap), (q, k, v)

    def bwd(window, cap, res, do):
        q, k, v = res
        s = capped(q, k, cap)
        more = 1 if slip == "window off by one" else 0
        p = jax.nn.softmax(jnp.where(seen(q.shape[1], window + more), s, -1e30))
        dp = jnp.einsum("hqd,hkd->hqk", do, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
        if slip != "cap's slope":
            ds = ds * (1 - (s / cap) ** 2)
        return (
            jnp.einsum("hqk,hkd->hqd", ds, k),
            jnp.einsum("hqk,hqd->hkd", ds, q),
            jnp.einsum("hqk,hqd->hkd", p, do),
        )

    attend.defvjp(fwd, bwd)
    return attend, plain


@case(
    "ring attention: outputs of blocks are merged by their logsumexp",
    "attention with two outputs",
    draw(q=(5, 3), k=(6, 3), v=(6, 2)),
    Twin(
        "logsumexp's cotangent dropped",
        "path|term|cotangent|zero",
        "q k",
        "The second output has no gradient.",
    ),
    Twin(
        "logsumexp's cotangent added",
        "sign|term|path",
        "q k",
        "dlse is subtracted where it is to be added.",
    ),
)
def ring_attention(slip):
    def plain(q, k, v):
        s = q @ k.T
        return jax.nn.softmax(s) @ v, jax.nn.logsumexp(s, -1)

    @jax.custom_vjp
    def block(q, k, v):
        return plain(q, k, v)

    def fwd(q, k, v):
        o, lse = plain(q, k, v)
        return (o, lse), (q, k, v, o, lse)

    def bwd(res, g):
        q, k, v, o, lse = res
        do, dlse = g
        p = jnp.exp(q @ k.T - lse[:, None])
        row = (do * o).sum(-1)
        if slip == "logsumexp's cotangent added":
            row = row + dlse
        elif slip != "logsumexp's cotangent dropped":
            row = row - dlse
        ds = p * (do @ v.T - row[:, None])
        return ds @ k, ds.T @ q, p.T @ do

    block.defvjp(fwd, bwd)
    return block, plain


@case(
    "partial rotary embeddings of GPT-NeoX in flax",
    "rotation",
    lambda rng: (normal(rng, 5, 2, 6), 4, 100.0),
    Twin("rotated forward", "sign|transpose|function", "x", "Turned on, not back."),
    Twin(
        "rest dropped",
        "region|index|mask|zero|path",
        "x",
        "What is not rotated has no gradient.",
    ),
    Twin(
        "pairs interleaved",
        "index|function|transpose",
        "x",
        "Neighbours are paired in the backward, halves in the forward.",
    ),
)
def partial_rope(slip):
    def angles(T, width, base, dtype):
        rates = base ** (-np.arange(0, width, 2) / width)
        a = np.arange(T)[:, None] * rates
        return jnp.asarray(np.cos(a)[:, None], dtype), jnp.asarray(
            np.sin(a)[:, None], dtype
        )

    def turn(x, width, cos, sin):
        a, b = jnp.split(x[..., :width], 2, -1)
        turned = (a * cos - b * sin, b * cos + a * sin, x[..., width:])
        return jnp.concatenate(turned, -1)

    def plain(x, width, base):
        return turn(x, width, *angles(len(x), width, base, x.dtype))

    rope = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, width, base):
        return plain(x, width, base), None

    def bwd(width, base, _, g):
        cos, sin = angles(len(g), width, base, g.dtype)
        if slip == "pairs interleaved":
            a, b = g[..., :width:2], g[..., 1:width:2]
            pairs = jnp.stack([a * cos + b * sin, b * cos - a * sin], -1)
            whole = pairs.reshape(*g.shape[:-1], width)
            return (jnp.concatenate([whole, g[..., width:]], -1),)
        dx = turn(g, width, cos, sin if slip == "rotated forward" else -sin)
        return (dx.at[..., width:].set(0) if slip == "rest dropped" else dx,)

    rope.defvjp(fwd, bwd)
    return rope, plain

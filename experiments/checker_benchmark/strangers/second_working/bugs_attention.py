"""Bugs of attention, most of them of its masks, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


def masked_softmax(scores, seen):
    """Over the seen entries; a row without any is zero."""
    top = jnp.max(scores, -1, where=seen, initial=-1e30, keepdims=True)
    shifted = jnp.where(seen, scores - lax.stop_gradient(top), -jnp.inf)
    weights = jnp.exp(shifted)
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total == 0, 1, total)


def log_total(scores, seen):
    """Logarithm of the sum of exponentials over the seen entries, 0 for none."""
    hidden = jnp.where(seen, scores, -jnp.inf)
    lse = jax.nn.logsumexp(hidden, -1)
    return jnp.where(seen.any(-1), lse, 0)


def softmax_pullback(p, dp):
    return p * (dp - (p * dp).sum(-1, keepdims=True))


@case(
    "xlite-dev/ffpa-attn#300",
    "cross attention with a causal mask",
    draw(q=(4, 5, 3), k=(2, 5, 3), v=(2, 5, 3)),
    Twin(
        "as reported",
        "mask|region|index|predicate",
        "q k v",
        "The backward aligns the mask at the top left, the forward bottom right.",
        witness=draw(q=(4, 3, 3), k=(2, 5, 3), v=(2, 5, 3)),
    ),
    kind="bug",
    name="cross_causal_attention ffpa-attn#300",
)
def cross_causal_attention(slip):
    def seen(q, k, shift):
        rows, columns = jnp.arange(q.shape[1]), jnp.arange(k.shape[1])
        return rows[:, None] + shift >= columns

    def scores(q, k):
        k = jnp.repeat(k, len(q) // len(k), 0)
        return jnp.einsum("hid,hjd->hij", q, k) / q.shape[-1] ** 0.5

    @jax.custom_vjp
    def attend(q, k, v):
        mask = seen(q, k, k.shape[1] - q.shape[1])
        return masked_softmax(scores(q, k), mask) @ jnp.repeat(v, len(q) // len(v), 0)

    def fwd(q, k, v):
        mask = seen(q, k, k.shape[1] - q.shape[1])
        lse = log_total(scores(q, k), mask)
        return attend.fun(q, k, v), (q, k, v, lse)

    def bwd(res, do):
        q, k, v, lse = res
        group = len(q) // len(k)
        mask = seen(q, k, 0 if slip else k.shape[1] - q.shape[1])
        p = jnp.exp(jnp.where(mask, scores(q, k) - lse[..., None], -jnp.inf))
        dp = jnp.einsum("hid,hjd->hij", do, jnp.repeat(v, group, 0))
        ds = softmax_pullback(p, dp) / q.shape[-1] ** 0.5
        dq = ds @ jnp.repeat(k, group, 0)
        dk = jnp.einsum("hij,hid->hjd", ds, q).reshape(-1, group, *k.shape[1:])
        dv = jnp.einsum("hij,hid->hjd", p, do).reshape(-1, group, *v.shape[1:])
        return dq, dk.sum(1), dv.sum(1)

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "triton-lang/triton#5660",
    "attention",
    lambda rng: (*draw(q=(6, 4), k=(6, 4), v=(6, 4))(rng), True, 0.5),
    Twin(
        "as reported",
        "mask|option|region|predicate",
        "q k v",
        "The backward goes over the causal half of the scores, whatever was asked.",
        witness=lambda rng: (*draw(q=(6, 4), k=(6, 4), v=(6, 4))(rng), False, 0.5),
    ),
    kind="bug",
    name="either_causal_attention triton#5660",
)
def either_causal_attention(slip):
    def scores(q, k, causal, scale):
        past = jnp.tril(jnp.ones((len(q), len(k)), bool))
        s = q @ k.T * scale
        return jnp.where(past, s, -jnp.inf) if causal else s

    def plain(q, k, v, causal, scale):
        return jax.nn.softmax(scores(q, k, causal, scale)) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(q, k, v, causal, scale):
        s = scores(q, k, causal, scale)
        lse = jax.nn.logsumexp(s, -1)
        o = jnp.exp(s - lse[:, None]) @ v
        return o, (q, k, v, o, lse)

    def bwd(causal, scale, res, do):
        q, k, v, o, lse = res
        delta = (do * o).sum(-1, keepdims=True)
        s = scores(q, k, causal or bool(slip), scale)
        p = jnp.exp(s - lse[:, None])
        ds = p * (do @ v.T - delta) * scale
        return ds @ k, ds.T @ q, p.T @ do

    attend.defvjp(fwd, bwd)
    return attend, plain


def batch_of(lengths):
    def args(rng):
        arrays = draw(q=(2, 6, 3), k=(2, 6, 3), v=(2, 6, 2))(rng)
        return *arrays, jnp.array(lengths, jnp.int32), 3, 1

    return args


@case(
    "XPU-Forces/mojo_opset#386",
    "attention with a window and global tokens",
    batch_of([6, 6]),
    Twin(
        "as reported",
        "mask|region|predicate",
        "q k v",
        "The causal window's mask leaves out the ends of the sequences.",
        witness=batch_of([6, 4]),
    ),
    kind="bug",
    name="padded_window_attention mojo_opset#386",
)
def padded_window_attention(slip):
    def window_mask(T, window, first):
        ago = jnp.arange(T)[:, None] - jnp.arange(T)
        return (ago >= 0) & ((ago < window) | (jnp.arange(T) < first))

    def inside(T, lengths):
        real = jnp.arange(T) < lengths[:, None]
        return real[:, :, None] & real[:, None]

    def plain(q, k, v, lengths, window, first):
        T = q.shape[1]
        seen = window_mask(T, window, first) & inside(T, lengths)
        return masked_softmax(q @ k.mT, seen) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(q, k, v, lengths, window, first):
        T = q.shape[1]
        seen = window_mask(T, window, first) & inside(T, lengths)
        lse = log_total(q @ k.mT, seen)
        return plain(q, k, v, lengths, window, first), (q, k, v, lengths, lse)

    def bwd(window, first, res, do):
        q, k, v, lengths, lse = res
        seen = window_mask(q.shape[1], window, first)[None]
        if not slip:
            seen = seen & inside(q.shape[1], lengths)
        p = jnp.exp(jnp.where(seen, q @ k.mT - lse[..., None], -jnp.inf))
        ds = softmax_pullback(p, do @ v.mT)
        return ds @ k, ds.mT @ q, p.mT @ do, None

    attend.defvjp(fwd, bwd)
    return attend, plain


def neighbours(rng):
    adjacent = rng.random((5, 5)) < 0.6
    adjacent[range(5), range(5)] = True
    kept = rng.random((5, 5)) < 0.7
    arrays = draw(z=(5, 3), source=(3,), target=(3,))(rng)
    return *arrays, jnp.asarray(adjacent), jnp.asarray(kept), 0.3


@case(
    "ooples/AiDotNet#1701",
    "graph attention",
    neighbours,
    Twin(
        "as reported",
        "operand|residual|mask|factor|path",
        "z source target",
        "The coefficients after dropout are taken for the softmax's output.",
    ),
    kind="bug",
    name="graph_attention AiDotNet#1701",
    scales=(0.1, 1.0),
)
def graph_attention(slip):
    def coefficients(z, source, target, adjacent, kept, rate):
        u = (z @ source)[:, None] + z @ target
        p = masked_softmax(jax.nn.leaky_relu(u, 0.2), adjacent)
        return u, p, jnp.where(kept, p / (1 - rate), 0)

    def plain(z, source, target, adjacent, kept, rate):
        return coefficients(z, source, target, adjacent, kept, rate)[2] @ z

    attend = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(z, source, target, adjacent, kept, rate):
        u, p, c = coefficients(z, source, target, adjacent, kept, rate)
        return c @ z, (z, source, target, kept, u, p, c)

    def bwd(rate, res, g):
        z, source, target, kept, u, p, c = res
        dc = g @ z.T
        if slip:
            de = softmax_pullback(c, dc)
        else:
            de = softmax_pullback(p, jnp.where(kept, dc / (1 - rate), 0))
        du = jnp.where(u >= 0, de, 0.2 * de)
        dsource, dtarget = du.sum(1), du.sum(0)
        dz = c.T @ g + jnp.outer(dsource, source) + jnp.outer(dtarget, target)
        return dz, dsource @ z, dtarget @ z, None, None

    attend.defvjp(fwd, bwd)
    return attend, plain


def packed(cap):
    def args(rng):
        ends = jnp.array([0, 3, 7], jnp.int32)
        return *draw(q=(7, 3), k=(7, 3), v=(7, 3))(rng), ends, cap

    return args


@case(
    "Dao-AILab/flash-attention#2544",
    "attention over packed sequences",
    packed(0.0),
    Twin(
        "as reported",
        "option|factor|function|term|operand",
        "q k",
        "The soft cap of the scores is not known to the backward of packed ones.",
        witness=packed(1.5),
    ),
    kind="bug",
    name="packed_softcap flash-attention#2544",
    scales=(0.1, 1.0, 3.0),
)
def packed_softcap(slip):
    def same(n, starts):
        owner = jnp.searchsorted(starts, jnp.arange(n), side="right")
        return owner[:, None] == owner

    def capped(q, k, cap):
        s = q @ k.T / q.shape[1] ** 0.5
        return cap * jnp.tanh(s / cap) if cap else s

    def plain(q, k, v, starts, cap):
        return masked_softmax(capped(q, k, cap), same(len(q), starts)) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, starts, cap):
        lse = log_total(capped(q, k, cap), same(len(q), starts))
        return plain(q, k, v, starts, cap), (q, k, v, starts, lse)

    def bwd(cap, res, do):
        q, k, v, starts, lse = res
        seen, s = same(len(q), starts), capped(q, k, cap)
        p = jnp.exp(jnp.where(seen, s - lse[:, None], -jnp.inf))
        ds = softmax_pullback(p, do @ v.T)
        if cap and not slip:
            ds = ds * (1 - (s / cap) ** 2)
        ds = ds / q.shape[1] ** 0.5
        return ds @ k, ds.T @ q, p.T @ do, None

    attend.defvjp(fwd, bwd)
    return attend, plain

"""Weights over keys, items and experts."""

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


def keys_of_length(length):
    def args(rng):
        q, k, v = normal(rng, 3, 4), normal(rng, 8, 4), normal(rng, 8, 5)
        return q, k, v, jnp.asarray(length, jnp.int32)

    return args


@case(
    "memory-efficient attention over chunks of keys (Rabe and Staats) in flax",
    "attention in chunks",
    keys_of_length(6),
    Twin(
        "padding in the backward",
        "mask",
        "q k v",
        "The keys behind the length are not masked when scores are made again.",
    ),
    Twin(
        "sum within the chunk",
        "sum|term|residual",
        "q k",
        "The row's sum of p dp is that of one chunk, not of the whole row.",
    ),
    Twin(
        "last chunk",
        "sum|index|residual",
        "q",
        "The gradient of the queries is that of the last chunk, not the sum.",
    ),
)
def chunked_key_attention(slip):
    size = 4

    def cut(x):
        return x.reshape(-1, size, x.shape[-1])

    def scores(q, k, start, length, masked=True):
        s = q @ k.T / q.shape[-1] ** 0.5
        seen = start + jnp.arange(len(k)) < length
        return jnp.where(seen | (not masked), s, -jnp.inf)

    def plain(q, k, v, length):
        return jax.nn.softmax(scores(q, k, 0, length)) @ v

    def forward(q, k, v, length):
        def step(carry, chunk):
            top, total, out = carry
            kc, vc, start = chunk
            s = scores(q, kc, start, length)
            new = jnp.maximum(top, s.max(-1))
            p, shrink = jnp.exp(s - new[:, None]), jnp.exp(top - new)
            out = out * shrink[:, None] + p @ vc
            return (new, total * shrink + p.sum(-1), out), None

        zero = jnp.zeros_like(q[:, 0])
        start = (zero - jnp.inf, zero, zero[:, None] * v[:1])
        chunks = cut(k), cut(v), jnp.arange(0, len(k), size)
        (top, total, out), _ = lax.scan(step, start, chunks)
        return out / total[:, None], top + jnp.log(total)

    @jax.custom_vjp
    def attend(q, k, v, length):
        return forward(q, k, v, length)[0]

    def fwd(q, k, v, length):
        out, log_total = forward(q, k, v, length)
        return out, (q, k, v, length, out, log_total)

    def bwd(res, g):
        q, k, v, length, out, log_total = res
        row = (g * out).sum(-1, keepdims=True)

        def step(dq, chunk):
            kc, vc, start = chunk
            s = scores(q, kc, start, length, slip != "padding in the backward")
            p = jnp.exp(s - log_total[:, None])
            dp = g @ vc.T
            mean = row
            if slip == "sum within the chunk":
                mean = (p * dp).sum(-1, keepdims=True)
            ds = p * (dp - mean) / q.shape[-1] ** 0.5
            dq = ds @ kc if slip == "last chunk" else dq + ds @ kc
            return dq, (ds.T @ q, p.T @ g)

        chunks = cut(k), cut(v), jnp.arange(0, len(k), size)
        dq, (dk, dv) = lax.scan(step, jnp.zeros_like(q), chunks)
        return dq, dk.reshape(k.shape), dv.reshape(v.shape), None

    attend.defvjp(fwd, bwd)
    return attend, plain


@case(
    "multi-query attention in PaLM's and Falcon's flax ports",
    "attention with shared keys",
    lambda rng: (normal(rng, 5, 3, 4), normal(rng, 5, 4), normal(rng, 5, 4)),
    Twin(
        "heads averaged",
        "factor|ratio|sum",
        "k",
        "The keys are shared by the heads, their gradient is the mean over them.",
    ),
    Twin(
        "future keys",
        "mask",
        "q k v",
        "When the weights are made again the causal mask is left out.",
    ),
    Twin(
        "scale once",
        "factor|ratio",
        "q k",
        "The scale of the scores is applied forward, not backward.",
    ),
)
def multi_query_attention(slip):
    def weights(q, k, causal=True):
        s = jnp.einsum("thd,sd->hts", q, k) / jnp.sqrt(q.shape[-1]).astype(q.dtype)
        seen = jnp.tril(jnp.ones(s.shape[1:], bool))
        return jax.nn.softmax(jnp.where(seen | (not causal), s, -jnp.inf))

    @jax.custom_vjp
    def attend(q, k, v):
        return jnp.einsum("hts,sd->thd", weights(q, k), v)

    def fwd(q, k, v):
        return attend(q, k, v), (q, k, v)

    def bwd(res, g):
        q, k, v = res
        p = weights(q, k, slip != "future keys")
        dp = jnp.einsum("thd,sd->hts", g, v)
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        if slip != "scale once":
            ds = ds / jnp.sqrt(q.shape[-1]).astype(q.dtype)
        dk = jnp.einsum("hts,thd->sd", ds, q)
        if slip == "heads averaged":
            dk = dk / q.shape[1]
        dq = jnp.einsum("hts,sd->thd", ds, k)
        return dq, dk, jnp.einsum("hts,thd->sd", p, g)

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def clicks(rng):
    params = {
        "hidden": normal(rng, 12, 5, std=0.4),
        "bias": normal(rng, 5, std=0.3),
        "out": normal(rng, 5),
    }
    mask = jnp.asarray([True, True, True, True, False, False])
    return normal(rng, 3), normal(rng, 6, 3), mask, params


@case(
    "the activation unit of the Deep Interest Network in recommender libraries",
    "attention of an item to a history",
    clicks,
    Twin(
        "weights alone",
        "term|path",
        "history",
        "The history gets the part of the weighted sum, not that of its weights.",
    ),
    Twin(
        "padding",
        "mask",
        "item history params",
        "The weights' cotangent of the padding is not masked.",
    ),
    Twin(
        "product with itself",
        "operand|swap|factor",
        "item",
        "The feature item * history is pulled back to the item with the item.",
    ),
)
def din_attention(slip):
    def features(item, history):
        item = jnp.broadcast_to(item, history.shape)
        pairs = [item, history, item - history, item * history]
        return jnp.concatenate(pairs, -1)

    def hidden(item, history, params):
        f = features(item, history)
        return f, jnp.tanh(f @ params["hidden"] + params["bias"])

    @jax.custom_vjp
    def attend(item, history, mask, params):
        weight = hidden(item, history, params)[1] @ params["out"]
        return jnp.where(mask, weight, 0) @ history

    def fwd(item, history, mask, params):
        return attend(item, history, mask, params), (item, history, mask, params)

    def bwd(res, g):
        item, history, mask, params = res
        f, h = hidden(item, history, params)
        weight = jnp.where(mask, h @ params["out"], 0)
        dweight = history @ g
        if slip != "padding":
            dweight = jnp.where(mask, dweight, 0)
        dh = dweight[:, None] * params["out"] * (1 - h**2)
        ditem, dhist, dminus, dtimes = jnp.split(dh @ params["hidden"].T, 4, -1)
        through = dhist - dminus + dtimes * item
        dhistory = weight[:, None] * g
        if slip != "weights alone":
            dhistory = dhistory + through
        other = item if slip == "product with itself" else history
        ditem = (ditem + dminus + dtimes * other).sum(0)
        dparams = {"hidden": f.T @ dh, "bias": dh.sum(0), "out": dweight @ h}
        return ditem, dhistory, None, dparams

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def tasks(rng):
    x, experts = normal(rng, 4, 6), normal(rng, 3, 6, 5, std=0.4)
    return x, experts, normal(rng, 2, 6, 3, std=0.5)


@case(
    "multi-gate mixture of experts (MMoE) in recommender libraries",
    "mixture of experts for several tasks",
    tasks,
    Twin(
        "gates' path",
        "term|path",
        "x",
        "The input gets the experts' part, not that of the gates.",
    ),
    Twin(
        "diagonal of softmax",
        "term",
        "x gates",
        "The gates' softmax is pulled back by its diagonal.",
    ),
    Twin(
        "first task",
        "sum|index",
        "experts",
        "The experts learn from the first task only.",
    ),
)
def mmoe_gate(slip):
    def parts(x, experts, gates):
        value = jax.nn.relu(jnp.einsum("bi,eio->beo", x, experts))
        return value, jax.nn.softmax(jnp.einsum("bi,tie->bte", x, gates))

    @jax.custom_vjp
    def mix(x, experts, gates):
        value, share = parts(x, experts, gates)
        return jnp.einsum("bte,beo->tbo", share, value)

    def fwd(x, experts, gates):
        value, share = parts(x, experts, gates)
        out = jnp.einsum("bte,beo->tbo", share, value)
        return out, (x, experts, gates, value, share)

    def bwd(res, g):
        x, experts, gates, value, share = res
        dvalue = jnp.einsum("tbo,bte->beo", g, share) * (value > 0)
        seen = dvalue
        if slip == "first task":
            seen = jnp.einsum("bo,be->beo", g[0], share[:, 0]) * (value > 0)
        dshare = jnp.einsum("tbo,beo->bte", g, value)
        ds = share * (dshare - (share * dshare).sum(-1, keepdims=True))
        if slip == "diagonal of softmax":
            ds = share * (1 - share) * dshare
        dx = jnp.einsum("beo,eio->bi", dvalue, experts)
        if slip != "gates' path":
            dx = dx + jnp.einsum("bte,tie->bi", ds, gates)
        dexperts = jnp.einsum("beo,bi->eio", seen, x)
        return dx, dexperts, jnp.einsum("bte,bi->tie", ds, x)

    mix.defvjp(fwd, bwd)
    return mix, mix.fun

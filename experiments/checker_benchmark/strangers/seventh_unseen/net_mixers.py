"""Mixing of tokens: masks of a prefix, projected keys, decays, and a block remade."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def softmax_back(p, dp):
    return p * (dp - (p * dp).sum(-1, keepdims=True))


def prefixes(rng):
    q, k, v = draw(q=(2, 5, 2, 3), k=(2, 5, 2, 3), v=(2, 5, 2, 4))(rng)
    return q, k, v, jnp.asarray([3, 1], jnp.int32)


@case(
    "prefix-LM attention of T5X and PaliGemma (big_vision)",
    "attention with a mask",
    prefixes,
    Twin(
        "causal on the way back",
        "mask",
        "q k v",
        "Within the prefix the later tokens are masked in the backward.",
    ),
    Twin(
        "first prefix",
        "mask|index",
        "q k v",
        "The prefix of the first example is that of all in the backward.",
    ),
    Twin(
        "queries for keys",
        "swap|transpose",
        "k",
        "The keys' gradient sums over keys and not over queries.",
    ),
)
def prefix_lm_attention(slip):
    def weights(q, k, prefix):
        s = jnp.einsum("bthd,bshd->bhts", q, k) * q.shape[-1] ** -0.5
        at = jnp.arange(q.shape[1])
        early = at[None, None] < prefix[:, None, None]
        seen = (at[None] <= at[:, None])[None] | early
        return jax.nn.softmax(jnp.where(seen[:, None], s, -jnp.inf))

    @jax.custom_vjp
    def attend(q, k, v, prefix):
        return jnp.einsum("bhts,bshd->bthd", weights(q, k, prefix), v)

    def fwd(q, k, v, prefix):
        return attend(q, k, v, prefix), (q, k, v, prefix)

    def bwd(res, g):
        q, k, v, prefix = res
        if slip == "causal on the way back":
            prefix = jnp.zeros_like(prefix)
        if slip == "first prefix":
            prefix = jnp.full_like(prefix, prefix[0])
        p = weights(q, k, prefix)
        dv = jnp.einsum("bhts,bthd->bshd", p, g)
        dp = jnp.einsum("bthd,bshd->bhts", g, v)
        ds = softmax_back(p, dp) * q.shape[-1] ** -0.5
        dq = jnp.einsum("bhts,bshd->bthd", ds, k)
        if slip == "queries for keys":
            return dq, jnp.einsum("bhts,bshd->bthd", ds, q), dv, None
        return dq, jnp.einsum("bhts,bthd->bshd", ds, q), dv, None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "Linformer with one projection for keys and values, in flax ports",
    "attention with projected keys",
    draw(q=(6, 4), k=(6, 4), v=(6, 3), project=(6, 2)),
    Twin(
        "values' part",
        "term|path",
        "project",
        "The shared projection learns from the keys only.",
    ),
    Twin(
        "scale",
        "factor|ratio",
        "k",
        "The keys' gradient has the scale of the scores twice.",
    ),
)
def linformer_attention(slip):
    def weights(q, short):
        return jax.nn.softmax(q @ short.T / q.shape[-1] ** 0.5)

    @jax.custom_vjp
    def attend(q, k, v, project):
        return weights(q, project.T @ k) @ (project.T @ v)

    def fwd(q, k, v, project):
        return attend(q, k, v, project), (q, k, v, project)

    def bwd(res, g):
        q, k, v, project = res
        short_k, short_v = project.T @ k, project.T @ v
        p = weights(q, short_k)
        scale = q.shape[-1] ** -0.5
        ds = softmax_back(p, g @ short_v.T) * scale
        dshort_k, dshort_v = ds.T @ q, p.T @ g
        dproject = k @ dshort_k.T
        if slip != "values' part":
            dproject = dproject + v @ dshort_v.T
        dk = project @ dshort_k
        if slip == "scale":
            dk = dk * scale
        return ds @ short_k, dk, project @ dshort_v, dproject

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def decaying(rng):
    x, b, c = draw(x=(6, 3), b=(6, 4), c=(6, 4))(rng)
    return x, -positive(rng, 6, low=0.1, high=0.8), b, c


@case(
    "the quadratic form of Mamba-2 within a chunk (SSD) in JAX ports",
    "state space",
    decaying,
    Twin(
        "columns of the decay",
        "term|sign",
        "log_decay",
        "The differences of the cumulative sum: the subtracted part is forgotten.",
    ),
    Twin(
        "running sum forwards",
        "transpose|index|function",
        "log_decay",
        "The cumulative sum is pulled back by a cumulative sum in the same direction.",
    ),
    Twin(
        "decay left out",
        "factor|operand",
        "c",
        "C's gradient is that of the products without the decays.",
    ),
)
def ssd_chunk(slip):
    def decays(log_decay):
        total = jnp.cumsum(log_decay)
        causal = jnp.tril(jnp.ones((len(total),) * 2, bool))
        gap = jnp.where(causal, total[:, None] - total, -jnp.inf)
        return causal, jnp.exp(gap)

    @jax.custom_vjp
    def mix(x, log_decay, b, c):
        return (decays(log_decay)[1] * (c @ b.T)) @ x

    def fwd(x, log_decay, b, c):
        return mix(x, log_decay, b, c), dict(x=x, a=log_decay, b=b, c=c)

    def bwd(res, g):
        x, b, c = res["x"], res["b"], res["c"]
        causal, decay = decays(res["a"])
        products = c @ b.T
        dm = g @ x.T
        ds = dm * decay
        dgap = ds * products
        dtotal = dgap.sum(1)
        if slip != "columns of the decay":
            dtotal = dtotal - dgap.sum(0)
        backwards = slip != "running sum forwards"
        da = lax.cumsum(dtotal, reverse=backwards)
        dc = ds @ b
        if slip == "decay left out":
            dc = jnp.where(causal, dm, 0) @ b
        return (decay * products).T @ g, da, ds.T @ c, dc

    mix.defvjp(fwd, bwd)
    return mix, mix.fun


def gated(rng):
    return normal(rng, 5, 3), normal(rng, 5, 3), positive(rng, 3, low=0.1, high=0.8)


@case(
    "HGRN with lower bounds of its forget gates, in flash-linear-attention",
    "recurrence",
    gated,
    Twin(
        "input's share",
        "term|path",
        "z floor",
        "The input is multiplied by one minus the gate, that part is forgotten.",
    ),
    Twin(
        "range of the gate",
        "factor|ratio",
        "z",
        "The gate runs from its floor to one: the length of that range is left out.",
    ),
    Twin(
        "gate of the next step",
        "index|shift",
        "inputs z floor",
        "The state's cotangent goes back through the gate of one step before.",
    ),
    fixed=(2,),
)
def hgrn_scan(slip):
    def gates(z, floor):
        return floor + (1 - floor) * jax.nn.sigmoid(z)

    def run(inputs, f):
        def step(h, at):
            x, keep = at
            new = keep * h + (1 - keep) * x
            return new, (h, new)

        return lax.scan(step, jnp.zeros_like(inputs[0]), (inputs, f))[1]

    @jax.custom_vjp
    def recur(inputs, z, floor):
        return run(inputs, gates(z, floor))[1]

    def fwd(inputs, z, floor):
        before, h = run(inputs, gates(z, floor))
        return h, (inputs, z, floor, before)

    def bwd(res, g):
        inputs, z, floor, before = res
        f = gates(z, floor)
        back = f
        if slip == "gate of the next step":
            back = jnp.concatenate([f[:1], f[:-1]])

        def step(dh, at):
            gh, keep = at
            dh = dh + gh
            return dh * keep, dh

        dh = lax.scan(step, jnp.zeros_like(g[0]), (g, back), reverse=True)[1]
        df = dh * (before if slip == "input's share" else before - inputs)
        s = jax.nn.sigmoid(z)
        wide = 1 if slip == "range of the gate" else 1 - floor
        return dh * (1 - f), df * wide * s * (1 - s), (df * (1 - s)).sum(0)

    recur.defvjp(fwd, bwd)
    return recur, recur.fun

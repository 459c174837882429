"""Attention with other maps, gates, scales and tables of distances."""

import jax
import jax.numpy as jnp
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
    "forgetting transformer: softmax attention with forget gates, in JAX ports",
    "attention with decay",
    lambda rng: (*draw(q=(2, 6, 4), k=(2, 6, 4), v=(2, 6, 3))(rng), normal(rng, 2, 6)),
    Twin(
        "from the start",
        "index|sum|transpose|axis|region",
        "gates",
        "The cumulative sum is pulled back by a cumulative sum, not by a reversed one.",
    ),
    Twin(
        "own gate",
        "index|term|region",
        "gates",
        "The reversed sum leaves out the gate's own place.",
    ),
    Twin(
        "slope of the logarithm",
        "function|operand|ratio",
        "gates",
        "The derivative of log-sigmoid is taken for the sigmoid of the gate.",
    ),
)
def forgetting_attention(slip):
    def probabilities(q, k, gates):
        total = jnp.cumsum(jax.nn.log_sigmoid(gates), -1)
        scores = jnp.einsum("htd,hsd->hts", q, k) * q.shape[-1] ** -0.5
        scores = scores + (total[:, :, None] - total[:, None])
        seen = jnp.tril(jnp.ones(scores.shape[1:], bool))
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))

    @jax.custom_vjp
    def attend(q, k, v, gates):
        return probabilities(q, k, gates) @ v

    def fwd(q, k, v, gates):
        p = probabilities(q, k, gates)
        o = p @ v
        return o, (q, k, v, gates, p, o)

    def bwd(res, g):
        q, k, v, gates, p, o = res
        dp = jnp.einsum("htd,hsd->hts", g, v)
        ds = p * (dp - (g * o).sum(-1, keepdims=True))
        dtotal = ds.sum(2) - ds.sum(1)
        if slip == "from the start":
            dlog = jnp.cumsum(dtotal, -1)
        else:
            dlog = jnp.flip(jnp.cumsum(jnp.flip(dtotal, -1), -1), -1)
        if slip == "own gate":
            dlog = dlog - dtotal
        at = gates if slip == "slope of the logarithm" else -gates
        ds = ds * q.shape[-1] ** -0.5
        dq = jnp.einsum("hts,hsd->htd", ds, k)
        dk = jnp.einsum("hts,htd->hsd", ds, q)
        dv = jnp.einsum("hts,htd->hsd", p, g)
        return dq, dk, dv, dlog * jax.nn.sigmoid(at)

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def decoder_state(rng):
    params = {"q": normal(rng, 4, 5), "k": normal(rng, 3, 5), "v": normal(rng, 5)}
    lengths = jnp.array([6, 4])
    return normal(rng, 2, 4), normal(rng, 2, 6, 3), params, lengths


@case(
    "additive attention (Bahdanau) in flax translation and speech decoders",
    "attention with two outputs",
    decoder_state,
    Twin(
        "cotangent of the weights",
        "term|path|cotangent",
        "query memory params",
        "The weights are an output as well, their cotangent is not used.",
    ),
    Twin(
        "slope of the tanh",
        "function|operand|residual",
        "query memory params",
        "The slope is taken at what goes into the tanh as if it had come out.",
    ),
    Twin(
        "memory as values",
        "term|path",
        "memory",
        "The memory gets the gradient of the keys and not that of the mean.",
    ),
)
def additive_attention(slip):
    def pieces(query, memory, params, lengths):
        z = (query @ params["q"])[:, None] + memory @ params["k"]
        scores = jnp.tanh(z) @ params["v"]
        real = jnp.arange(scores.shape[1]) < lengths[:, None]
        high = jnp.where(real, scores, -jnp.inf).max(1, keepdims=True)
        high = lax.stop_gradient(jnp.where(jnp.isfinite(high), high, 0))
        e = jnp.where(real, jnp.exp(jnp.where(real, scores - high, 0)), 0)
        total = e.sum(1, keepdims=True)
        return z, e / jnp.where(total > 0, total, 1)

    @jax.custom_vjp
    def attend(query, memory, params, lengths):
        p = pieces(query, memory, params, lengths)[1]
        return jnp.einsum("bt,btd->bd", p, memory), p

    def fwd(query, memory, params, lengths):
        z, p = pieces(query, memory, params, lengths)
        context = jnp.einsum("bt,btd->bd", p, memory)
        return (context, p), (query, memory, params, z, p)

    def bwd(res, g):
        query, memory, params, z, p = res
        dcontext, dweights = g
        dp = jnp.einsum("bd,btd->bt", dcontext, memory)
        if slip != "cotangent of the weights":
            dp = dp + dweights
        ds = p * (dp - (p * dp).sum(1, keepdims=True))
        t = jnp.tanh(z)
        seen = z if slip == "slope of the tanh" else t
        dz = ds[..., None] * params["v"] * (1 - seen * seen)
        dmemory = dz @ params["k"].T
        if slip != "memory as values":
            dmemory = dmemory + p[..., None] * dcontext[:, None]
        dparams = {
            "q": query.T @ dz.sum(1),
            "k": jnp.einsum("btd,btk->dk", memory, dz),
            "v": jnp.einsum("bt,btk->k", ds, t),
        }
        return dz.sum(1) @ params["q"].T, dmemory, dparams, None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def frames(rng):
    lengths = jnp.array([7, 5])
    return normal(rng, 2, 7, 3), normal(rng, 2, 7, 3), lengths


@case(
    "attentive statistics pooling of speaker embeddings (ECAPA) in JAX ports",
    "pooling",
    frames,
    Twin(
        "scores see the mean",
        "term|path",
        "scores",
        "The weights' part in the deviation is forgotten.",
    ),
    Twin(
        "half",
        "ratio|factor",
        "x scores",
        "The root's derivative lacks its half.",
    ),
    Twin(
        "centred by the plain mean",
        "operand|residual|sum",
        "x scores",
        "The deviations are from the mean of the frames without weights.",
    ),
    narrow=False,
)
def attentive_stats_pool(slip):
    eps = 1e-5

    def pieces(x, scores, lengths):
        real = (jnp.arange(x.shape[1]) < lengths[:, None])[..., None]
        w = jax.nn.softmax(jnp.where(real, scores, -1e30), axis=1)
        mean = (w * x).sum(1, keepdims=True)
        var = (w * (x - mean) ** 2).sum(1, keepdims=True)
        return real, w, mean, var, jnp.sqrt(jnp.where(var > eps, var, eps))

    @jax.custom_vjp
    def pool(x, scores, lengths):
        _, _, mean, _, std = pieces(x, scores, lengths)
        return jnp.concatenate([mean[:, 0], std[:, 0]], -1)

    def fwd(x, scores, lengths):
        return pool.fun(x, scores, lengths), (x, scores, lengths)

    def bwd(res, g):
        x, scores, lengths = res
        real, w, mean, var, std = pieces(x, scores, lengths)
        gmean, gstd = jnp.split(g[:, None], 2, -1)
        root = std if slip == "half" else 2 * std
        dvar = jnp.where(var > eps, gstd / root, 0)
        if slip == "centred by the plain mean":
            mean = x.mean(1, keepdims=True)
        off = x - mean
        dx = w * (gmean + 2 * dvar * off)
        dw = gmean * off
        if slip != "scores see the mean":
            dw = dw + dvar * off * off
        dscores = w * (dw - (w * dw).sum(1, keepdims=True))
        return dx, jnp.where(real, dscores, 0), None

    pool.defvjp(fwd, bwd)
    return pool, pool.fun

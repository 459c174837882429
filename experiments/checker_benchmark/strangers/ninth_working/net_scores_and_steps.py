"""Scores of boxes and of places, a deep graph layer, a step with a mask."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def anchors(rng):
    hit = jnp.asarray(rng.random((6, 3)) < 0.4)
    return normal(rng, 6, 3), positive(rng, 6, 3, low=0.1, high=0.9), hit, 0.75, 2.0


@case(
    "varifocal loss of mmdetection in jax ports",
    "detection loss",
    anchors,
    Twin(
        "weight constant",
        "term|path",
        "logits",
        "The negatives' weight is taken as a constant.",
    ),
    Twin(
        "quality once",
        "factor|term|ratio",
        "quality",
        "The quality's gradient lacks that of the weight before the entropy.",
    ),
    Twin(
        "alpha of the positives",
        "option|factor|ratio",
        "logits",
        "The positives are weighed by alpha as well.",
    ),
    fixed=(1,),
)
def varifocal_loss(slip):
    def plain(logits, quality, hit, alpha, focus):
        entropy = jax.nn.softplus(logits) - quality * logits
        miss = alpha * jax.nn.sigmoid(logits) ** focus * jax.nn.softplus(logits)
        each = jnp.where(hit, quality * entropy, miss)
        return each.sum() / jnp.maximum(hit.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(logits, quality, hit, alpha, focus):
        value = plain(logits, quality, hit, alpha, focus)
        return value, (logits, quality, hit)

    def bwd(alpha, focus, res, g):
        logits, quality, hit = res
        g = (g / jnp.maximum(hit.sum(), 1)).astype(logits.dtype)
        p, soft = jax.nn.sigmoid(logits), jax.nn.softplus(logits)
        bend = focus * jax.nn.sigmoid(-logits) * soft
        if slip == "weight constant":
            bend = 0
        pull = quality * (p - quality)
        if slip == "alpha of the positives":
            pull = alpha * pull
        d = jnp.where(hit, pull, alpha * p**focus * (p + bend))
        dquality = -quality * logits
        if slip != "quality once":
            dquality = dquality + soft - quality * logits
        return g * d, g * jnp.where(hit, dquality, 0), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def citations(rng):
    edges = {"from": integers(rng, 5, 9), "to": integers(rng, 5, 9)}
    return normal(rng, 5, 4), normal(rng, 5, 4), normal(rng, 4, 4), edges, 0.2, 0.4


@case(
    "GCNII with its initial residual and identity map in jraph ports",
    "graph layer with two residuals",
    citations,
    Twin(
        "edges not turned",
        "transpose|swap|index",
        "h",
        "The cotangent runs along the edges as the signal does.",
    ),
    Twin(
        "identity map",
        "term|path|option",
        "h start",
        "The part of the identity is left out beside the weights.",
    ),
    Twin(
        "initial share",
        "factor|option|swap|ratio",
        "start",
        "The initial residual gets the share of the neighbours.",
    ),
)
def gcnii_layer(slip):
    def spread(x, edges, turned=False):
        a, b = edges["from"], edges["to"]
        degree = jnp.ones(len(x), x.dtype).at[b].add(1)
        if turned:
            a, b = b, a
        x = jax.lax.rsqrt(degree)[:, None] * x
        return jax.lax.rsqrt(degree)[:, None] * x.at[b].add(x[a])

    def mixed(h, start, edges, alpha):
        return (1 - alpha) * spread(h, edges) + alpha * start

    def plain(h, start, w, edges, alpha, beta):
        m = mixed(h, start, edges, alpha)
        return jax.nn.relu((1 - beta) * m + beta * m @ w)

    layer = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(h, start, w, edges, alpha, beta):
        y = plain(h, start, w, edges, alpha, beta)
        return y, (h, start, w, edges, y > 0)

    def bwd(alpha, beta, res, g):
        h, start, w, edges, alive = res
        g = jnp.where(alive, g, 0)
        dm = beta * g @ w.T
        if slip != "identity map":
            dm = dm + (1 - beta) * g
        dw = beta * mixed(h, start, edges, alpha).T @ g
        dh = (1 - alpha) * spread(dm, edges, turned=slip != "edges not turned")
        dstart = (1 - alpha if slip == "initial share" else alpha) * dm
        none = {k: np.zeros(v.shape, jax.dtypes.float0) for k, v in edges.items()}
        return dh, dstart, dw, none

    layer.defvjp(fwd, bwd)
    return layer, plain


def letters(rng):
    params = {
        "query": normal(rng, 3, 5, std=0.5),
        "filter": normal(rng, 3, 5, std=0.5),
        "out": normal(rng, 5),
    }
    before = jax.nn.softmax(normal(rng, 6))
    return params, normal(rng, 3), normal(rng, 6, 5), before


@case(
    "location-sensitive attention of Tacotron 2 in flax ports",
    "attention with two outputs",
    letters,
    Twin(
        "alignment not handed on",
        "cotangent|term",
        "params query memory before",
        "The cotangent of the new alignment is ignored.",
    ),
    Twin(
        "filter not reversed",
        "transpose|index|sign",
        "before",
        "The old alignment gets the filter as it is, not its mirror image.",
    ),
    Twin(
        "memory as value",
        "term|path",
        "memory",
        "The memory's part as the key is left out.",
    ),
    fixed=(3,),
)
def location_attention(slip):
    def windows(x, size):
        reach = size // 2
        padded = jnp.pad(x, [(reach, size - 1 - reach)] + [(0, 0)] * (x.ndim - 1))
        return jnp.stack([padded[i : i + len(x)] for i in range(size)])

    def pieces(params, query, memory, before):
        seen = windows(before, len(params["filter"]))
        u = jnp.tanh(query @ params["query"] + memory + seen.T @ params["filter"])
        return seen, u, jax.nn.softmax(u @ params["out"])

    def plain(params, query, memory, before):
        p = pieces(params, query, memory, before)[2]
        return p @ memory, p

    attend = jax.custom_vjp(plain)

    def fwd(params, query, memory, before):
        return plain(params, query, memory, before), (params, query, memory, before)

    def bwd(res, cot):
        params, query, memory, before = res
        seen, u, p = pieces(params, query, memory, before)
        dp = memory @ cot[0]
        if slip != "alignment not handed on":
            dp = dp + cot[1]
        de = p * (dp - p @ dp)
        da = de[:, None] * params["out"] * (1 + u) * (1 - u)
        dquery = da.sum(0)
        taps = da @ params["filter"].T
        size, reach = taps.shape[1], taps.shape[1] // 2
        if slip == "filter not reversed":
            taps = taps[:, ::-1]
        wide = jnp.zeros(len(before) + size - 1, taps.dtype)
        for i in range(size):
            wide = wide.at[i : i + len(before)].add(taps[:, i])
        dmemory = jnp.outer(p, cot[0])
        if slip != "memory as value":
            dmemory = dmemory + da
        dparams = {
            "query": jnp.outer(query, dquery),
            "filter": seen @ da,
            "out": u.T @ de,
        }
        dbefore = wide[reach : reach + len(before)]
        return dparams, params["query"] @ dquery, dmemory, dbefore

    attend.defvjp(fwd, bwd)
    return attend, plain


def cautious(rng):
    state = {"m": normal(rng, 7), "v": positive(rng, 7)}
    return normal(rng, 7), state, normal(rng, 7)


@case(
    "cautious Adam (Liang et al.) in timm and optax, unrolled",
    "optimiser's step with a mask",
    cautious,
    Twin(
        "held back as well",
        "mask|zero|region",
        "state grads",
        "Entries that are held back are pulled back as if they had moved.",
    ),
    Twin(
        "share of movers",
        "factor|ratio|term",
        "state grads",
        "The step's division by the share of movers is left out.",
    ),
    Twin(
        "squared gradient",
        "term|path",
        "grads",
        "The gradient's part in the second moment is left out.",
    ),
)
def cautious_step(slip):
    lr, b1, b2 = 0.1, 0.8, 0.9

    def moments(state, grads):
        m = b1 * state["m"] + (1 - b1) * grads
        v = b2 * state["v"] + (1 - b2) * grads**2
        goes = (m * grads > 0).astype(m.dtype)
        return m, v, goes / jnp.maximum(goes.mean(), 1e-3)

    @jax.custom_vjp
    def step(params, state, grads):
        m, v, goes = moments(state, grads)
        return params - lr * goes * m / jnp.sqrt(v + 1e-6), {"m": m, "v": v}

    def fwd(params, state, grads):
        return step.fun(params, state, grads), (state, grads)

    def bwd(res, cot):
        m, v, goes = moments(*res)
        if slip == "held back as well":
            goes = jnp.full_like(goes, goes.max())
        elif slip == "share of movers":
            goes = (goes > 0).astype(m.dtype)
        dmove = -lr * goes * cot[0] / jnp.sqrt(v + 1e-6)
        dm = cot[1]["m"] + dmove
        dv = cot[1]["v"] - dmove * m / (2 * (v + 1e-6))
        dgrads = (1 - b1) * dm
        if slip != "squared gradient":
            dgrads = dgrads + 2 * (1 - b2) * dv * res[1]
        return cot[0], {"m": b1 * dm, "v": b2 * dv}, dgrads

    step.defvjp(fwd, bwd)
    return step, step.fun

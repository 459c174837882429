"""Attention with two softmaxes, windows, seeds, copies and locations."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def through_softmax(p, dp, axis=-1):
    return p * (dp - (p * dp).sum(axis, keepdims=True))


def padded_batch(rng):
    q, k, v = draw(q=(2, 5, 4), k=(2, 7, 4), v=(2, 7, 3))(rng)
    return q, k, v, jnp.array([7, 4], jnp.int32)


@case(
    "efficient attention (Shen et al.) in diffusers and lucidrains' packages",
    "attention with a softmax of each side",
    padded_batch,
    Twin(
        "features of the keys",
        "index|sum|axis",
        "k",
        "The softmax of the keys is pulled back over features, not over positions.",
    ),
    Twin(
        "row term",
        "term",
        "q",
        "The softmax of the queries is pulled back as if it were elementwise.",
    ),
)
def efficient_attention(slip):
    def maps(q, k, lengths):
        seen = (jnp.arange(k.shape[1]) < lengths[:, None])[..., None]
        rows = jax.nn.softmax(q, -1)
        return rows, jax.nn.softmax(jnp.where(seen, k, -1e30), 1), seen

    @jax.custom_vjp
    def attend(q, k, v, lengths):
        p, r, _ = maps(q, k, lengths)
        return p @ jnp.einsum("bmk,bmv->bkv", r, v)

    def fwd(q, k, v, lengths):
        return attend.fun(q, k, v, lengths), (q, k, v, lengths)

    def bwd(res, g):
        q, k, v, lengths = res
        p, r, seen = maps(q, k, lengths)
        context = jnp.einsum("bmk,bmv->bkv", r, v)
        dp = jnp.einsum("bnv,bkv->bnk", g, context)
        dcontext = jnp.einsum("bnk,bnv->bkv", p, g)
        dr = jnp.einsum("bmv,bkv->bmk", v, dcontext)
        dq = p * dp if slip == "row term" else through_softmax(p, dp)
        axis = -1 if slip == "features of the keys" else 1
        dk = jnp.where(seen, through_softmax(r, dr, axis), 0)
        return dq, dk, jnp.einsum("bmk,bkv->bmv", r, dcontext), None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def neighbourhood_inputs(rng):
    q, k, v = draw(q=(2, 8, 3), k=(2, 8, 3), v=(2, 8, 3))(rng)
    return q, k, v, normal(rng, 2, 9, std=0.3), 5


@case(
    "neighbourhood attention of NATTEN",
    "attention of windows that stay inside",
    neighbourhood_inputs,
    Twin(
        "last window wins",
        "duplicates|index|sum",
        "k v",
        "A key that is in several windows keeps the gradient of one of them.",
    ),
    Twin(
        "centred windows",
        "index|edge",
        "k v",
        "In the backward the windows at the ends stay centred and are clipped.",
    ),
    Twin(
        "mirrored offsets",
        "index|transpose|sign",
        "bias",
        "The bias's gradient lies at the opposite offset.",
    ),
)
def neighbourhood_attention(slip):
    def windows(length, kernel):
        size = min(kernel, length)
        i = jnp.arange(length)[:, None]
        at = jnp.clip(i - kernel // 2, 0, length - size) + jnp.arange(size)
        return at, at - i + kernel - 1

    def weights(q, k, bias, kernel):
        at, offset = windows(q.shape[1], kernel)
        s = jnp.einsum("hid,hijd->hij", q, k[:, at]) * q.shape[-1] ** -0.5
        return jax.nn.softmax(s + bias[:, offset])

    def plain(q, k, v, bias, kernel):
        at, _ = windows(q.shape[1], kernel)
        return jnp.einsum("hij,hijd->hid", weights(q, k, bias, kernel), v[:, at])

    attend = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(q, k, v, bias, kernel):
        return plain(q, k, v, bias, kernel), (q, k, v, bias)

    def bwd(kernel, res, g):
        q, k, v, bias = res
        at, offset = windows(q.shape[1], kernel)
        p = weights(q, k, bias, kernel)
        ds = through_softmax(p, jnp.einsum("hid,hijd->hij", g, v[:, at]))
        scale = q.shape[-1] ** -0.5
        to = at
        if slip == "centred windows":
            shift = jnp.arange(q.shape[1])[:, None] - kernel // 2
            to = jnp.clip(shift + jnp.arange(at.shape[1]), 0, q.shape[1] - 1)

        def spread(like, pairs):
            slots = jnp.zeros_like(like).at[:, to]
            return slots.set(pairs) if slip == "last window wins" else slots.add(pairs)

        dq = jnp.einsum("hij,hijd->hid", ds, k[:, at]) * scale
        dk = spread(k, ds[..., None] * q[:, :, None] * scale)
        dv = spread(v, p[..., None] * g[:, :, None])
        if slip == "mirrored offsets":
            offset = 2 * kernel - 2 - offset
        return dq, dk, dv, jnp.zeros_like(bias).at[:, offset].add(ds)

    attend.defvjp(fwd, bwd)
    return attend, plain


def seeded_sets(rng):
    seen = jnp.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]], bool)
    wk, wv = normal(rng, 4, 6, std=0.5), normal(rng, 4, 6, std=0.5)
    return normal(rng, 2, 6), normal(rng, 3, 5, 4), wk, wv, seen


@case(
    "pooling by multi-head attention of Set Transformer, PyTorch Geometric",
    "attention of learned seeds",
    seeded_sets,
    Twin(
        "residual once",
        "sum|factor|term",
        "seeds",
        "The residual of the shared seeds is not summed over the sets.",
    ),
    Twin(
        "keys of the sets",
        "term|path",
        "x",
        "The elements have a gradient by their values only.",
    ),
    Twin(
        "seeds without scale",
        "factor|ratio",
        "seeds",
        "The gradient of the scores reaches the seeds without 1/sqrt(d).",
    ),
)
def pooling_by_attention(slip):
    def weights(seeds, x, wk, seen):
        s = jnp.einsum("sd,bnd->bsn", seeds, x @ wk) / seeds.shape[-1] ** 0.5
        return jax.nn.softmax(jnp.where(seen[:, None], s, -1e30))

    @jax.custom_vjp
    def pool(seeds, x, wk, wv, seen):
        return seeds + weights(seeds, x, wk, seen) @ (x @ wv)

    def fwd(seeds, x, wk, wv, seen):
        return pool.fun(seeds, x, wk, wv, seen), (seeds, x, wk, wv, seen)

    def bwd(res, g):
        seeds, x, wk, wv, seen = res
        scale = seeds.shape[-1] ** -0.5
        p = weights(seeds, x, wk, seen)
        ds = through_softmax(p, jnp.einsum("bsd,bnd->bsn", g, x @ wv))
        ds = jnp.where(seen[:, None], ds, 0)
        dkeys = jnp.einsum("bsn,sd->bnd", ds, seeds) * scale
        dvalues = jnp.einsum("bsn,bsd->bnd", p, g)
        dseeds = jnp.einsum("bsn,bnd->sd", ds, x @ wk)
        if slip != "seeds without scale":
            dseeds = dseeds * scale
        dseeds = dseeds + (g.mean(0) if slip == "residual once" else g.sum(0))
        dx = dvalues @ wv.T
        if slip != "keys of the sets":
            dx = dx + dkeys @ wk.T
        dwk, dwv = (jnp.einsum("bni,bnd->id", x, d) for d in (dkeys, dvalues))
        return dseeds, dx, dwk, dwv, None

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def copy_inputs(rng):
    source = jnp.array([[2, 5, 2, 2, 0], [1, 3, 3, -1, -1], [0, 6, 4, 6, -1]])
    attention = jax.nn.softmax(normal(rng, 3, 5))
    return normal(rng, 3), normal(rng, 3, 7), attention, source.astype(jnp.int32)


@case(
    "pointer-generator networks in OpenNMT and AllenNLP's copy models",
    "mixture of words made and words copied",
    copy_inputs,
    Twin(
        "copies left out",
        "term",
        "gate",
        "The gate's gradient is that of the made words only.",
    ),
    Twin(
        "padding copies",
        "mask|index",
        "attention",
        "Attention on padding takes the gradient of word 0.",
    ),
    Twin(
        "gate of the other part",
        "swap|factor|operand|ratio",
        "attention",
        "The attention's gradient is weighted by p, not by 1 - p.",
    ),
)
def pointer_generator_mix(slip):
    def copied(attention, source, like):
        rows = jnp.arange(len(source))[:, None]
        share = jnp.where(source >= 0, attention, 0)
        return jnp.zeros_like(like).at[rows, jnp.maximum(source, 0)].add(share)

    @jax.custom_vjp
    def mix(gate, logits, attention, source):
        p = jax.nn.sigmoid(gate)[:, None]
        copies = copied(attention, source, logits)
        return p * jax.nn.softmax(logits) + (1 - p) * copies

    def fwd(gate, logits, attention, source):
        return mix.fun(gate, logits, attention, source), (
            jax.nn.sigmoid(gate)[:, None],
            jax.nn.softmax(logits),
            attention,
            source,
        )

    def bwd(res, g):
        p, made, attention, source = res
        other = 0 if slip == "copies left out" else copied(attention, source, made)
        dgate = (p * (1 - p))[:, 0] * (g * (made - other)).sum(-1)
        picked = jnp.take_along_axis(g, jnp.maximum(source, 0), 1)
        if slip != "padding copies":
            picked = jnp.where(source >= 0, picked, 0)
        share = p if slip == "gate of the other part" else 1 - p
        return dgate, through_softmax(made, p * g), share * picked, None

    mix.defvjp(fwd, bwd)
    return mix, mix.fun

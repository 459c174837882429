"""Layers that choose: tokens for a block, slots of a memory, regions of an image."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def routed(rng):
    params = {"up": normal(rng, 4, 8, std=0.5), "down": normal(rng, 8, 4, std=0.35)}
    return normal(rng, 6, 4), normal(rng, 4, std=0.5), params, 3


@case(
    "mixture of depths in flax: the top tokens pass a block, weighed by their scores",
    "routing",
    routed,
    Twin(
        "tokens that pass",
        "term|path|region|elements",
        "x",
        "The chosen tokens lose the gradient of their residual connection.",
    ),
    Twin(
        "scores of the router",
        "term|path",
        "x",
        "The tokens are not reached through the router's scores.",
    ),
    Twin(
        "weights of the block",
        "factor|operand|ratio",
        "params",
        "The block's parameters get the cotangent without the tokens' scores.",
    ),
)
def mixture_of_depths(slip):
    def block(x, params):
        hidden = x @ params["up"]
        return hidden, jax.nn.silu(hidden) @ params["down"]

    def plain(x, router, params, count):
        scores, chosen = jax.lax.top_k(x @ router, count)
        _, out = block(x[chosen], params)
        return x.at[chosen].add(scores[:, None] * out)

    layer = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, router, params, count):
        return plain(x, router, params, count), (x, router, params)

    def bwd(count, res, g):
        x, router, params = res
        scores, chosen = jax.lax.top_k(x @ router, count)
        picked, dpicked = x[chosen], g[chosen]
        hidden, out = block(picked, params)
        dscores = (dpicked * out).sum(-1)
        dout = scores[:, None] * dpicked
        dinner = dout @ params["down"].T
        s = jax.nn.sigmoid(hidden)
        dhidden = dinner * s * (1 + hidden * (1 - s))
        drows = dhidden @ params["up"].T
        if slip != "scores of the router":
            drows = drows + dscores[:, None] * router
        to_down = dpicked if slip == "weights of the block" else dout
        grads = {"up": picked.T @ dhidden, "down": jax.nn.silu(hidden).T @ to_down}
        at = g.at[chosen]
        dx = at.set(drows) if slip == "tokens that pass" else at.add(drows)
        return dx, picked.T @ dscores, grads

    layer.defvjp(fwd, bwd)
    return layer, plain


def memories(rng):
    keys, values = normal(rng, 2, 4, 3), normal(rng, 16, 5)
    return normal(rng, 6, 2, 3), keys, values, 2


@case(
    "product-key memories in JAX ports of XLM: two halves of a query find slots",
    "memory with keys",
    memories,
    Twin(
        "slots found twice",
        "duplicates|index",
        "values",
        "A slot that several queries find keeps the gradient of the last.",
    ),
    Twin(
        "halves exchanged",
        "swap|index|operand",
        "q keys",
        "Each half's scores are pulled back to the other half's keys.",
    ),
    Twin(
        "weights not normalised",
        "term|function|factor",
        "q keys",
        "The softmax is pulled back without its mean.",
    ),
    narrow=False,
)
def product_key_memory(slip):
    def search(q, keys, count):
        scores = jnp.einsum("nhd,hmd->nhm", q, keys)
        best, at = jax.lax.top_k(scores, count)
        sums = (best[:, 0, :, None] + best[:, 1, None, :]).reshape(len(q), -1)
        top, pair = jax.lax.top_k(sums, count)
        first = jnp.take_along_axis(at[:, 0], pair // count, 1)
        second = jnp.take_along_axis(at[:, 1], pair % count, 1)
        return jax.nn.softmax(top), first, second

    def plain(q, keys, values, count):
        w, first, second = search(q, keys, count)
        slots = first * keys.shape[1] + second
        return jnp.einsum("nk,nke->ne", w, values[slots])

    memory = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, keys, values, count):
        return plain(q, keys, values, count), (q, keys, values)

    def bwd(count, res, g):
        q, keys, values = res
        w, first, second = search(q, keys, count)
        slots = first * keys.shape[1] + second
        dw = jnp.einsum("ne,nke->nk", g, values[slots])
        mean = (w * dw).sum(-1, keepdims=True)
        ds = w * (dw if slip == "weights not normalised" else dw - mean)
        rows, at = w[..., None] * g[:, None], jnp.zeros_like(values).at[slots]
        dvalues = at.set(rows) if slip == "slots found twice" else at.add(rows)
        codes = (second, first) if slip == "halves exchanged" else (first, second)
        dq, dkeys = [], []
        for half, code in enumerate(codes):
            dq.append(jnp.einsum("nk,nkd->nd", ds, keys[half][code]))
            each = ds[..., None] * q[:, half, None]
            dkeys.append(jnp.zeros_like(keys[half]).at[code].add(each))
        return jnp.stack(dq, 1), jnp.stack(dkeys), dvalues

    memory.defvjp(fwd, bwd)
    return memory, plain


def regions(*corners):
    def args(rng):
        return normal(rng, 7, 8, 3), jnp.array(corners, jnp.float32), (2, 2), 2, True

    return args


@case(
    "ROI align of torchvision, ported to JAX for detectors, pixels' centres at a half",
    "pooling of regions",
    regions((1.0, 0.5, 6.0, 5.5), (2.3, 2.1, 7.0, 6.2)),
    Twin(
        "half a pixel",
        "option|index|operand",
        "features",
        "The backward pass samples as the older version does, half a pixel away.",
    ),
    Twin(
        "samples of a bin",
        "ratio|factor|constant",
        "features",
        "The samples of a bin are averaged along one side only.",
    ),
    Twin(
        "outside the image",
        "mask|region|predicate|edge",
        "features",
        "Samples beyond the border, which count zero, are pulled to the border.",
        witness=regions((1.0, 0.5, 6.0, 5.5), (3.0, 2.0, 12.0, 11.0)),
    ),
    options=lambda plain: {"nondiff": ("boxes",)},
    fixed=(1,),
)
def roi_align(slip):
    def weights(low, high, bins, samples, aligned, size, guarded=True):
        """How much each row (or column) counts for each bin of each box."""
        shift = 0.5 if aligned else 0.0
        low, high = low - shift, high - shift
        length = high - low if aligned else jnp.maximum(high - low, 1)
        steps = (jnp.arange(bins * samples, dtype=low.dtype) + 0.5) / samples
        at = low[:, None] + steps * length[:, None] / bins
        inside = (at >= -1) & (at <= size) if guarded else True
        at = jnp.clip(at, 0, size - 1)[..., None]
        near = jnp.maximum(1 - jnp.abs(at - jnp.arange(size, dtype=low.dtype)), 0)
        near = near * jnp.asarray(inside)[..., None]
        return near.reshape(len(low), bins, samples, size).mean(2)

    def both(boxes, shape, bins, samples, aligned, guarded=True):
        x1, y1, x2, y2 = boxes.T
        rows = weights(y1, y2, bins[0], samples, aligned, shape[0], guarded)
        columns = weights(x1, x2, bins[1], samples, aligned, shape[1], guarded)
        return rows, columns

    def plain(features, boxes, bins, samples, aligned):
        rows, columns = both(boxes, features.shape, bins, samples, aligned)
        return jnp.einsum("rph,hwc,rqw->rpqc", rows, features, columns)

    pool = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(features, boxes, bins, samples, aligned):
        out = plain(features, boxes, bins, samples, aligned)
        return out, (jnp.zeros((*features.shape[:2], 0)), boxes)

    def bwd(bins, samples, aligned, res, g):
        like, boxes = res
        aligned = aligned and slip != "half a pixel"
        guarded = slip != "outside the image"
        rows, columns = both(boxes, like.shape, bins, samples, aligned, guarded)
        if slip == "samples of a bin":
            columns = columns * samples
        dx = jnp.einsum("rph,rpqc,rqw->hwc", rows, g, columns)
        return dx.astype(g.dtype), jnp.zeros_like(boxes)

    pool.defvjp(fwd, bwd)
    return pool, plain

"""Layers of images and their tokens: flows that grow, tokens that are merged."""

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


@case(
    "convex upsampling of flows in RAFT, ported to flax: weights over nine neighbours",
    "upsampling",
    lambda rng: (normal(rng, 4, 3, 2), normal(rng, 4, 3, 9, 2, 2)),
    Twin(
        "unit of the flow",
        "ratio|factor|constant",
        "flow",
        "Flows grow with the image in the forward pass and not in the backward.",
    ),
    Twin(
        "neighbours mirrored",
        "index|transpose|region",
        "flow",
        "A neighbour's cotangent goes to the pixel on the other side.",
    ),
    Twin(
        "weights' mean",
        "term|function",
        "weights",
        "The softmax is pulled back without its mean over the neighbours.",
    ),
)
def convex_upsample(slip):
    offsets = [(i, j) for i in range(3) for j in range(3)]

    def patches(flow):
        h, w, _ = flow.shape
        padded = jnp.pad(flow, ((1, 1), (1, 1), (0, 0)))
        return jnp.stack([padded[i : i + h, j : j + w] for i, j in offsets], 2)

    @jax.custom_vjp
    def upsample(flow, weights):
        h, w, channels = flow.shape
        factor = weights.shape[-1]
        shares = jax.nn.softmax(weights, 2)
        out = jnp.einsum("hwnab,hwnc->hawbc", shares, factor * patches(flow))
        return out.reshape(h * factor, w * factor, channels)

    def fwd(flow, weights):
        return upsample.fun(flow, weights), (flow, weights)

    def bwd(res, g):
        flow, weights = res
        h, w, channels = flow.shape
        factor = weights.shape[-1]
        shares = jax.nn.softmax(weights, 2)
        g = g.reshape(h, factor, w, factor, channels)
        dshares = factor * jnp.einsum("hawbc,hwnc->hwnab", g, patches(flow))
        mean = (shares * dshares).sum(2, keepdims=True)
        dweights = shares * (dshares if slip == "weights' mean" else dshares - mean)
        dpatches = jnp.einsum("hawbc,hwnab->hwnc", g, shares)
        if slip != "unit of the flow":
            dpatches = factor * dpatches
        padded = jnp.zeros((h + 2, w + 2, channels), flow.dtype)
        for n, (i, j) in enumerate(offsets):
            if slip == "neighbours mirrored":
                i, j = 2 - i, 2 - j
            padded = padded.at[i : i + h, j : j + w].add(dpatches[:, :, n])
        return padded[1:-1, 1:-1], dweights

    upsample.defvjp(fwd, bwd)
    return upsample, upsample.fun


def tokens(*sizes):
    def args(rng):
        into = jnp.array([0, 1, 2, 1, 3, 1, 0])
        return normal(rng, 7, 4), jnp.array(sizes, jnp.float32), into, 4

    return args


SECOND = tokens(1, 2, 1, 1, 3, 2, 1)


@case(
    "token merging (ToMe) of vision transformers: means that are weighed by sizes",
    "pooling",
    tokens(1, 1, 1, 1, 1, 1, 1),
    Twin(
        "sum of a group",
        "ratio|factor|sum",
        "x",
        "The tokens of a group get its cotangent whole and not by their share.",
    ),
    Twin(
        "sizes of the tokens",
        "ratio|factor|operand",
        "x",
        "A token that stands for several gets the share of one.",
        witness=SECOND,
    ),
    Twin(
        "count for size",
        "ratio|factor|operand|sum",
        "x",
        "A group's size is the count of its tokens, not the sum of their sizes.",
        witness=SECOND,
    ),
    options=lambda plain: {"nondiff": ("sizes",)},
    fixed=(1,),
)
def token_merge(slip):
    def plain(x, sizes, into, groups):
        total = jax.ops.segment_sum(sizes, into, groups)
        rows = jax.ops.segment_sum(sizes[:, None] * x, into, groups)
        return rows / jnp.where(total > 0, total, 1)[:, None], total

    merge = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, sizes, into, groups):
        return plain(x, sizes, into, groups), (sizes, into)

    def bwd(groups, res, g):
        sizes, into = res
        dmerged, _ = g
        counted = jnp.ones_like(sizes) if slip == "count for size" else sizes
        total = jax.ops.segment_sum(counted, into, groups)
        share = 1 / jnp.where(total > 0, total, 1)[into]
        if slip == "sum of a group":
            share = jnp.ones_like(share)
        if slip != "sizes of the tokens":
            share = share * sizes
        return share[:, None] * dmerged[into], jnp.zeros_like(sizes), None

    merge.defvjp(fwd, bwd)
    return merge, plain

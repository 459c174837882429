"""Losses: of embeddings, boxes, segmentation, ranking and sound."""

import jax
import jax.numpy as jnp

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


def bins(rng):
    return normal(rng, 5, 8), positive(rng, 5, low=0.0, high=6.9)


@case(
    "distribution focal loss of YOLOv8 and mmdetection in JAX detectors",
    "detection loss",
    bins,
    Twin(
        "weights exchanged",
        "swap|operand|index",
        "logits",
        "The left bin gets the weight of the right one.",
    ),
    Twin(
        "left bin only",
        "term|path|index",
        "logits",
        "The gradient is that of cross-entropy with the bin below.",
    ),
    Twin(
        "sum of the boxes",
        "ratio|factor",
        "logits",
        "The mean over the boxes is not in the gradient.",
    ),
    options=lambda plain: {"nondiff": ("target",)},
    fixed=(1,),
)
def distribution_focal_loss(slip):
    def places(logits, target):
        left = jnp.clip(jnp.floor(target), 0, logits.shape[-1] - 2).astype(jnp.int32)
        return left, target - left

    @jax.custom_vjp
    def loss(logits, target):
        left, share = places(logits, target)
        logp = jax.nn.log_softmax(logits)
        below = jnp.take_along_axis(logp, left[..., None], -1)[..., 0]
        above = jnp.take_along_axis(logp, left[..., None] + 1, -1)[..., 0]
        return -((1 - share) * below + share * above).mean()

    def fwd(logits, target):
        return loss.fun(logits, target), (logits, target)

    def bwd(res, g):
        logits, target = res
        left, share = places(logits, target)
        if slip == "weights exchanged":
            share = 1 - share
        if slip == "left bin only":
            share = jnp.zeros_like(share)
        count = 1 if slip == "sum of the boxes" else target.size
        width, dtype = logits.shape[-1], logits.dtype
        below = jax.nn.one_hot(left, width, dtype=dtype)
        above = jax.nn.one_hot(left + 1, width, dtype=dtype)
        aim = (1 - share)[..., None] * below + share[..., None] * above
        dlogits = (jax.nn.softmax(logits) - aim) * (g / count)
        return dlogits.astype(dtype), jnp.zeros_like(target)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def confident(rng):
    labels = integers(rng, 2, 3, 4)
    return 4.0 * labels - 2 + normal(rng, 3, 4, std=0.3), labels


@case(
    "Lovasz hinge for binary segmentation, ported from torch to flax",
    "segmentation loss",
    lambda rng: (normal(rng, 3, 4), integers(rng, 2, 3, 4)),
    Twin(
        "order not undone",
        "index|transpose|swap",
        "logits",
        "The gradient stays in the order of the sorted errors.",
    ),
    Twin(
        "sign of the label",
        "sign|ratio|factor",
        "logits",
        "The error falls with the logit of the foreground, and rises elsewhere.",
    ),
    Twin(
        "correct pixels",
        "mask|region|predicate",
        "logits",
        "Pixels beyond the margin are pulled back too.",
        witness=confident,
    ),
)
def lovasz_hinge(slip):
    def pieces(logits, labels):
        x, y = logits.ravel(), labels.ravel()
        sign = (2 * y - 1).astype(x.dtype)
        errors = 1 - x * sign
        order = jnp.argsort(-errors, stable=True)
        seen = y[order]
        total = y.sum()
        meet = total - jnp.cumsum(seen)
        union = total + jnp.cumsum(1 - seen)
        jaccard = 1 - (meet / union).astype(x.dtype)
        steps = jnp.diff(jaccard, prepend=jnp.zeros(1, x.dtype))
        return sign, errors[order], order, steps

    @jax.custom_vjp
    def loss(logits, labels):
        _, errors, _, steps = pieces(logits, labels)
        return jnp.where(errors > 0, errors, 0) @ steps

    def fwd(logits, labels):
        return loss.fun(logits, labels), (logits, labels)

    def bwd(res, g):
        logits, labels = res
        sign, errors, order, steps = pieces(logits, labels)
        d = g * steps
        if slip != "correct pixels":
            d = jnp.where(errors > 0, d, 0)
        if slip != "order not undone":
            d = jnp.zeros_like(d).at[order].set(d)
        if slip != "sign of the label":
            d = d * sign
        return -d.reshape(logits.shape), None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def lists(rng):
    return normal(rng, 3, 5), integers(rng, 4, 3, 5), jnp.ones((3, 5), bool), 1.0


def padded_lists(rng):
    scores, labels, _, temperature = lists(rng)
    return scores, labels, jnp.arange(5) < jnp.array([[5], [3], [0]]), temperature


@case(
    "approximate NDCG of rax, ranks by sums of sigmoids, with where=",
    "ranking loss",
    lists,
    Twin(
        "as the rival",
        "term|path|transpose",
        "scores",
        "A score moves the ranks of others as well, which is forgotten.",
    ),
    Twin(
        "discount's slope",
        "factor|function|ratio",
        "scores",
        "The logarithm of the discount is to base 2, its slope is to base e.",
    ),
    Twin(
        "padding is ranked",
        "mask|region|predicate",
        "scores",
        "Padded items count in the ranks' gradients.",
        witness=padded_lists,
    ),
)
def approx_ndcg_loss(slip):
    def pieces(scores, labels, where, temperature):
        other = ~jnp.eye(scores.shape[1], dtype=bool)
        pair = where[:, :, None] & where[:, None] & other
        gap = (scores[:, None] - scores[:, :, None]) / temperature
        rank = 1 + jnp.where(pair, jax.nn.sigmoid(gap), 0).sum(-1)
        gain = jnp.where(where, 2.0**labels - 1, 0).astype(scores.dtype)
        best = -jnp.sort(-gain, -1)
        place = jnp.arange(1, scores.shape[1] + 1)
        ideal = (best / jnp.log2(1 + place).astype(scores.dtype)).sum(-1)
        share = gain / jnp.where(ideal > 0, ideal, 1)[:, None]
        return pair, gap, rank, share

    def plain(scores, labels, where, temperature):
        *_, rank, share = pieces(scores, labels, where, temperature)
        return -(share / jnp.log2(1 + rank)).sum(-1).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(scores, labels, where, temperature):
        return plain(scores, labels, where, temperature), (scores, labels, where)

    def bwd(temperature, res, g):
        scores, labels, where = res
        pair, gap, rank, share = pieces(scores, labels, where, temperature)
        if slip == "padding is ranked":
            pair = ~jnp.eye(scores.shape[1], dtype=bool)
        log = jnp.log2(1 + rank)
        drank = share / (log * log * (1 + rank))
        if slip != "discount's slope":
            drank = drank / jnp.log(2.0).astype(drank.dtype)
        slope = jax.nn.sigmoid(gap) * jax.nn.sigmoid(-gap) / temperature
        dgap = jnp.where(pair, drank[..., None] * slope, 0)
        ds = -dgap.sum(-1)
        if slip != "as the rival":
            ds = ds + dgap.sum(-2)
        return (ds * (g / len(scores))).astype(scores.dtype), None, None

    loss.defvjp(fwd, bwd)
    return loss, plain

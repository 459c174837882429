"""Losses with ignored labels, weights, chunks and hard examples."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def tokens(ignored):
    def args(rng):
        labels = integers(rng, 6, 5)
        hidden, head = draw(hidden=(5, 3), head=(6, 3))(rng)
        return hidden, head, labels.at[:ignored].set(-1), 3

    return args


@case(
    "cross-entropy over chunks of a large vocabulary, logits recomputed, in levanter",
    "loss over chunks",
    tokens(0),
    Twin(
        "label in the chunk",
        "index|operand|mask|elements",
        "hidden head",
        "Labels are compared with the places in each chunk, not with the classes.",
    ),
    Twin(
        "ignored tokens",
        "mask|region|predicate",
        "hidden head",
        "Tokens with a label of -1 are pulled to other classes.",
        witness=tokens(2),
    ),
    Twin(
        "last chunk",
        "sum|path|term|operand",
        "hidden",
        "The chunks' gradients replace each other instead of being added.",
    ),
)
def vocab_chunked_nll(slip):
    def chunks(head, chunk):
        starts = jnp.arange(0, len(head), chunk)
        return starts, head.reshape(-1, chunk, head.shape[1])

    def summed(hidden, head, labels, chunk):
        def step(carry, item):
            lse, target = carry
            start, rows = item
            logits = hidden @ rows.T
            lse = jnp.logaddexp(lse, jax.nn.logsumexp(logits, -1))
            mine = labels[:, None] - start == jnp.arange(chunk)
            return (lse, target + jnp.where(mine, logits, 0).sum(-1)), None

        none = jnp.full(len(hidden), -jnp.inf, hidden.dtype)
        carry = none, jnp.zeros_like(none)
        return lax.scan(step, carry, chunks(head, chunk))[0]

    def mean(each, labels):
        valid = labels >= 0
        count = jnp.maximum(valid.sum(), 1).astype(each.dtype)
        return jnp.where(valid, each, 0).sum() / count

    def plain(hidden, head, labels, chunk):
        logp = jax.nn.log_softmax(hidden @ head.T)
        at = jnp.maximum(labels, 0)[:, None]
        return mean(-jnp.take_along_axis(logp, at, 1)[:, 0], labels)

    def chunked(hidden, head, labels, chunk):
        lse, target = summed(hidden, head, labels, chunk)
        return mean(lse - target, labels)

    loss = jax.custom_vjp(chunked, nondiff_argnums=(3,))

    def fwd(hidden, head, labels, chunk):
        lse, target = summed(hidden, head, labels, chunk)
        return mean(lse - target, labels), (hidden, head, labels, lse)

    def bwd(chunk, res, g):
        hidden, head, labels, lse = res
        valid = labels >= 0
        scale = g / jnp.maximum(valid.sum(), 1).astype(g.dtype)
        if slip == "ignored tokens":
            valid = jnp.ones_like(valid)

        def step(dhidden, item):
            start, rows = item
            p = jnp.exp(hidden @ rows.T - lse[:, None])
            if slip == "label in the chunk":
                start = 0
            mine = labels[:, None] - start == jnp.arange(chunk)
            d = jnp.where(valid[:, None], scale * (p - mine.astype(p.dtype)), 0)
            part = d @ rows
            if slip != "last chunk":
                part = part + dhidden
            return part, d.T @ hidden

        items = chunks(head, chunk)
        dhidden, dhead = lax.scan(step, jnp.zeros_like(hidden), items)
        return dhidden, dhead.reshape(head.shape), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def classes(weighted, ignored):
    def args(rng):
        labels = integers(rng, 4, 6).at[:ignored].set(-1)
        weights = positive(rng, 4, low=0.3, high=3.0) if weighted else None
        return normal(rng, 6, 4), labels, weights, 0.1

    return args


@case(
    "cross-entropy with class weights, smoothing and ignored labels, as in torch ports",
    "loss with options",
    classes(False, 0),
    Twin(
        "weights of the smoothing",
        "operand|factor|ratio|index|term",
        "logits",
        "Smoothing has the label's weight instead of each class's.",
        witness=classes(True, 0),
    ),
    Twin(
        "number of rows",
        "ratio|factor|operand|sum",
        "logits weights",
        "Divided by the number of rows, not by the sum of their weights.",
        witness=classes(True, 0),
    ),
    Twin(
        "ignored rows",
        "mask|region|predicate",
        "logits",
        "Ignored rows are smoothed.",
        witness=classes(False, 2),
    ),
)
def weighted_smooth_ce(slip):
    def parts(logits, labels, weights):
        w = jnp.ones_like(logits[0]) if weights is None else weights
        valid = (labels >= 0).astype(logits.dtype)
        hot = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
        total = (hot @ w).sum()
        return w, valid, hot, jnp.where(total > 0, total, 1)

    def plain(logits, labels, weights, smoothing):
        w, valid, hot, total = parts(logits, labels, weights)
        part = smoothing / logits.shape[1]
        share = (1 - smoothing) * hot * w + part * valid[:, None] * w
        return -(share * jax.nn.log_softmax(logits)).sum() / total

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(logits, labels, weights, smoothing):
        y = plain(logits, labels, weights, smoothing)
        return y, (logits, labels, weights, y)

    def bwd(smoothing, res, g):
        logits, labels, weights, y = res
        w, valid, hot, total = parts(logits, labels, weights)
        if slip == "number of rows":
            total = jnp.maximum(valid.sum(), 1)
        logp = jax.nn.log_softmax(logits)
        p, part = jnp.exp(logp), smoothing / logits.shape[1]
        every = jnp.ones_like(valid) if slip == "ignored rows" else valid
        smooth = every[:, None] * w
        if slip == "weights of the smoothing":
            smooth = every[:, None] * jnp.broadcast_to((hot @ w)[:, None], p.shape)
        share = (1 - smoothing) * hot * w + part * smooth
        dlogits = g / total * (p * share.sum(-1, keepdims=True) - share)
        if weights is None:
            return dlogits, None, None
        each = -((1 - smoothing) * hot + part * valid[:, None]) * logp
        return dlogits, None, g / total * (each.sum(0) - y * hot.sum(0))

    loss.defvjp(fwd, bwd)
    return loss, plain


def examples(ignored):
    def args(rng):
        return normal(rng, 6, 4), integers(rng, 4, 6).at[:ignored].set(-1), 3

    return args


@case(
    "online mining of hard examples in segmentation with flax",
    "loss of the largest",
    examples(0),
    Twin(
        "easy examples",
        "mask|region|predicate|sum|index",
        "logits",
        "All rows are pulled back, not the largest losses only.",
    ),
    Twin(
        "size of the batch",
        "ratio|factor",
        "logits",
        "Divided by the number of rows, not of those kept.",
    ),
    Twin(
        "ignored among the hardest",
        "mask|region|predicate|edge",
        "logits",
        "Where few rows have labels, ignored ones are kept and pulled.",
        witness=examples(4),
    ),
)
def hard_example_mean(slip):
    def each(logits, labels):
        logp = jax.nn.log_softmax(logits)
        at = jnp.maximum(labels, 0)[:, None]
        nll = -jnp.take_along_axis(logp, at, 1)[:, 0]
        return jnp.where(labels >= 0, nll, 0)

    def plain(logits, labels, keep):
        return lax.top_k(each(logits, labels), keep)[0].mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, labels, keep):
        hardest, rows = lax.top_k(each(logits, labels), keep)
        return hardest.mean(), (logits, labels, rows)

    def bwd(keep, res, g):
        logits, labels, rows = res
        if slip == "easy examples":
            rows = jnp.arange(len(logits))
        chosen = labels[rows]
        hot = jax.nn.one_hot(chosen, logits.shape[1], dtype=logits.dtype)
        d = jax.nn.softmax(logits[rows]) - hot
        if slip != "ignored among the hardest":
            d = jnp.where(chosen[:, None] >= 0, d, 0)
        count = len(logits) if slip == "size of the batch" else keep
        return jnp.zeros_like(logits).at[rows].add(g / count * d), None

    loss.defvjp(fwd, bwd)
    return loss, plain

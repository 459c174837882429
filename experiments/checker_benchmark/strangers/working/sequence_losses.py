"""Losses over sequences, by recursions and in chunks."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "optax.ctc_loss",
    "sequence loss",
    lambda rng: (normal(rng, 6, 4), jnp.array([1, 2, 2], jnp.int32)),
    Twin(
        "no skip",
        "mask|path|term|index",
        "logits",
        "No step over a blank between different labels.",
    ),
    Twin("occupancy only", "path|term", "logits", "The softmax's own part is missing."),
    options=by_reference,
    narrow=False,
)
def ctc_loss(slip):
    def tables(labels):
        states = jnp.zeros(2 * len(labels) + 1, labels.dtype).at[1::2].set(labels)
        skip = jnp.zeros(len(states), bool)
        return states, skip.at[3::2].set(labels[1:] != labels[:-1])

    def shifted(a, n):
        return jnp.concatenate([jnp.full(n, -1e30, a.dtype), a[:-n]])

    def alphas(logp, states, skip):
        first = jnp.full(len(states), -1e30, logp.dtype)
        first = first.at[:2].set(logp[0, states[:2]])

        def step(a, row):
            over = jnp.where(skip, shifted(a, 2), -1e30)
            new = jnp.logaddexp(jnp.logaddexp(a, shifted(a, 1)), over) + row[states]
            return new, new

        return jnp.concatenate([first[None], lax.scan(step, first, logp[1:])[1]])

    def plain(logits, labels):
        states, skip = tables(labels)
        last = alphas(jax.nn.log_softmax(logits), states, skip)[-1]
        return -jnp.logaddexp(last[-1], last[-2])

    @jax.custom_vjp
    def ctc(logits, labels):
        return plain(logits, labels)

    def fwd(logits, labels):
        states, skip = tables(labels)
        a = alphas(jax.nn.log_softmax(logits), states, skip)
        return -jnp.logaddexp(a[-1, -1], a[-1, -2]), (logits, labels, a)

    def bwd(res, g):
        logits, labels, a = res
        logp = jax.nn.log_softmax(logits)
        states, skip = tables(labels)
        mirrored = skip[::-1] if slip == "no skip" else jnp.roll(skip[::-1], 2)
        if slip == "no skip":
            mirrored = jnp.zeros_like(mirrored)
        b = alphas(logp[::-1], states[::-1], mirrored)[::-1, ::-1]
        total = jnp.logaddexp(a[-1, -1], a[-1, -2])
        share = jnp.exp(a + b - logp[:, states] - total)
        used = jnp.zeros_like(logp).at[:, states].add(share)
        if slip == "occupancy only":
            return -g * used, None
        return g * (jnp.exp(logp) - used), None

    ctc.defvjp(fwd, bwd)
    return ctc, plain


@case(
    "linear-chain CRF on flax",
    "sequence loss",
    draw(emissions=(5, 3), transitions=(3, 3)),
    Twin("transitions transposed", "transpose", "transitions", "Transposed."),
    Twin(
        "forward only",
        "path|term|operand|function",
        "emissions",
        "Filtered for smoothed marginals.",
    ),
    options=by_reference,
    scales=(0.1, 1.0, 3.0),
)
def crf_log_partition(slip):
    def run(emissions, transitions):
        def step(a, e):
            new = jax.nn.logsumexp(a[:, None] + transitions, 0) + e
            return new, new

        later = lax.scan(step, emissions[0], emissions[1:])[1]
        return jnp.concatenate([emissions[:1], later])

    def plain(emissions, transitions):
        return jax.nn.logsumexp(run(emissions, transitions)[-1])

    @jax.custom_vjp
    def log_z(emissions, transitions):
        return plain(emissions, transitions)

    def fwd(emissions, transitions):
        a = run(emissions, transitions)
        return jax.nn.logsumexp(a[-1]), (emissions, transitions, a)

    def bwd(res, g):
        e, t, a = res

        def back(b, row):
            new = jax.nn.logsumexp(t + row + b, 1)
            return new, new

        end = jnp.zeros_like(e[0])
        b = lax.scan(back, end, e[1:], reverse=True)[1]
        b = jnp.concatenate([b, end[None]])
        z = jax.nn.logsumexp(a[-1])
        node = jax.nn.softmax(a) if slip == "forward only" else jnp.exp(a + b - z)
        edge = a[:-1, :, None] + t + (e + b)[1:, None, :] - z
        dt = jnp.exp(edge).sum(0)
        return g * node, g * (dt.T if slip == "transitions transposed" else dt)

    log_z.defvjp(fwd, bwd)
    return log_z, plain


@case(
    "chunked language-model heads in EasyDeL and levanter",
    "loss over chunks",
    lambda rng: (normal(rng, 6, 4), normal(rng, 4, 7), integers(rng, 7, 6), 2),
    Twin(
        "last chunk only", "sum|index|term|path", "weight", "The carry is overwritten."
    ),
    Twin(
        "mean within the chunk", "ratio", "hidden weight", "Divided by a chunk's rows."
    ),
    options=by_reference,
)
def chunked_lm_head(slip):
    def plain(hidden, weight, labels, chunk):
        logits = hidden @ weight
        picked = jnp.take_along_axis(logits, labels[:, None], 1)[:, 0]
        return (jax.nn.logsumexp(logits, -1) - picked).mean()

    def parts(hidden, labels, chunk):
        return hidden.reshape(-1, chunk, hidden.shape[1]), labels.reshape(-1, chunk)

    def head(hidden, weight, labels, chunk):
        def step(total, part):
            h, y = part
            logits = h @ weight
            picked = jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
            return total + (jax.nn.logsumexp(logits, -1) - picked).sum(), None

        zero = jnp.zeros((), hidden.dtype)
        total, _ = lax.scan(step, zero, parts(hidden, labels, chunk))
        return total / len(labels)

    lm_head = jax.custom_vjp(head, nondiff_argnums=(3,))

    def fwd(hidden, weight, labels, chunk):
        return head(hidden, weight, labels, chunk), (hidden, weight, labels)

    def bwd(chunk, res, g):
        hidden, weight, labels = res
        n = chunk if slip == "mean within the chunk" else len(labels)

        def step(dw, part):
            h, y = part
            p = jax.nn.softmax(h @ weight)
            dz = (p - jax.nn.one_hot(y, p.shape[-1], dtype=p.dtype)) * g / n
            more = h.T @ dz
            return more if slip == "last chunk only" else dw + more, dz @ weight.T

        dw, dh = lax.scan(step, jnp.zeros_like(weight), parts(hidden, labels, chunk))
        return dh.reshape(hidden.shape), dw, None

    lm_head.defvjp(fwd, bwd)
    return lm_head, plain

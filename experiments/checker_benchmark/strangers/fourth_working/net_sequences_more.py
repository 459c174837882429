"""Sequences: gated pooling and cells, alignments, positions, large vocabularies."""

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


def clustered(rng):
    params = {
        "head": normal(rng, 4, 4, std=0.5),
        "down": normal(rng, 4, 2, std=0.5),
        "tail": normal(rng, 2, 5, std=0.5),
    }
    return normal(rng, 6, 4), params, jnp.array([0, 2, 5, 7, 1, 3]), 3


def frequent(rng):
    h, params, _, cutoff = clustered(rng)
    return h, params, jnp.array([0, 2, 1, 1, 2, 0]), cutoff


@case(
    "adaptive softmax of Transformer-XL: a head of frequent words and a tail",
    "loss of a large vocabulary",
    clustered,
    Twin(
        "tail into the states",
        "term|path",
        "h",
        "The states have the gradient of the head and not that of the tail.",
    ),
    Twin(
        "tail of frequent words",
        "mask|region|predicate",
        "params h",
        "Tokens that are in the head have a gradient in the tail.",
        witness=frequent,
    ),
    Twin(
        "cluster's entry",
        "index|operand|term",
        "params h",
        "For words of the tail no entry of the head is taken off its softmax.",
    ),
)
def adaptive_softmax_nll(slip):
    def pieces(h, params, targets, cutoff):
        rare = targets >= cutoff
        head = h @ params["head"]
        inner = h @ params["down"]
        tail = inner @ params["tail"]
        first = jnp.where(rare, cutoff, targets)
        second = jnp.where(rare, targets - cutoff, 0)
        return rare, head, inner, tail, first, second

    def plain(h, params, targets, cutoff):
        rare, head, _, tail, first, second = pieces(h, params, targets, cutoff)

        def nll(logits, label):
            logp = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(logp, label[:, None], -1)[:, 0]

        return (nll(head, first) + jnp.where(rare, nll(tail, second), 0)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(h, params, targets, cutoff):
        return plain(h, params, targets, cutoff), (h, params, targets)

    def bwd(cutoff, res, g):
        h, params, targets = res
        rare, head, inner, tail, first, second = pieces(h, params, targets, cutoff)
        each = g / len(h)
        hit = jax.nn.one_hot(first, head.shape[-1], dtype=head.dtype)
        if slip == "cluster's entry":
            hit = jnp.where(rare[:, None], 0, hit)
        dhead = (jax.nn.softmax(head) - hit) * each
        hit = jax.nn.one_hot(second, tail.shape[-1], dtype=tail.dtype)
        dtail = (jax.nn.softmax(tail) - hit) * each
        if slip != "tail of frequent words":
            dtail = jnp.where(rare[:, None], dtail, 0)
        dinner = dtail @ params["tail"].T
        dh = dhead @ params["head"].T
        if slip != "tail into the states":
            dh = dh + dinner @ params["down"].T
        grads = {"head": h.T @ dhead, "down": h.T @ dinner, "tail": inner.T @ dtail}
        return dh, grads, None

    loss.defvjp(fwd, bwd)
    return loss, plain

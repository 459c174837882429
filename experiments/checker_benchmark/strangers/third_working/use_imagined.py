"""Weights over imagined steps, balanced divergences."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "weights of imagined steps in Dreamer: exclusive products of continuations",
    "product over time",
    lambda rng: (positive(rng, 5, 3, low=0.9, high=1.0),),
    Twin(
        "divided by the factor",
        "edge|nan|finite|zero|region",
        "discounts",
        "Where an episode ends, the factor is 0 and is divided by.",
        witness=lambda rng: (positive(rng, 5, 3, low=0.9, high=1.0).at[1, 0].set(0.0),),
    ),
    Twin(
        "inclusive",
        "index|operand|residual|ratio|factor",
        "discounts",
        "The product before a factor has the factor itself in it.",
    ),
    Twin(
        "first to last",
        "index|axis|function|path|operand|sum",
        "discounts",
        "What comes after is summed from the first step on.",
    ),
)
def continuation_weights(slip):
    @jax.custom_vjp
    def weights(discounts):
        first = jnp.ones_like(discounts[:1])
        return jnp.cumprod(jnp.concatenate([first, discounts[:-1]]), 0)

    def fwd(discounts):
        w = weights.fun(discounts)
        return w, (discounts, w)

    def bwd(res, g):
        discounts, w = res
        if slip == "divided by the factor":
            after = lax.cumsum(g * w, 0, reverse=True) - g * w
            return (after / discounts,)

        def step(after, item):
            dy, factor = item
            return dy + factor * after, after

        none, back = jnp.zeros_like(g[0]), slip != "first to last"
        after = lax.scan(step, none, (g, discounts), reverse=back)[1]
        before = w * discounts if slip == "inclusive" else w
        return (before * after,)

    weights.defvjp(fwd, bwd)
    return weights, weights.fun


def balanced(args, dy):
    """Each side of the divergence has its own part of the whole."""
    posterior, prior, mix = args
    logp, logq = jax.nn.log_softmax(posterior), jax.nn.log_softmax(prior)
    p, each = jnp.exp(logp), dy / posterior[..., 0].size
    kl = (p * (logp - logq)).sum(-1, keepdims=True)
    dposterior = (1 - mix) * each * p * (logp - logq - kl)
    return dposterior, mix * each * (jnp.exp(logq) - p)


@case(
    "divergence balanced by stop_gradient in DreamerV2",
    "loss with a declared gradient",
    lambda rng: (*draw(posterior=(3, 4), prior=(3, 4))(rng), 0.8),
    Twin(
        "sides exchanged",
        "swap|ratio|factor|option",
        "posterior prior",
        "The prior has the small part.",
    ),
    Twin(
        "unbalanced",
        "ratio|factor|option",
        "posterior prior",
        "The balance is not applied.",
    ),
    Twin(
        "mean over the classes too",
        "ratio|factor",
        "posterior prior",
        "Divided by the number of logits, not of rows.",
    ),
    options=lambda plain: {"surrogate": balanced},
)
def balanced_kl(slip):
    def plain(posterior, prior, mix):
        logp, logq = jax.nn.log_softmax(posterior), jax.nn.log_softmax(prior)
        return (jnp.exp(logp) * (logp - logq)).sum(-1).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(posterior, prior, mix):
        return plain(posterior, prior, mix), (posterior, prior)

    def bwd(mix, res, g):
        logp, logq = (jax.nn.log_softmax(a) for a in res)
        p, q = jnp.exp(logp), jnp.exp(logq)
        rows = p.size if slip == "mean over the classes too" else p[..., 0].size
        to_posterior, to_prior = 1 - mix, mix
        if slip == "sides exchanged":
            to_posterior, to_prior = mix, 1 - mix
        if slip == "unbalanced":
            to_posterior, to_prior = 1.0, 1.0
        gap = logp - logq
        dposterior = p * (gap - (p * gap).sum(-1, keepdims=True))
        scale = g / rows
        return to_posterior * scale * dposterior, to_prior * scale * (q - p)

    loss.defvjp(fwd, bwd)
    return loss, plain

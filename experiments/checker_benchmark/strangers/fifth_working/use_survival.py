"""Losses of survival models in discrete time."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def patients(rng):
    logits = normal(rng, 6, 5)
    return logits, integers(rng, 5, 6), jnp.array([1, 0, 1, 1, 0, 1], bool)


@case(
    "discrete-time hazards (nnet-survival, pycox's logistic hazard) in flax ports",
    "survival loss",
    patients,
    Twin(
        "after the event",
        "mask|region|predicate|index",
        "logits",
        "Intervals after the event or the last visit count as survived.",
    ),
    Twin(
        "censored as events",
        "mask|region|predicate|term|path",
        "logits",
        "The last interval of a censored patient is taken for an event.",
    ),
    Twin(
        "mean over intervals",
        "ratio|factor",
        "logits",
        "Divided by patients and intervals, not by patients.",
    ),
)
def discrete_time_survival(slip):
    def plain(logits, last, event):
        here = jax.nn.one_hot(last, logits.shape[1], dtype=logits.dtype)
        seen = jnp.arange(logits.shape[1]) <= last[:, None]
        died = here * event[:, None]
        each = jnp.where(seen, jax.nn.softplus(logits) - died * logits, 0)
        return each.sum() / len(logits)

    loss = jax.custom_vjp(plain)

    def fwd(logits, last, event):
        return plain(logits, last, event), (logits, last, event)

    def bwd(res, g):
        logits, last, event = res
        n, times = logits.shape
        d = jax.nn.sigmoid(logits)
        if slip != "after the event":
            d = jnp.where(jnp.arange(times) <= last[:, None], d, 0)
        died = jnp.ones_like(event) if slip == "censored as events" else event
        d = d.at[jnp.arange(n), last].add(-died.astype(d.dtype))
        count = n * times if slip == "mean over intervals" else n
        return g / count * d, None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "ranking loss of DeepHit: curves are ordered at the time of the earlier event",
    "survival loss",
    lambda rng: (*patients(rng), 0.5),
    Twin(
        "curve of the other",
        "term|path",
        "logits",
        "The later patient's curve in a pair is taken as given.",
    ),
    Twin(
        "time of the other",
        "index|transpose|residual",
        "logits",
        "The later patient's curve gets its gradient at its own time.",
    ),
    Twin(
        "probabilities",
        "term|path",
        "logits",
        "The softmax is pulled back entry by entry, without its sum.",
    ),
    narrow=False,
)
def deephit_ranking(slip):
    def pieces(logits, last, event, sigma):
        p = jax.nn.softmax(logits)
        curves = jnp.cumsum(p, 1)
        own = jnp.take_along_axis(curves, last[:, None], 1)
        pair = event[:, None] & (last[:, None] < last)
        cost = jnp.exp((curves[:, last].T - own) / sigma)  # of i at its time, and j
        return p, pair, jnp.where(pair, cost, 0)

    def plain(logits, last, event, sigma):
        _, pair, cost = pieces(logits, last, event, sigma)
        return cost.sum() / jnp.maximum(pair.sum(), 1).astype(cost.dtype)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(logits, last, event, sigma):
        return plain(logits, last, event, sigma), (logits, last, event)

    def bwd(sigma, res, g):
        logits, last, event = res
        p, pair, cost = pieces(logits, last, event, sigma)
        d = g * cost / (sigma * jnp.maximum(pair.sum(), 1).astype(g.dtype))
        i = jnp.arange(len(last))
        dcurves = jnp.zeros_like(p).at[i, last].add(-d.sum(1))
        if slip == "time of the other":
            dcurves = dcurves.at[i, last].add(d.sum(0))
        elif slip != "curve of the other":
            dcurves = dcurves.at[:, last].add(d.T)
        dp = jnp.cumsum(dcurves[:, ::-1], 1)[:, ::-1]
        if slip != "probabilities":
            dp = dp - (p * dp).sum(1, keepdims=True)
        return p * dp, None, None

    loss.defvjp(fwd, bwd)
    return loss, plain

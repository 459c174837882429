"""Ragged batches that are packed, and deviances with weights."""

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


def full(rng):
    return normal(rng, 3, 4, 2), jnp.full(3, 4, jnp.int32), 12


def ragged(rng):
    return normal(rng, 3, 4, 2), jnp.array([2, 0, 3], jnp.int32), 6


@case(
    "padded batches packed into rows of a fixed number, for JAX's static shapes",
    "ragged batch",
    full,
    Twin(
        "rows that fill up",
        "mask|region|index|edge|duplicates",
        "x",
        "Rows beyond the last token give their cotangent to the first one.",
        witness=ragged,
    ),
    Twin(
        "time first",
        "index|transpose",
        "x",
        "The rows are sent back as if time came before the batch.",
    ),
    Twin(
        "whole sequences",
        "index|region",
        "x",
        "The rows are sent back as if every sequence were full.",
        witness=ragged,
    ),
)
def pack_padded(slip):
    def places(x, lengths, rows):
        seen = jnp.arange(x.shape[1]) < lengths[:, None]
        return jnp.nonzero(seen, size=rows, fill_value=len(lengths))

    def plain(x, lengths, rows):
        b, t = places(x, lengths, rows)
        return x.at[b, t].get(mode="fill", fill_value=0)

    pack = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, lengths, rows):
        return plain(x, lengths, rows), (x, lengths)

    def bwd(rows, res, g):
        x, lengths = res
        batch, time = x.shape[:2]
        b, t = places(x, lengths, rows)
        if slip == "time first":
            t, b = jnp.nonzero((jnp.arange(time)[:, None] < lengths), size=rows)
        if slip == "whole sequences":
            b, t = jnp.divmod(jnp.arange(rows), time)
        if slip == "rows that fill up":
            b, t = jnp.where(b == batch, 0, b), jnp.where(b == batch, 0, t)
        return jnp.zeros_like(x).at[b, t].add(g, mode="drop"), None

    pack.defvjp(fwd, bwd)
    return pack, plain


def policies(power):
    def args(rng):
        claims = jnp.asarray(rng.gamma(1, 1, 7) * (rng.random(7) < 0.5), jnp.float32)
        return normal(rng, 7, std=0.5), claims, jnp.ones(7, jnp.float32), power

    return args


@case(
    "Tweedie losses of claims with a logarithmic link and exposures, as in boosting",
    "loss with an option",
    policies(1.5),
    Twin(
        "sum of the weights",
        "term|path",
        "weights",
        "The sum that is divided by is taken as a constant.",
    ),
    Twin(
        "link",
        "factor|ratio|function",
        "score",
        "The gradient is that of the mean, not of its logarithm.",
    ),
    Twin(
        "Poisson",
        "option|edge|nan|finite",
        "claims",
        "With a power of 1 it is divided by 0.",
        witness=policies(1.0),
    ),
    fixed=(0,),
    narrow=False,
)
def tweedie_deviance(slip):
    def slope(score, power):
        """Of a loss in the claims."""
        if power == 1:
            return -score
        return jnp.exp((1 - power) * score) / (power - 1)

    def losses(score, claims, power):
        if power == 2:
            return claims * jnp.exp(-score) + score
        mean = jnp.exp((2 - power) * score) / (2 - power)
        return claims * slope(score, power) + mean

    def plain(score, claims, weights, power):
        each = losses(score, claims, power)
        return (weights * each).sum() / weights.sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(score, claims, weights, power):
        value = plain(score, claims, weights, power)
        return value, (score, claims, weights, value)

    def bwd(power, res, g):
        score, claims, weights, value = res
        share = g * weights / weights.sum()
        dscore = jnp.exp((1 - power) * score) * (jnp.exp(score) - claims)
        if slip == "link":
            dscore = dscore * jnp.exp(-score)
        dclaims = slope(score, power)
        if slip == "Poisson":
            dclaims = jnp.exp((1 - power) * score) / jnp.asarray(power - 1, score.dtype)
        dweights = losses(score, claims, power)
        if slip != "sum of the weights":
            dweights = dweights - value
        return share * dscore, share * dclaims, g * dweights / weights.sum()

    loss.defvjp(fwd, bwd)
    return loss, plain

"""Gradients that are declared: scaled ones, and ones without NaN."""

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


def heads(rng):
    tree = {"policy": normal(rng, 3, 2), "value": normal(rng, 3)}
    return tree, 0.5


def halved(args, dy):
    _, factor = args
    return (jax.tree.map(lambda d: factor * d, dy),)


@case(
    "MuZero in JAX: gradients into the dynamics are scaled by a half",
    "gradient scaling",
    heads,
    Twin("not scaled", "factor|ratio|cotangent", "tree", "The gradient is not scaled."),
    Twin(
        "one head",
        "factor|ratio|cotangent|option",
        "tree",
        "Matrices alone are scaled; vectors pass as they are.",
    ),
    Twin(
        "inverse factor",
        "factor|ratio|cotangent|option|function",
        "tree",
        "Divided by the factor.",
    ),
    options=lambda plain: {"surrogate": halved},
)
def scaled_gradient(slip):
    def plain(tree, factor):
        return tree

    scale = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(tree, factor):
        return tree, None

    def bwd(factor, _, g):
        def one(d):
            if slip == "not scaled" or (slip == "one head" and d.ndim == 1):
                return d
            return d / factor if slip == "inverse factor" else d * factor

        return (jax.tree.map(one, g),)

    scale.defvjp(fwd, bwd)
    return scale, plain


def losses(rng):
    return normal(rng, 6), jnp.ones(6, bool)


def some_masked(rng):
    x, _ = losses(rng)
    return x, jnp.array([1, 1, 0, 1, 0, 1], bool)


def without_masked(args, dy):
    _, finite = args
    return jnp.where(finite & jnp.isfinite(dy), dy, 0), None


@case(
    "gradients that are dropped where samples have failed, in simulators in JAX",
    "gradient clipping",
    losses,
    Twin(
        "failed samples",
        "mask|region|predicate",
        "x",
        "The gradient passes where the sample has failed.",
        witness=some_masked,
    ),
    Twin(
        "mean of those left",
        "cotangent|ratio|factor|sum",
        "x",
        "What is left is scaled up, as if the loss were a mean.",
        witness=some_masked,
    ),
    options=lambda plain: {"surrogate": without_masked},
)
def nan_safe_gradient(slip):
    """Identity; gradients are 0 where a sample has failed or they are not finite."""

    @jax.custom_vjp
    def guard(x, succeeded):
        return x

    def fwd(x, succeeded):
        return x, succeeded

    def bwd(succeeded, g):
        kept = jnp.isfinite(g)
        if slip != "failed samples":
            kept = kept & succeeded
        dx = jnp.where(kept, g, 0)
        if slip == "mean of those left":
            dx = dx * (len(g) / jnp.maximum(succeeded.sum(), 1)).astype(g.dtype)
        return dx, None

    guard.defvjp(fwd, bwd)
    return guard, guard.fun

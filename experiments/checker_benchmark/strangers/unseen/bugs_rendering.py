"""Bugs of splatting, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def covariances(rng):
    a, c = rng.uniform(1, 2, (2, 4))
    return (jnp.asarray(np.stack([a, rng.uniform(-0.5, 0.5, 4), c], -1), jnp.float32),)


@case(
    "nerfstudio-project/gsplat#136",
    "rendering",
    covariances,
    Twin(
        "as reported",
        "ratio|factor|index|region",
        "covariance",
        "The mixed entry lacks a factor of one half against the conic's.",
    ),
    kind="bug",
    name="conic_from_covariance gsplat#136",
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(1.0, 3.0),
)
def conic_from_covariance(slip):
    @jax.custom_vjp
    def conic(covariance):
        a, b, c = covariance.T
        det = a * c - b * b
        return jnp.stack([c / det, -b / det, a / det], -1)

    def fwd(covariance):
        y = conic.fun(covariance)
        return y, y

    def bwd(conics, g):
        p, q, r = conics.T
        mixed = g[:, 1] / 2 if not slip else g[:, 1]
        # minus inverse times cotangent times inverse, for symmetric matrices
        gm = jnp.stack([g[:, 0], mixed, mixed, g[:, 2]], -1).reshape(-1, 2, 2)
        inv = jnp.stack([p, q, q, r], -1).reshape(-1, 2, 2)
        d = -inv @ gm @ inv
        return (jnp.stack([d[:, 0, 0], d[:, 0, 1] + d[:, 1, 0], d[:, 1, 1]], -1),)

    conic.defvjp(fwd, bwd)
    return conic, conic.fun


@case(
    "nerfstudio-project/gsplat#139",
    "rendering",
    lambda rng: (normal(rng, 5, 2), positive(rng, 3)),
    Twin(
        "as reported",
        "ratio|factor|index|region",
        "conic",
        "The mixed entry of the conic has a half too many.",
    ),
    kind="bug",
    name="splat_conic gsplat#139",
    fixed=(1,),
)
def splat_conic(slip):
    @jax.custom_vjp
    def bell(offsets, conic):
        x, y = offsets[:, 0], offsets[:, 1]
        a, b, c = conic
        return jnp.exp(-0.5 * (a * x * x + c * y * y) - 0.5 * b * x * y)

    def fwd(offsets, conic):
        y = bell.fun(offsets, conic)
        return y, (offsets, conic, y)

    def bwd(res, g):
        offsets, conic, bell = res
        x, y = offsets[:, 0], offsets[:, 1]
        a, b, c = conic
        d = g * bell
        dx, dy = -d * (a * x + b * y / 2), -d * (c * y + b * x / 2)
        mixed = 0.25 if slip else 0.5
        dconic = -jnp.stack(
            [(d * x * x).sum() / 2, mixed * (d * x * y).sum(), (d * y * y).sum() / 2]
        )
        return jnp.stack([dx, dy], -1), dconic

    bell.defvjp(fwd, bwd)
    return bell, bell.fun


@case(
    "joeyan/gaussian_splatting#35",
    "rendering",
    lambda rng: (positive(rng, 3, 5, low=0.2, high=0.7), normal(rng, 5), 0.05),
    Twin(
        "as reported",
        "mask|predicate|region|edge|index|factor",
        "alpha colour",
        "The way back divides by splats that were skipped on the way out.",
        witness=lambda rng: (
            positive(rng, 3, 5, low=0.2, high=0.7).at[:, 3].set(0.04),
            normal(rng, 5),
            0.05,
        ),
    ),
    kind="bug",
    name="front_to_back gaussian_splatting#35",
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
)
def front_to_back(slip):
    def plain(alpha, colour, threshold):
        used = jnp.where(alpha >= threshold, alpha, 0)
        left = jnp.cumprod(1 - used, -1)
        before = jnp.concatenate([jnp.ones_like(left[:, :1]), left[:, :-1]], -1)
        return (before * used * colour).sum(-1)

    blend = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(alpha, colour, threshold):
        used = jnp.where(alpha >= threshold, alpha, 0)
        return plain(alpha, colour, threshold), (alpha, colour, (1 - used).prod(-1))

    def bwd(threshold, res, g):
        alpha, colour, left = res
        behind, dalpha, dcolour = jnp.zeros_like(left), [], []
        for i in reversed(range(alpha.shape[1])):
            on = alpha[:, i] >= threshold
            a = jnp.where(on, alpha[:, i], 0)
            left = left / (1 - alpha[:, i] if slip else 1 - a)
            d = g * (left * colour[i] - behind / (1 - a))
            dalpha.append(jnp.where(on, d, 0))
            dcolour.append((g * left * a).sum())
            behind = behind + left * a * colour[i]
        return jnp.stack(dalpha[::-1], -1), jnp.stack(dcolour[::-1])

    blend.defvjp(fwd, bwd)
    return blend, plain


@case(
    "nerfstudio-project/gsplat#623",
    "rendering",
    lambda rng: (positive(rng, 1, 4), normal(rng, 4, 3)),
    Twin(
        "as reported",
        "index|operand|residual|region",
        "weights",
        "Every view reads the colours that were rendered for the first.",
        witness=lambda rng: (positive(rng, 2, 4), normal(rng, 4, 3)),
    ),
    kind="bug",
    name="batched_surfels gsplat#623",
    fixed=(0,),
)
def batched_surfels(slip):
    @jax.custom_vjp
    def render(weights, colours):
        return weights @ colours / weights.sum(-1, keepdims=True)

    def fwd(weights, colours):
        y = render.fun(weights, colours)
        return y, (weights, colours, y)

    def bwd(res, g):
        weights, colours, y = res
        total = weights.sum(-1, keepdims=True)
        seen = y[:1] if slip else y
        dweights = (g @ colours.T - (g * seen).sum(-1, keepdims=True)) / total
        return dweights, (weights / total).T @ g

    render.defvjp(fwd, bwd)
    return render, render.fun

"""Projections as jaxopt has them: on a simplex, a ball, an order."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jaxopt.projection.projection_simplex",
    "projection",
    draw(x=(6,)),
    Twin("mean of all", "ratio|sum|mask", "x", "The mean is over all entries."),
    Twin(
        "softmax's", "function|path|operand|residual", "x", "The rule of the softmax."
    ),
    narrow=False,
)
def sparsemax(slip):
    @jax.custom_vjp
    def project(x):
        u = jnp.sort(x)[::-1]
        total = jnp.cumsum(u) - 1
        rank = jnp.arange(1, x.size + 1)
        support = (u * rank > total).sum()
        return jnp.maximum(x - total[support - 1] / support, 0)

    def fwd(x):
        p = project.fun(x)
        return p, p

    def bwd(p, g):
        if slip == "softmax's":
            return (p * (g - p @ g),)
        inside = (p > 0).astype(p.dtype)
        count = p.size if slip == "mean of all" else inside.sum()
        return (inside * (g - (inside @ g) / count),)

    project.defvjp(fwd, bwd)
    return project, project.fun


@case(
    "jaxopt.projection.projection_l2_ball",
    "projection",
    lambda rng: (normal(rng, 5, std=2.0), jnp.float32(1.5)),
    Twin("radial part kept", "term|path", "x", "Moving outwards moves the point."),
    Twin(
        "outside everywhere",
        "mask|predicate|region",
        "x radius",
        "As if outside.",
        witness=lambda rng: (0.1 * normal(rng, 5), jnp.float32(1.5)),
    ),
    Twin("radius forgotten", "factor|operand|ratio", "x", "Not scaled by the radius."),
)
def l2_ball_projection(slip):
    @jax.custom_vjp
    def project(x, radius):
        norm = jnp.sqrt((x * x).sum())
        return jnp.where(norm > radius, radius / norm, 1.0) * x

    def fwd(x, radius):
        return project.fun(x, radius), (x, radius)

    def bwd(res, g):
        x, radius = res
        norm = jnp.sqrt((x * x).sum())
        u = x / norm
        tangential = g if slip == "radial part kept" else g - u * (u @ g)
        size = 1.0 if slip == "radius forgotten" else radius
        outside = norm > radius
        if slip == "outside everywhere":
            outside = True
        dx = jnp.where(outside, size / norm * tangential, g)
        return dx.astype(x.dtype), jnp.where(outside, u @ g, 0)

    project.defvjp(fwd, bwd)
    return project, project.fun


@case(
    "jaxopt.isotonic",
    "ranking",
    draw(y=(7,)),
    Twin("mean forgotten", "sum|ratio|factor", "y", "Sums of blocks are not divided."),
    Twin("identity", "path|term|function", "y", "As if nothing had been pooled."),
    narrow=False,
)
def isotonic_regression(slip):
    @jax.custom_vjp
    def isotonic(y):
        total = jnp.concatenate([jnp.zeros(1, y.dtype), jnp.cumsum(y)])
        i = jnp.arange(y.size)
        means = (total[1:][None] - total[:-1][:, None]) / jnp.maximum(
            i - i[:, None] + 1, 1
        )
        means = jnp.where(i >= i[:, None], means, 1e9)
        least = lax.cummin(means, 1, reverse=True)  # over ends from the point on
        low = jnp.where(i[:, None] <= i, least, -1e9)
        return low.max(0)

    def fwd(y):
        x = isotonic.fun(y)
        return x, x

    def bwd(x, g):
        if slip == "identity":
            return (g,)
        same = (x[:, None] == x).astype(x.dtype)
        near = jnp.abs(x[:, None] - x) <= 1e-6 * (1 + jnp.abs(x))
        same = jnp.where(near, 1.0, same).astype(x.dtype)
        pooled = same @ g
        return (pooled if slip == "mean forgotten" else pooled / same.sum(1),)

    isotonic.defvjp(fwd, bwd)
    return isotonic, isotonic.fun

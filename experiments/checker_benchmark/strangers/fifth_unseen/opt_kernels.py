"""Kernels, scoring rules, a projection and a line search."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "gpjax.kernels.RationalQuadratic, a length for each dimension",
    "kernel matrix",
    lambda rng: (
        *draw(x=(5, 2), z=(4, 2))(rng),
        jnp.ones(2, jnp.float32),
        jnp.float32(1.0),
    ),
    Twin(
        "alpha within the base",
        "term|path",
        "alpha",
        "Alpha's gradient has the exponent's part only.",
    ),
    Twin(
        "exponent",
        "factor|operand|function",
        "x z lengths",
        "The power is not lowered by one.",
    ),
    Twin(
        "lengths",
        "factor|operand|axis|sum",
        "lengths",
        "Each length has the squared distance of all dimensions.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def rational_quadratic_kernel(slip):
    """A scale mixture of squared exponentials between two sets of points."""

    def reduced(x, z, lengths, alpha):
        gap = (x[:, None] - z) / lengths
        return gap, (gap * gap).sum(-1) / (2 * alpha)

    @jax.custom_vjp
    def kernel(x, z, lengths, alpha):
        return jnp.exp(-alpha * jnp.log1p(reduced(x, z, lengths, alpha)[1]))

    def fwd(x, z, lengths, alpha):
        k = kernel.fun(x, z, lengths, alpha)
        return k, (x, z, lengths, alpha, k)

    def bwd(res, g):
        x, z, lengths, alpha, k = res
        gap, t = reduced(x, z, lengths, alpha)
        pull = -g * k
        if slip != "exponent":
            pull = pull / (1 + t)
        pairs = pull[..., None] * gap / lengths
        by_length = pairs * gap
        if slip == "lengths":
            by_length = (pull * 2 * alpha * t)[..., None] / lengths
        by_alpha = -jnp.log1p(t)
        if slip != "alpha within the base":
            by_alpha = by_alpha + t / (1 + t)
        dlengths = -by_length.sum((0, 1))
        return pairs.sum(1), -pairs.sum(0), dlengths, (g * k * by_alpha).sum()

    kernel.defvjp(fwd, bwd)
    return kernel, kernel.fun


@case(
    "energy scores of forecast ensembles, as in scoringrules' JAX backend",
    "scoring rule",
    lambda rng: (*draw(samples=(5, 3), observed=(3,))(rng), False),
    Twin(
        "pairs",
        "factor|ratio|term",
        "samples",
        "Of a pair's two members only one is counted.",
    ),
    Twin(
        "fair",
        "option|factor|ratio",
        "samples",
        "The spread is over m squared pairs in the fair form as well.",
        witness=lambda rng: (*draw(samples=(5, 3), observed=(3,))(rng), True),
    ),
    Twin(
        "lengths",
        "function|factor|operand",
        "samples observed",
        "Differences are not divided by their lengths.",
    ),
    narrow=False,
)
def energy_score(slip):
    """Distance from what was observed less half the spread of the ensemble."""

    def lengths(gap):
        squares = (gap * gap).sum(-1)
        apart = squares > 0
        return jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1)), 0)

    def pairs(m, fair):
        return max(m * (m - 1), 1) if fair else m * m

    def plain(samples, observed, fair):
        spread = lengths(samples[:, None] - samples).sum()
        error = lengths(samples - observed).mean()
        return error - spread / (2 * pairs(len(samples), fair))

    score = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(samples, observed, fair):
        return plain(samples, observed, fair), (samples, observed)

    def unit(gap):
        if slip == "lengths":
            return gap
        r = lengths(gap)[..., None]
        return jnp.where(r > 0, gap / jnp.where(r > 0, r, 1), 0)

    def bwd(fair, res, g):
        samples, observed = res
        m = len(samples)
        there = unit(samples - observed) / m
        apart = unit(samples[:, None] - samples).sum(1)
        count = pairs(m, fair and slip != "fair")
        apart = apart / (2 * count if slip == "pairs" else count)
        return g * (there - apart), -g * there.sum(0)

    score.defvjp(fwd, bwd)
    return score, plain


@case(
    "optax.scale_by_backtracking_linesearch in an unrolled descent on least squares",
    "line search with two outputs",
    lambda rng: (*draw(x=(3,), a=(6, 3), b=(6,))(rng), 0.5),
    Twin(
        "first trial",
        "residual|operand|factor|ratio",
        "x a b",
        "The step that was tried first is used, not the one that was accepted.",
    ),
    Twin(
        "curvature",
        "term|path",
        "x",
        "The gradient that is stepped along is held fixed.",
    ),
    Twin(
        "residual's matrix",
        "term|path",
        "a",
        "The matrix moves the transposed product only, not the residual.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def backtracking_step(slip):
    """The next point and the step's size, which is a constant in the backward pass."""

    def plain(x, a, b, shrink):
        slope = a.T @ (a @ x - b)

        def loss(t):
            return 0.5 * jnp.square(a @ (x - t * slope) - b).sum()

        def shorter(_, t):
            enough = loss(0.0) - 0.1 * t * (slope @ slope)
            return jnp.where(loss(t) > enough, shrink * t, t)

        t = lax.fori_loop(0, 20, shorter, jnp.ones((), x.dtype))
        t = lax.stop_gradient(t)
        return x - t * slope, t

    step = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, a, b, shrink):
        y, t = plain(x, a, b, shrink)
        return (y, t), (x, a, a @ x - b, t)

    def bwd(shrink, res, cotangents):
        x, a, residual, t = res
        g, _ = cotangents
        v = -g if slip == "first trial" else -t * g
        inner = a @ v
        da = jnp.outer(residual, v)
        if slip != "residual's matrix":
            da = da + jnp.outer(inner, x)
        return g if slip == "curvature" else g + a.T @ inner, da, -inner

    step.defvjp(fwd, bwd)
    return step, plain

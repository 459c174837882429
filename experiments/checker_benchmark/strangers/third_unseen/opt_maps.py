"""Maps: reflections one after the other, a quantile by bisection."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import ndtr

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "Householder flows and orthogonal layers in distrax and FlowJAX",
    "orthogonal map",
    draw(x=(5, 4), vectors=(3, 4)),
    Twin("length", "term|path", "vectors", "The vectors' lengths are held fixed."),
    Twin(
        "order",
        "index|transpose|swap",
        "x vectors",
        "The reflections are gone through from the first again.",
    ),
    Twin(
        "after for before",
        "residual|operand|index",
        "vectors",
        "What comes out of a reflection is taken for what went in.",
    ),
    narrow=False,
)
def householder_reflections(slip):
    """Rows of x reflected by one vector after the other; by zeros: not at all."""

    def reflect(x, v):
        square = v @ v
        weight = jnp.where(square > 0, 2 / jnp.where(square > 0, square, 1), 0)
        return x - weight * jnp.outer(x @ v, v), weight

    @jax.custom_vjp
    def reflections(x, vectors):
        return lax.scan(lambda x, v: (reflect(x, v)[0], None), x, vectors)[0]

    def fwd(x, vectors):
        y = reflections.fun(x, vectors)
        return y, (y, vectors)

    def bwd(res, g):
        y, vectors = res

        def back(carry, v):
            after, g = carry
            x, weight = reflect(after, v)
            if slip == "after for before":
                x = after
            s, t = x @ v, g @ v
            dv = -weight * (s @ g + t @ x)
            if slip != "length":
                dv = dv + weight**2 * (s @ t) * v
            x = reflect(after, v)[0]
            return (x, reflect(g, v)[0]), dv

        (_, dx), dvectors = lax.scan(back, (y, g), vectors, reverse=slip != "order")
        return dx, dvectors

    reflections.defvjp(fwd, bwd)
    return reflections, reflections.fun


def mixture(rng):
    levels = positive(rng, 5, low=0.05, high=0.95)
    return levels, normal(rng, 3), 2 * normal(rng, 3), positive(rng, 3)


@case(
    "tfp.substrates.jax.math.find_root_chandrupatla: quantiles of a mixture",
    "root",
    mixture,
    Twin(
        "weights' own change",
        "term|path",
        "logits",
        "That the other weights shrink is forgotten.",
    ),
    Twin(
        "components' densities",
        "ratio|factor|operand",
        "level logits means scales",
        "Divided by the mean of the densities, without the weights.",
    ),
    Twin(
        "scale's score",
        "factor|operand|term",
        "scales",
        "A step of a scale is taken for one of a mean.",
    ),
    options=lambda plain: {**by_reference(plain), "edges": False},
    fixed=(0, 3),
    narrow=False,
    scales=(0.1, 1.0),
)
def mixture_quantile(slip):
    """Where the mixture of normals reaches the levels, by bisection."""

    def reached(x, logits, means, scales):
        z = (x[..., None] - means) / scales
        return z, jax.nn.softmax(logits), ndtr(z)

    def density(z, scales):
        return jnp.exp(-0.5 * z * z) / ((2 * jnp.pi) ** 0.5 * scales)

    def bisected(level, logits, means, scales):
        wide = 10 * scales.max()
        low = jnp.full_like(level, 1) * (means.min() - wide)
        high = jnp.full_like(level, 1) * (means.max() + wide)

        def apart(state):
            low, high, i = state
            return (i < 80) & ((high - low).max() > 0)

        def halve(state):
            low, high, i = state
            x = (low + high) / 2
            _, weights, below = reached(x, logits, means, scales)
            left = below @ weights < level
            return jnp.where(left, x, low), jnp.where(left, high, x), i + 1

        low, high, _ = lax.while_loop(apart, halve, (low, high, 0))
        return (low + high) / 2

    def plain(level, logits, means, scales):
        x = bisected(*map(lax.stop_gradient, (level, logits, means, scales)))
        z, weights, below = reached(x, logits, means, scales)
        slope = lax.stop_gradient(density(z, scales) @ weights)
        return x - (below @ weights - level) / slope

    @jax.custom_vjp
    def quantile(level, logits, means, scales):
        return bisected(level, logits, means, scales)

    def fwd(level, logits, means, scales):
        x = bisected(level, logits, means, scales)
        return x, (x, level, logits, means, scales)

    def bwd(res, g):
        x, level, logits, means, scales = res
        z, weights, below = reached(x, logits, means, scales)
        each = density(z, scales)
        slope = each @ weights
        if slip == "components' densities":
            slope = each.mean(-1)
        dlevel = g / slope
        dmeans = dlevel @ (weights * each)
        dscales = dlevel @ (weights * each * z)
        if slip == "scale's score":
            dscales = dmeans
        excess = below if slip == "weights' own change" else below - level[..., None]
        return dlevel, -dlevel @ (weights * excess), dmeans, dscales

    quantile.defvjp(fwd, bwd)
    return quantile, plain

"""Bugs of a trace of products, and of a sum of exponentials."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "EnzymeAD/Enzyme.jl#2999",
    "trace",
    lambda rng: (positive(rng, 5), normal(rng, 5, 2)),
    Twin(
        "as reported",
        "factor|ratio|term|path",
        "x",
        "Of the two places of the product, one is accumulated.",
    ),
    kind="bug",
    name="trace_of_square Enzyme.jl#2999",
)
def trace_of_square(slip):
    """tr(U' U) of U = diag(1 / x) P."""

    @jax.custom_vjp
    def trace(x, p):
        u = p / x[:, None]
        return jnp.trace(u.T @ u)

    def fwd(x, p):
        return trace.fun(x, p), (x, p)

    def bwd(res, g):
        x, p = res
        u = p / x[:, None]
        du = 2 * g * u
        by_x = g * u if slip else du
        return -(by_x * u).sum(1) / x, du / x[:, None]

    trace.defvjp(fwd, bwd)
    return trace, trace.fun


@case(
    "keras-team/keras#23616",
    "elementwise",
    lambda rng: (normal(rng, 5), normal(rng, 5)),
    Twin(
        "as reported",
        "edge|predicate|ratio|region|elements",
        "a b",
        "Where both are equal, the first gets the whole cotangent.",
        witness=lambda rng: (jnp.array([0.5, 1.0, -2.0], jnp.float32),) * 2,
    ),
    kind="bug",
    name="logaddexp keras#23616",
)
def logaddexp(slip):
    """The larger plus log1p(exp(-distance))."""

    def plain(a, b):
        return jnp.logaddexp(a, b)

    function = jax.custom_vjp(plain)

    def fwd(a, b):
        return jnp.maximum(a, b) + jnp.log1p(jnp.exp(-jnp.abs(a - b))), (a, b)

    def bwd(res, g):
        a, b = res
        gap = a - b
        if slip:
            small = jnp.exp(-jnp.abs(gap))
            to_gap = jnp.sign(gap) * small / (1 + small)
            first = jnp.where(a >= b, 1, 0) - to_gap
            return g * first, g * (1 - first)
        return g * jax.nn.sigmoid(gap), g * jax.nn.sigmoid(-gap)

    function.defvjp(fwd, bwd)
    return function, plain

"""An optimiser, unrolled."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def gram(rng, n: int):
    """A symmetric matrix of products, as of features."""
    x = normal(rng, 3 * n, n)
    return x.T @ x / (3 * n)


def descent(skew: float):
    def args(rng):
        a = gram(rng, 4) + skew * jnp.triu(normal(rng, 4, 4), 1)
        rates = jnp.float32(0.1), jnp.float32(0.9)
        return normal(rng, 4), a, normal(rng, 4), *rates, 6

    return args


@case(
    "optax.sgd(momentum=...) unrolled in meta-learning",
    "unrolled optimiser",
    descent(0.0),
    Twin("first order", "term|path", "start", "The curvature is left out of a step."),
    Twin(
        "velocity forgotten",
        "term|path",
        "start a b rate momentum",
        "The velocity's cotangent is not carried to the step before.",
    ),
    Twin(
        "curvature transposed",
        "transpose",
        "start a b rate momentum",
        "The matrix is taken for a symmetric one.",
        witness=descent(0.5),
    ),
    options=lambda plain: {"edges": False},
    fixed=(3, 4),
    narrow=False,
)
def momentum_descent(slip):
    """Where steps of v = m v - r (A x - b), x = x + v, from rest, come to."""

    def path(start, a, b, rate, momentum, steps):
        def step(state, _):
            x, v = state
            v_next = momentum * v - rate * (a @ x - b)
            return (x + v_next, v_next), (x, v)

        rest = (start, jnp.zeros_like(start))
        return lax.scan(step, rest, length=steps)

    def plain(start, a, b, rate, momentum, steps):
        return path(start, a, b, rate, momentum, steps)[0][0]

    descend = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(start, a, b, rate, momentum, steps):
        (x, _), before = path(start, a, b, rate, momentum, steps)
        return x, (a, b, rate, momentum, before)

    def bwd(steps, res, g):
        a, b, rate, momentum, before = res
        a_back = a if slip == "curvature transposed" else a.T

        def back(carry, state):
            dx, dv, da, db, drate, dmomentum = carry
            x, v = state
            dv = dx if slip == "velocity forgotten" else dv + dx
            da, db = da - rate * jnp.outer(dv, x), db + rate * dv
            drate, dmomentum = drate - dv @ (a @ x - b), dmomentum + dv @ v
            if slip != "first order":
                dx = dx - rate * (a_back @ dv)
            return (dx, momentum * dv, da, db, drate, dmomentum), None

        zeros = jax.tree.map(jnp.zeros_like, (b, a, b, rate, momentum))
        carry = lax.scan(back, (g, *zeros), before, reverse=True)[0]
        return carry[0], *carry[2:]

    descend.defvjp(fwd, bwd)
    return descend, plain

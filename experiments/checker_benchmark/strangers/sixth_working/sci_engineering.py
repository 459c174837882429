"""Engineering: optimal gains, friction in pipes."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def linear_system(rng):
    a = normal(rng, 3, 3, std=0.2) + jnp.eye(3)
    system = {"A": a, "B": normal(rng, 3, 2, std=0.5)}
    return system, {"Q": jnp.eye(3), "R": 0.5 * jnp.eye(2)}, 6


@case(
    "costs of linear-quadratic regulators (trajax) by Riccati's recursion",
    "control",
    linear_system,
    Twin(
        "open loop",
        "operand|residual|term",
        "system weights",
        "The later cost is pulled back through the system without its feedback.",
    ),
    Twin(
        "one side",
        "transpose|sum|term|cotangent",
        "system weights",
        "The cost is symmetric; its cotangent is not made so.",
    ),
    Twin(
        "costs reversed",
        "residual|index|operand|swap",
        "system weights",
        "The recursion went back in time; its costs are read in that order again.",
    ),
    scales=(0.5, 1.0, 2.0),
    narrow=False,
)
def lqr_riccati(slip):
    def symmetric(m):
        return (m + m.T) / 2

    def run(system, weights, horizon):
        a, b = system["A"], system["B"]
        q, r = symmetric(weights["Q"]), symmetric(weights["R"])

        def step(p, _):
            gain = jnp.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
            return symmetric(q + a.T @ p @ (a - b @ gain)), (p, gain)

        return lax.scan(step, q, length=horizon)

    def plain(system, weights, horizon):
        return run(system, weights, horizon)[0]

    cost = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(system, weights, horizon):
        out, steps = run(system, weights, horizon)
        return out, (system, steps)

    def bwd(horizon, res, g):
        system, (costs, gains) = res
        a, b = system["A"], system["B"]
        if slip == "costs reversed":
            costs, gains = costs[::-1], gains[::-1]

        def back(carry, item):
            dp, da, db, dq, dr = carry
            p, gain = item
            closed = a if slip == "open loop" else a - b @ gain
            through = 2 * p @ closed @ dp
            da, db = da + through, db - through @ gain.T
            dq, dr = dq + dp, dr + gain @ dp @ gain.T
            return (closed @ dp @ closed.T, da, db, dq, dr), None

        g = g if slip == "one side" else symmetric(g)
        zeros = jnp.zeros_like(a), jnp.zeros_like(b), jnp.zeros_like(a)
        start = g, *zeros, jnp.zeros((b.shape[1],) * 2, g.dtype)
        out = lax.scan(back, start, (costs, gains), reverse=True)[0]
        dp, da, db, dq, dr = out
        return {"A": da, "B": db}, {"Q": dq + dp, "R": dr}

    cost.defvjp(fwd, bwd)
    return cost, plain


def pipes(rng):
    reynolds = positive(rng, 8, low=4.0, high=200.0).at[0].set(1.2)
    return reynolds, positive(rng, 8, low=1e-3, high=2e-2)


@case(
    "friction in pipes by Colebrook's equation in JAX models of networks, a while loop",
    "root finding",
    pipes,
    Twin(
        "last step alone",
        "term|factor|path",
        "reynolds roughness",
        "The root is on both sides of the equation; the divisor for that is lost.",
    ),
    Twin(
        "laminar",
        "mask|region|predicate",
        "reynolds roughness",
        "Slow flows have 64 over Reynolds' number and Colebrook's slope.",
    ),
    Twin(
        "decimal logarithm",
        "factor|ratio|constant|function",
        "reynolds roughness",
        "The slope is that of the natural logarithm.",
    ),
    options=by_reference,
)
def colebrook_friction(slip):
    def terms(reynolds, roughness):
        slow = reynolds < 2.3
        fast = jnp.where(slow, 4.0, reynolds)
        return slow, fast, roughness / 3.7, 2.51e-3 / fast

    def again(x, a, b):
        return -2 * jnp.log10(a + b * x)

    def friction(reynolds, x):
        slow = reynolds < 2.3
        return jnp.where(slow, 0.064 / jnp.where(slow, reynolds, 1), 1 / x**2)

    def plain(reynolds, roughness):
        _, _, a, b = terms(reynolds, roughness)
        x = jnp.full_like(a, 6.0)
        for _ in range(20):
            x = again(x, a, b)
        return friction(reynolds, x)

    @jax.custom_vjp
    def solve(reynolds, roughness):
        return fwd(reynolds, roughness)[0]

    def fwd(reynolds, roughness):
        _, _, a, b = terms(reynolds, roughness)
        enough = 2 * jnp.finfo(a.dtype).eps

        def moving(state):
            n, old, new = state
            return (n < 40) & (jnp.abs(new - old) > enough * new).any()

        def step(state):
            n, _, x = state
            return n + 1, x, again(x, a, b)

        start = jnp.full_like(a, 6.0)
        x = lax.while_loop(moving, step, (0, start, again(start, a, b)))[2]
        return friction(reynolds, x), (reynolds, roughness, x)

    def bwd(res, g):
        reynolds, roughness, x = res
        slow, fast, a, b = terms(reynolds, roughness)
        base = 1.0 if slip == "decimal logarithm" else float(np.log(10))
        dx = -2 * g / x**3
        pulled = -2 * dx / (base * (a + b * x))
        if slip != "last step alone":
            pulled = pulled / (1 + 2 * b / (base * (a + b * x)))
        dreynolds, droughness = -pulled * x * b / fast, pulled / 3.7
        if slip == "laminar":
            return dreynolds, droughness
        direct = -g * 0.064 / jnp.where(slow, reynolds, 1) ** 2
        return jnp.where(slow, direct, dreynolds), jnp.where(slow, 0, droughness)

    solve.defvjp(fwd, bwd)
    return solve, plain

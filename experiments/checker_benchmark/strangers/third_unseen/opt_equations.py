"""A bug of adjoint equations."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "SciML/SciMLSensitivity.jl#1663",
    "differential equation",
    lambda rng: (jnp.array([1.2, 2.1], jnp.float32), 10),
    Twin(
        "as reported",
        "affine|cotangent|term",
        "params",
        "The gradient of the sum of the initial values is added.",
    ),
    kind="bug",
    name="initialised_ode SciMLSensitivity.jl#1663",
    fixed=(0,),
    narrow=False,
)
def initialised_ode(slip):
    """The trajectory on [0, 1] of a chain of three decays, which start by params."""

    def start(params):
        return params[0] * jnp.cos(jnp.array([0.1, 0.2, 0.3], params.dtype))

    def step(y, params, dt):
        def slope(y):
            return -params.sum() * y + jnp.append(y[1:], 0)

        return y + dt * slope(y + dt / 2 * slope(y))

    def plain(params, steps):
        def once(y, _):
            return step(y, params, 1 / steps), y

        last, before = lax.scan(once, start(params), length=steps)
        return jnp.concatenate([before, last[None]])

    solve = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(params, steps):
        states = plain(params, steps)
        return states, (states, params)

    def bwd(steps, res, g):
        states, params = res

        def back(carry, row):
            adjoint, dparams = carry
            y, observed = row
            pull = jax.vjp(lambda y, p: step(y, p, 1 / steps), y, params)[1]
            dy, d = pull(adjoint)
            return (dy + observed, dparams + d), None

        carry = g[-1], jnp.zeros_like(params)
        rows = states[:-1], g[:-1]
        adjoint, dparams = lax.scan(back, carry, rows, reverse=True)[0]
        if slip:
            adjoint = adjoint + 1
        return (dparams + jax.vjp(start, params)[1](adjoint)[0],)

    solve.defvjp(fwd, bwd)
    return solve, plain

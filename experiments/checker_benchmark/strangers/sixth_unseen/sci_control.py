"""Control: a controller with limits."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def step_response(rng):
    gains = jnp.array([2.0, 1.0, 0.1])
    return gains, positive(rng, 15, low=0.8, high=1.2), 0.1, 1.5


@case(
    "PID controllers tuned by gradients in JAX: limits, a held integral",
    "control",
    step_response,
    Twin(
        "limits",
        "mask|region|predicate",
        "gains targets",
        "An output at its limit is pulled back as if it were free.",
    ),
    Twin(
        "held integral",
        "mask|region|predicate|term",
        "gains targets",
        "While the integral is held it has a gradient as if it had grown.",
    ),
    Twin(
        "error before",
        "term|path",
        "gains targets",
        "The difference's earlier error hands nothing back.",
    ),
    scales=(0.5, 1.0, 2.0),
)
def pid_saturation(slip):
    def run(gains, targets, dt, limit):
        def step(carry, target):
            x, total, last = carry
            error = target - x
            grown = total + dt * error
            terms = jnp.stack([error, grown, (error - last) / dt])
            wish = gains @ terms
            free = jnp.abs(wish) < limit
            u = jnp.clip(wish, -limit, limit)
            new = x + dt * (u - x)
            return (new, jnp.where(free, grown, total), error), (new, terms, free)

        zero = jnp.zeros((), targets.dtype)
        return lax.scan(step, (zero, zero, zero), targets)[1]

    def plain(gains, targets, dt, limit):
        return run(gains, targets, dt, limit)[0]

    control = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(gains, targets, dt, limit):
        out, terms, free = run(gains, targets, dt, limit)
        return out, (gains, terms, free)

    def bwd(dt, limit, res, g):
        gains, terms, free = res

        def back(carry, item):
            dx, dtotal, dlast, dgains = carry
            dy, terms, free = item
            dx = dx + dy
            dwish = dt * dx if slip == "limits" else jnp.where(free, dt * dx, 0)
            kp, ki, kd = gains * dwish
            grows = True if slip == "held integral" else free
            dgrown = ki + jnp.where(grows, dtotal, 0)
            derror = kp + kd / dt + dlast + dt * dgrown
            kept = ki + dtotal
            earlier = 0 * kd if slip == "error before" else -kd / dt
            new = (1 - dt) * dx - derror, kept, earlier, dgains + dwish * terms
            return new, derror

        zero = jnp.zeros((), g.dtype)
        start = zero, zero, zero, jnp.zeros_like(gains)
        out, dtargets = lax.scan(back, start, (g, terms, free), reverse=True)
        return out[-1], dtargets

    control.defvjp(fwd, bwd)
    return control, plain

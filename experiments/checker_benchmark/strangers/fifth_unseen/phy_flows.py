"""Flows: fluxes at faces and advection along trajectories."""

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


def gas(rng):
    """Density, momentum and energy on both sides of faces."""

    def side():
        density, speed = positive(rng, 6), normal(rng, 6)
        pressure = positive(rng, 6)
        energy = pressure / 0.4 + density * speed**2 / 2
        return jnp.stack([density, density * speed, energy])

    return side(), side(), 1.4


@case(
    "JAX-Fluids: Rusanov's flux (local Lax-Friedrichs) of the Euler equations",
    "numerical flux",
    gas,
    Twin(
        "speed held",
        "term|path",
        "left right",
        "The largest speed of the waves does not move with the states.",
    ),
    Twin(
        "speed of the left",
        "mask|region|swap|operand|term|path",
        "left right",
        "The largest speed is always pulled back to the left state.",
    ),
    Twin(
        "kinetic energy",
        "term|path",
        "left right",
        "The pressure's gradient goes to the energy and not to the momentum.",
    ),
)
def rusanov_flux(slip):
    def primitive(state, gamma):
        density, momentum, energy = state
        speed = momentum / density
        pressure = (gamma - 1) * (energy - momentum * speed / 2)
        return speed, pressure, jnp.sqrt(gamma * pressure / density)

    def physical(state, gamma):
        _, momentum, energy = state
        speed, pressure, _ = primitive(state, gamma)
        return jnp.stack(
            [momentum, momentum * speed + pressure, (energy + pressure) * speed]
        )

    def fastest(state, gamma):
        speed, _, sound = primitive(state, gamma)
        return jnp.abs(speed) + sound

    def plain(left, right, gamma):
        wave = jnp.maximum(fastest(left, gamma), fastest(right, gamma))
        mean = (physical(left, gamma) + physical(right, gamma)) / 2
        return mean - wave * (right - left) / 2

    flux = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(left, right, gamma):
        return plain(left, right, gamma), (left, right)

    def pull(state, gamma, g, dwave):
        density, momentum, energy = state
        speed, pressure, sound = primitive(state, gamma)
        side = jnp.where(speed >= 0, dwave, -dwave)
        dspeed = g[1] * momentum + g[2] * (energy + pressure) + side
        dpressure = g[1] + g[2] * speed + dwave * sound / (2 * pressure)
        ddensity = -dwave * sound / (2 * density)
        dmomentum, denergy = g[0] + g[1] * speed, g[2] * speed
        dinner = (gamma - 1) * dpressure
        denergy = denergy + dinner
        if slip != "kinetic energy":
            dmomentum = dmomentum - dinner * speed / 2
            dspeed = dspeed - dinner * momentum / 2
        dmomentum = dmomentum + dspeed / density
        ddensity = ddensity - dspeed * speed / density
        return jnp.stack([ddensity, dmomentum, denergy])

    def bwd(gamma, res, g):
        left, right = res
        fast = fastest(left, gamma), fastest(right, gamma)
        wave = jnp.maximum(*fast)
        dwave = -(g * (right - left)).sum(0) / 2
        share = (jnp.sign(fast[0] - fast[1]) + 1) / 2  # a half each where equal
        if slip == "speed held":
            dwave = jnp.zeros_like(dwave)
        if slip == "speed of the left":
            share = jnp.ones_like(share)
        dleft = pull(left, gamma, g / 2, dwave * share) + wave * g / 2
        dright = pull(right, gamma, g / 2, dwave * (1 - share)) - wave * g / 2
        return dleft, dright

    flux.defvjp(fwd, bwd)
    return flux, plain


def winds(rng):
    return normal(rng, 2, 10), normal(rng, 10), 0.5, 1.0


@case(
    "semi-Lagrangian advection in JAX weather models: cubic, on a circle of latitude",
    "advection",
    winds,
    Twin(
        "one departure kept",
        "duplicates|index",
        "tracer",
        "Where trajectories start in the same cell the last one is kept.",
    ),
    Twin(
        "Courant number",
        "ratio|factor|option|constant",
        "wind",
        "That the departure moves by dt over dx is left out.",
    ),
    Twin(
        "linear slope",
        "function|operand|term|path",
        "wind",
        "The wind's gradient is that of linear interpolation.",
    ),
    narrow=False,
)
def semi_lagrangian_step(slip):
    def departure(wind, dt, dx):
        n = wind.shape[0]
        at = jnp.arange(n, dtype=wind.dtype) - wind * (dt / dx)
        cell = jnp.floor(at)
        nodes = cell.astype(jnp.int32)[:, None] + jnp.arange(-1, 3)
        return nodes % n, at - cell

    def weights(s):
        w = (
            -s * (s - 1) * (s - 2) / 6,
            (s + 1) * (s - 1) * (s - 2) / 2,
            -(s + 1) * s * (s - 2) / 2,
            (s + 1) * s * (s - 1) / 6,
        )
        return jnp.stack(w, -1)

    def slopes(s):
        w = (
            -(3 * s * s - 6 * s + 2) / 6,
            (3 * s * s - 4 * s - 1) / 2,
            -(3 * s * s - 2 * s - 2) / 2,
            (3 * s * s - 1) / 6,
        )
        return jnp.stack(w, -1)

    def plain(tracer, wind, dt, dx):
        nodes, s = departure(wind, dt, dx)
        return (weights(s) * tracer[:, nodes]).sum(-1)

    advect = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(tracer, wind, dt, dx):
        return plain(tracer, wind, dt, dx), (tracer, wind)

    def bwd(dt, dx, res, g):
        tracer, wind = res
        nodes, s = departure(wind, dt, dx)
        parts = weights(s) * g[:, :, None]
        scatter = jnp.zeros_like(tracer).at[:, nodes]
        if slip == "one departure kept":
            dtracer = scatter.set(parts)
        else:
            dtracer = scatter.add(parts)
        if slip == "linear slope":
            along = tracer[:, nodes[:, 2]] - tracer[:, nodes[:, 1]]
        else:
            along = (slopes(s) * tracer[:, nodes]).sum(-1)
        dwind = -(along * g).sum(0)
        return dtracer, dwind if slip == "Courant number" else dwind * (dt / dx)

    advect.defvjp(fwd, bwd)
    return advect, plain

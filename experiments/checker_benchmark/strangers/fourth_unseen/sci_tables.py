"""Tables that a callback looks up; shallow water."""

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


def looked_up(places):
    def args(rng):
        return places(rng), normal(rng, 6), -1.0, 0.5

    return args


@case(
    "tables of measured values, looked up by NumPy in a pure_callback",
    "lookup",
    looked_up(lambda rng: positive(rng, 5, low=-0.9, high=1.4)),
    Twin(
        "beyond the table",
        "mask|region|predicate",
        "x",
        "Outside, where the table's ends are taken, the last slope goes on.",
        witness=looked_up(lambda rng: positive(rng, 5, low=-3, high=3)),
    ),
    Twin(
        "spacing",
        "ratio|factor|option|constant",
        "x",
        "The slope is that for entries that are 1 apart.",
    ),
    Twin(
        "nearest entry",
        "index|term|elements|factor",
        "table",
        "The table's gradient goes to the entry on the left alone.",
    ),
    options=by_reference,
    fixed=(0,),
    narrow=False,
)
def host_callback_spline(slip):
    def cell(x, entries, start, spacing):
        place = jnp.clip((x - start) / spacing, 0, entries - 1)
        left = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, entries - 2)
        return left, place - left

    def plain(x, table, start, spacing):
        left, share = cell(x, len(table), start, spacing)
        return (1 - share) * table[left] + share * table[left + 1]

    def on_host(x, table, start, spacing):
        def look_up(x, table):
            known = start + spacing * np.arange(len(table))
            return np.interp(x, known, table).astype(x.dtype)

        like = jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.pure_callback(look_up, like, x, table, vmap_method="sequential")

    interpolate = jax.custom_vjp(on_host, nondiff_argnums=(2, 3))

    def fwd(x, table, start, spacing):
        return on_host(x, table, start, spacing), (x, table)

    def bwd(start, spacing, res, g):
        x, table = res
        left, share = cell(x, len(table), start, spacing)
        slope = (table[left + 1] - table[left]) / (1 if slip == "spacing" else spacing)
        if slip != "beyond the table":
            end = start + spacing * (len(table) - 1)
            slope = jnp.where((x >= start) & (x <= end), slope, 0)
        if slip == "nearest entry":
            return g * slope, jnp.zeros_like(table).at[left].add(g)
        dtable = jnp.zeros_like(table).at[left].add(g * (1 - share))
        return g * slope, dtable.at[left + 1].add(g * share)

    interpolate.defvjp(fwd, bwd)
    return interpolate, plain


def basin(rng):
    height = 1 + 0.1 * normal(rng, 8)
    return height, 0.1 * normal(rng, 8), 5, 0.05


@case(
    "shallow water on a periodic line, stepped by lax.scan, in climate models in JAX",
    "time stepping",
    basin,
    Twin(
        "pressure",
        "term|path",
        "height velocity",
        "That the velocity feels the slope of the surface is left out.",
    ),
    Twin(
        "transport",
        "term|path|factor",
        "height velocity",
        "In the flux of mass the height is held fixed.",
    ),
    Twin(
        "differences not turned",
        "sign|transpose|index|operand",
        "height velocity",
        "Differences are pulled back by differences in the same direction.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def shallow_water_steps(slip):
    """Heights at centres, velocities at faces to their right; velocities go first."""

    def step(height, velocity, dt):
        rise = jnp.roll(height, -1) - height
        speed = 0.5 * (velocity**2 - jnp.roll(velocity, 1) ** 2)
        velocity = velocity - dt * (9.8 * rise + speed)
        flux = velocity * 0.5 * (height + jnp.roll(height, -1))
        return height - dt * (flux - jnp.roll(flux, 1)), velocity

    def plain(height, velocity, steps, dt):
        def one(state, _):
            return step(*state, dt), None

        return lax.scan(one, (height, velocity), None, steps)[0]

    solve = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(height, velocity, steps, dt):
        def one(state, _):
            after = step(*state, dt)
            return after, (*state, after[1])

        return lax.scan(one, (height, velocity), None, steps)

    def bwd(steps, dt, before, g):
        one_way = -1 if slip == "differences not turned" else 1

        def back(carry, item):
            dheight, dvelocity = carry
            height, velocity, new = item
            dflux = dt * (jnp.roll(dheight, -1) - dheight) * one_way
            middle = 0.5 * (height + jnp.roll(height, -1))
            dvelocity = dvelocity + dflux * middle
            if slip != "transport":
                half = 0.5 * dflux * new
                dheight = dheight + half + jnp.roll(half, 1)
            if slip != "pressure":
                drise = -dt * 9.8 * dvelocity
                dheight = dheight + jnp.roll(drise, 1) - drise
            turned = dvelocity - jnp.roll(dvelocity, -1)
            return (dheight, dvelocity - dt * velocity * turned), None

        return lax.scan(back, g, before, reverse=True)[0]

    solve.defvjp(fwd, bwd)
    return solve, plain

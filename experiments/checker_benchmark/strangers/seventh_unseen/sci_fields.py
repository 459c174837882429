"""Fields that are stepped in time, climates and distances in the universe."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def rod(rng):
    return *draw(u=(7,))(rng), positive(rng, 7), 0.1, 4


@case(
    "explicit steps of heat with varying conductivity in exponax, jax-cfd style codes",
    "time stepping",
    rod,
    Twin(
        "temperature after the step",
        "residual|index",
        "conductivity",
        "The fluxes are formed with the temperature after the step.",
    ),
    Twin(
        "own face",
        "term|sum|index|path",
        "conductivity",
        "A cell's conductivity gets its right face's share alone.",
    ),
    fixed=(1,),
    narrow=False,
)
def heat_flux_step(slip):
    def step(u, faces, rate):
        flux = faces * jnp.diff(u)
        none = jnp.zeros((1,), u.dtype)
        return u + rate * jnp.diff(jnp.concatenate([none, flux, none]))

    def between(conductivity):
        return 0.5 * (conductivity[1:] + conductivity[:-1])

    def history(u, conductivity, rate, steps):
        faces = between(conductivity)

        def body(u, _):
            after = step(u, faces, rate)
            return after, after if slip == "temperature after the step" else u

        return lax.scan(body, u, None, length=steps)

    def plain(u, conductivity, rate, steps):
        return history(u, conductivity, rate, steps)[0]

    advance = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(u, conductivity, rate, steps):
        last, kept = history(u, conductivity, rate, steps)
        return last, (kept, conductivity)

    def bwd(rate, steps, res, g):
        kept, conductivity = res
        faces = between(conductivity)

        def body(carry, u):
            lam, dfaces = carry
            dflux = -rate * jnp.diff(lam)
            # the step is symmetric in the temperature
            return (step(lam, faces, rate), dfaces + dflux * jnp.diff(u)), None

        start = (g, jnp.zeros_like(faces))
        (du, dfaces), _ = lax.scan(body, start, kept, reverse=True)
        left, right = jnp.pad(dfaces, (0, 1)), jnp.pad(dfaces, (1, 0))
        if slip == "own face":
            return du, 0.5 * left
        return du, 0.5 * (left + right)

    advance.defvjp(fwd, bwd)
    return advance, plain


@case(
    "upwind transport in a ring in jax-cfd, veros",
    "advection",
    lambda rng: (*draw(q=(8,), speed=(8,))(rng), 0.3),
    Twin(
        "downwind",
        "mask|predicate|region|swap|index",
        "q",
        "The cotangent goes to the cell downwind of the face.",
    ),
    Twin(
        "differences turned",
        "transpose|sign|index",
        "q speed",
        "The difference of the fluxes isn't transposed.",
    ),
    Twin(
        "own cell's value",
        "index|operand|mask",
        "speed",
        "The speed's gradient reads the cell right of the face for either sign.",
    ),
    fixed=(1,),
)
def upwind_transport(slip):
    def donors(q, speed):
        return jnp.where(speed > 0, jnp.roll(q, 1), q)

    def plain(q, speed, courant):
        flux = speed * donors(q, speed)
        return q - courant * (jnp.roll(flux, -1) - flux)

    move = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def bwd(courant, res, g):
        q, speed = res
        shift = -1 if slip == "differences turned" else 1
        dflux = -courant * (jnp.roll(g, shift) - g)
        ahead = speed <= 0 if slip == "downwind" else speed > 0
        ddonor = dflux * speed
        dq = g + jnp.where(ahead, 0, ddonor)
        dq = dq + jnp.roll(jnp.where(ahead, ddonor, 0), -1)
        read = q if slip == "own cell's value" else donors(q, speed)
        return dq, dflux * read

    move.defvjp(lambda q, s, c: (plain(q, s, c), (q, s)), bwd)
    return move, plain


def mixture(rng):
    fields = (
        positive(rng, 4, 5, low=0.2, high=1),
        positive(rng, 4, 5, low=0.1, high=1),
    )
    rates = {"feed": 0.055, "kill": 0.062, "spread_u": 0.16, "spread_v": 0.08}
    return fields, {n: jnp.asarray(v, jnp.float32) for n, v in rates.items()}, 3


@case(
    "patterns of Gray and Scott in exponax, phiflow",
    "reaction and diffusion",
    mixture,
    Twin(
        "power of the second",
        "factor|ratio",
        "fields rates",
        "The square of v is differentiated as v alone.",
    ),
    Twin(
        "kill holds no feed",
        "term|path",
        "rates",
        "The feed removes v as well: forgotten.",
    ),
    fixed=(0, 1),
    narrow=False,
)
def gray_scott_rollout(slip):
    def laplace(a):
        around = sum(jnp.roll(a, s, axis) for s in (1, -1) for axis in (0, 1))
        return around - 4 * a

    def step(fields, p):
        u, v = fields
        eaten = u * v * v
        after = u + p["spread_u"] * laplace(u) - eaten + p["feed"] * (1 - u)
        gone = (p["feed"] + p["kill"]) * v
        return after, v + p["spread_v"] * laplace(v) + eaten - gone

    def history(fields, rates, steps):
        def body(now, _):
            return step(now, rates), now

        return lax.scan(body, fields, None, length=steps)

    def plain(fields, rates, steps):
        return history(fields, rates, steps)[0]

    rollout = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(fields, rates, steps):
        last, kept = history(fields, rates, steps)
        return last, (kept, rates)

    def bwd(steps, res, g):
        kept, p = res
        power = 1 if slip == "power of the second" else 2

        def body(carry, now):
            (a, b), d = carry
            u, v = now
            made = b - a
            du = a + p["spread_u"] * laplace(a) - p["feed"] * a + made * v * v
            dv = b + p["spread_v"] * laplace(b) - (p["feed"] + p["kill"]) * b
            dkill = -(b * v).sum()
            dfeed = (a * (1 - u)).sum()
            if slip != "kill holds no feed":
                dfeed = dfeed + dkill
            here = {
                "feed": dfeed,
                "kill": dkill,
                "spread_u": (a * laplace(u)).sum(),
                "spread_v": (b * laplace(v)).sum(),
            }
            after = (du, dv + power * made * u * v)
            return (after, jax.tree.map(jnp.add, d, here)), None

        start = (g, jax.tree.map(jnp.zeros_like, p))
        (dfields, drates), _ = lax.scan(body, start, kept, reverse=True)
        return dfields, drates

    rollout.defvjp(fwd, bwd)
    return rollout, plain


def redshifts(rng):
    z = positive(rng, 5, low=0.1, high=2.0)
    values = {"h": 0.68, "matter": 0.31, "w": -0.9}
    return z, {n: jnp.asarray(v, jnp.float32) for n, v in values.items()}, 16


@case(
    "comoving distance in jax-cosmo",
    "quadrature",
    redshifts,
    Twin(
        "flatness",
        "term|path",
        "cosmology",
        "Dark energy is what matter leaves: its part of the derivative is missing.",
    ),
    Twin(
        "nodes constant",
        "term|path",
        "z",
        "The nodes move with the end of the interval: only the width's part is kept.",
    ),
    fixed=(0, 1),
    narrow=False,
)
def comoving_distance(slip):
    def rule(z, cosmology, nodes):
        t = jnp.linspace(0, 1, nodes + 1, dtype=z.dtype)
        weights = jnp.ones_like(t).at[0].set(0.5).at[-1].set(0.5) / nodes
        a = 1 + z[:, None] * t
        dark = a ** (3 * (1 + cosmology["w"]))
        matter = cosmology["matter"]
        rate2 = matter * a**3 + (1 - matter) * dark
        return t, weights, a, dark, rate2

    def plain(z, cosmology, nodes):
        _, weights, _, _, rate2 = rule(z, cosmology, nodes)
        return 2.998 / cosmology["h"] * z * (rate2**-0.5 @ weights)

    distance = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(z, cosmology, nodes):
        value = plain(z, cosmology, nodes)
        return value, (z, cosmology, value)

    def bwd(nodes, res, g):
        z, cosmology, value = res
        t, weights, a, dark, rate2 = rule(z, cosmology, nodes)
        matter, power = cosmology["matter"], 3 * (1 + cosmology["w"])
        scale = 2.998 / cosmology["h"]
        drate2 = -0.5 * rate2**-1.5 * weights * (g * scale * z)[:, None]
        slope = 3 * matter * a**2 + (1 - matter) * power * dark / a
        dz = g * scale * (rate2**-0.5 @ weights)
        if slip != "nodes constant":
            dz = dz + (drate2 * slope * t).sum(1)
        per_matter = a**3 if slip == "flatness" else a**3 - dark
        dcosmology = {
            "h": -(g * value).sum() / cosmology["h"],
            "matter": (drate2 * per_matter).sum(),
            "w": (drate2 * (1 - matter) * 3 * jnp.log(a) * dark).sum(),
        }
        return dz, dcosmology

    distance.defvjp(fwd, bwd)
    return distance, plain

"""Particles, rotations, rendering: rules of jax-md and of splatting."""

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
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def dimer(rng):
    grid = np.array([[0, 0, 0], [1.2, 0, 0], [0, 1.3, 0], [0, 0, 1.1], [1.2, 1.3, 1.1]])
    return jnp.asarray(grid + 0.08 * rng.normal(size=grid.shape), jnp.float32), 1.8


@case(
    "jax_md.energy.lennard_jones_pair with a cutoff",
    "energy of particles",
    dimer,
    Twin(
        "pairs once",
        "ratio|path|term|sum",
        "positions",
        "One particle of a pair.",
    ),
    Twin("no cutoff", "mask|region|predicate", "positions", "Forces beyond it."),
    Twin("force over r", "factor|operand|function", "positions", "dr is not over r."),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(1.0, 1.1),
)
def lennard_jones(slip):
    def pairs(x):
        d = x[:, None] - x
        r2 = (d * d).sum(-1) + jnp.eye(len(x), dtype=x.dtype)
        return d, r2

    def energy(positions, cutoff):
        _, r2 = pairs(positions)
        inside = (r2 < cutoff**2) & ~jnp.eye(len(positions), dtype=bool)
        s6 = r2**-3
        return 0.5 * jnp.where(inside, 4 * (s6 * s6 - s6), 0).sum()

    lj = jax.custom_vjp(energy, nondiff_argnums=(1,))

    def fwd(positions, cutoff):
        return energy(positions, cutoff), positions

    def bwd(cutoff, positions, g):
        d, r2 = pairs(positions)
        inside = ~jnp.eye(len(positions), dtype=bool)
        if slip != "no cutoff":
            inside = inside & (r2 < cutoff**2)
        s6 = r2**-3
        slope = 4 * (-12 * s6 * s6 + 6 * s6) / r2
        if slip == "force over r":
            slope = slope * jnp.sqrt(r2)
        force = jnp.where(inside, slope, 0)[..., None] * d
        if slip == "pairs once":
            force = (
                force * (jnp.arange(len(d))[:, None] < jnp.arange(len(d)))[..., None]
            )
        return (g * force.sum(1),)

    lj.defvjp(fwd, bwd)
    return lj, energy


@case(
    "reversible integrators in diffrax and blackjax",
    "time stepping",
    lambda rng: (normal(rng, 3), normal(rng, 3), positive(rng, 3), 0.1, 5),
    Twin("step forgotten", "factor|ratio|operand|option", "stiffness", "No time step."),
    Twin(
        "last half kick",
        "term|path|index",
        "momentum stiffness position",
        "The last half kick is not run back.",
    ),
    options=by_reference,
    fixed=(2,),
)
def leapfrog_integrator(slip):
    def force(q, k):
        return -k * jnp.sin(q)

    def plain(position, momentum, stiffness, dt, steps):
        q, p = position, momentum
        for _ in range(steps):
            p = p + dt / 2 * force(q, stiffness)
            q = q + dt * p
            p = p + dt / 2 * force(q, stiffness)
        return q, p

    def run(position, momentum, stiffness, dt, steps):
        def step(_, state):
            q, p = state
            p = p + dt / 2 * force(q, stiffness)
            q = q + dt * p
            return q, p + dt / 2 * force(q, stiffness)

        return lax.fori_loop(0, steps, step, (position, momentum))

    leapfrog = jax.custom_vjp(run, nondiff_argnums=(3, 4))

    def fwd(position, momentum, stiffness, dt, steps):
        end = run(position, momentum, stiffness, dt, steps)
        return end, (*end, stiffness)

    def bwd(dt, steps, res, g):
        def back(_, state):
            q, p, dq, dp, dk = state
            h = 1.0 if slip == "step forgotten" else dt
            p = p - dt / 2 * force(q, k)
            if slip != "last half kick":
                dq = dq - dp * dt / 2 * k * jnp.cos(q)
            dk = dk - dp * h / 2 * jnp.sin(q)
            q = q - dt * p
            dp = dp + dt * dq
            p = p - dt / 2 * force(q, k)
            dk = dk - dp * h / 2 * jnp.sin(q)
            dq = dq - dp * dt / 2 * k * jnp.cos(q)
            return q, p, dq, dp, dk

        q, p, k = res
        start = (q, p, *g, jnp.zeros_like(k))
        return lax.fori_loop(0, steps, back, start)[2:]

    leapfrog.defvjp(fwd, bwd)
    return leapfrog, plain


@case(
    "volume rendering of NeRFs in JAX",
    "rendering",
    lambda rng: (
        positive(rng, 3, 6),
        positive(rng, 3, 6, 3, low=0, high=1),
        positive(rng, 3, 6, low=0.1, high=0.4),
    ),
    Twin(
        "own opacity only",
        "path|term",
        "density distance",
        "What a sample hides behind it is not counted.",
    ),
    Twin(
        "shadow includes itself",
        "index|region",
        "density distance",
        "The sum of what is hidden starts one sample early.",
    ),
    Twin("distance forgotten", "factor|operand", "density", "Not times the distance."),
    fixed=(1,),
)
def alpha_composite(slip):
    def weights(density, distance):
        tau = density * distance
        before = jnp.exp(-(jnp.cumsum(tau, -1) - tau))
        return before * (1 - jnp.exp(-tau)), before * jnp.exp(-tau)

    @jax.custom_vjp
    def composite(density, colour, distance):
        w, _ = weights(density, distance)
        return (w[..., None] * colour).sum(-2)

    def fwd(density, colour, distance):
        return composite.fun(density, colour, distance), (density, colour, distance)

    def bwd(res, g):
        density, colour, distance = res
        w, after = weights(density, distance)
        seen = (colour * g[:, None]).sum(-1)
        behind = jnp.cumsum((w * seen)[:, ::-1], -1)[:, ::-1]
        if slip != "shadow includes itself":
            behind = behind - w * seen
        dtau = after * seen
        if slip != "own opacity only":
            dtau = dtau - behind
        dd = dtau if slip == "distance forgotten" else dtau * distance
        return dd, w[..., None] * g[:, None], dtau * density

    composite.defvjp(fwd, bwd)
    return composite, composite.fun


@case(
    "2D Gaussian splats with conics",
    "rendering",
    lambda rng: (
        normal(rng, 4, 2),
        positive(rng, 4, 2),
        normal(rng, 4, std=0.2),
        positive(rng, 4),
        normal(rng, 5, 2),
    ),
    Twin("off-diagonal halved", "ratio|factor", "skew", "The mixed term counts twice."),
    Twin("mean's sign", "sign", "mean", "d/dmean has the sign of d/dpixel."),
    fixed=(1, 3),
)
def gaussian_splat(slip):
    def offsets(mean, pixels):
        d = pixels[:, None] - mean
        return d[..., 0], d[..., 1]

    @jax.custom_vjp
    def splat(mean, diagonal, skew, opacity, pixels):
        x, y = offsets(mean, pixels)
        power = -0.5 * (diagonal[:, 0] * x * x + diagonal[:, 1] * y * y) - skew * x * y
        return (opacity * jnp.exp(jnp.minimum(power, 3.0))).sum(1)

    def fwd(mean, diagonal, skew, opacity, pixels):
        out = splat.fun(mean, diagonal, skew, opacity, pixels)
        return out, (mean, diagonal, skew, opacity, pixels)

    def bwd(res, g):
        mean, diagonal, skew, opacity, pixels = res
        x, y = offsets(mean, pixels)
        power = -0.5 * (diagonal[:, 0] * x * x + diagonal[:, 1] * y * y) - skew * x * y
        bell = jnp.exp(jnp.minimum(power, 3.0)) * g[:, None]
        dpower = jnp.where(power < 3.0, bell * opacity, 0)
        along = (diagonal[:, 0] * x + skew * y, diagonal[:, 1] * y + skew * x)
        moved = jnp.stack([dpower * a for a in along], -1)
        mixed = 0.5 if slip == "off-diagonal halved" else 1.0
        dmean = moved.sum(0)
        return (
            -dmean if slip == "mean's sign" else dmean,
            -0.5 * jnp.stack([(dpower * x * x).sum(0), (dpower * y * y).sum(0)], -1),
            -mixed * (dpower * x * y).sum(0),
            bell.sum(0),
            -moved.sum(1),
        )

    splat.defvjp(fwd, bwd)
    return splat, splat.fun


@case(
    "brax.math.rotate",
    "rotation",
    lambda rng: (normal(rng, 3), unit_rows(rng, 4)),
    Twin("inverse for the vector", "transpose|function|sign", "v", "Not back."),
    Twin("cross terms", "factor|term|ratio", "q", "The s u x v term is counted once."),
)
def quaternion_rotate(slip):
    @jax.custom_vjp
    def rotate(v, q):
        s, u = q[0], q[1:]
        return 2 * (u @ v) * u + (s * s - u @ u) * v + 2 * s * jnp.cross(u, v)

    def fwd(v, q):
        return rotate.fun(v, q), (v, q)

    def bwd(res, g):
        v, q = res
        s, u = q[0], q[1:]
        turn = jnp.cross(g, u)
        if slip == "inverse for the vector":
            turn = jnp.cross(u, g)
        dv = 2 * (u @ g) * u + (s * s - u @ u) * g + 2 * s * turn
        twice = 1 if slip == "cross terms" else 2
        ds = 2 * s * (v @ g) + twice * g @ jnp.cross(u, v)
        du = 2 * ((g @ u) * v + (u @ v) * g - (v @ g) * u + s * jnp.cross(v, g))
        return dv, jnp.concatenate([ds[None], du])

    rotate.defvjp(fwd, bwd)
    return rotate, rotate.fun

"""Particles: a repulsion, moments and a thermostat."""

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


def chain(rng):
    grid = jnp.stack(jnp.meshgrid(*[jnp.arange(2.0)] * 3), -1).reshape(-1, 3)[:6]
    first = jnp.asarray([0, 0, 1, 2, 3, 4, 0], jnp.int32)
    second = jnp.asarray([1, 2, 3, 3, 5, 5, 0], jnp.int32)
    real = jnp.arange(7) < 6
    spread = positive(rng, 6, low=0.7, high=1.3)
    return (
        grid + normal(rng, 6, 3, std=0.1),
        spread,
        jnp.float32(0.8),
        first,
        second,
        real,
    )


@case(
    "Weeks-Chandler-Andersen pairs with mixed diameters, as written for jax-md",
    "pair energy with a cutoff and padded pairs",
    chain,
    Twin(
        "reaction",
        "sign|term|path",
        "positions",
        "The second atom of a pair gets no force.",
    ),
    Twin(
        "cutoff in the forward only",
        "mask|region",
        "positions diameters depth",
        "Pairs beyond the minimum have the gradients of Lennard-Jones.",
    ),
    Twin(
        "half of the mix",
        "factor|ratio",
        "diameters",
        "The mean of the two diameters is pulled back as their sum.",
    ),
    narrow=False,
)
def wca_energy(slip):
    def pairs(positions, diameters, first, second, real):
        apart = positions[first] - positions[second]
        mixed = (diameters[first] + diameters[second]) / 2
        r2 = (apart * apart).sum(-1)
        inside = real & (r2 < 2 ** (1 / 3) * mixed * mixed)
        r2 = jnp.where(real & ((r2 > 0) | (mixed != 0)), r2, 1)
        return apart, mixed, r2, mixed * mixed / r2, inside

    @jax.custom_vjp
    def energy(positions, diameters, depth, first, second, real):
        *_, x, inside = pairs(positions, diameters, first, second, real)
        each = 4 * depth * (x**6 - x**3) + depth
        return jnp.where(inside, each, 0).sum()

    def fwd(positions, diameters, depth, first, second, real):
        args = (positions, diameters, depth, first, second, real)
        return energy.fun(*args), args

    def bwd(args, g):
        positions, diameters, depth, first, second, real = args
        apart, mixed, r2, x, inside = pairs(positions, diameters, first, second, real)
        if slip == "cutoff in the forward only":
            inside = real
        slope = jnp.where(inside, 4 * depth * g * (6 * x**5 - 3 * x**2), 0)
        ddepth = g * jnp.where(inside, 4 * (x**6 - x**3) + 1, 0).sum()
        dapart = (-2 * slope * x / r2)[:, None] * apart
        dpositions = jnp.zeros_like(positions).at[first].add(dapart)
        if slip != "reaction":
            dpositions = dpositions.at[second].add(-dapart)
        dmixed = 2 * slope * mixed / r2
        each = dmixed if slip == "half of the mix" else dmixed / 2
        ddiameters = jnp.zeros_like(diameters).at[first].add(each).at[second].add(each)
        return dpositions, ddiameters, ddepth, None, None, None

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def cluster(rng):
    return normal(rng, 6, 3), positive(rng, 6), jnp.arange(6) < 5


@case(
    "radius of gyration as a collective variable (plumed) in jax ports",
    "collective variable with padded atoms",
    cluster,
    Twin(
        "plain centre",
        "function|operand|factor",
        "positions masses",
        "The backward's centre is not weighted by mass.",
    ),
    Twin(
        "total mass",
        "term|path",
        "masses",
        "The masses' gradient lacks the part through their sum.",
    ),
    Twin(
        "padded atoms",
        "mask",
        "masses",
        "Atoms that are padding have a gradient.",
    ),
)
def gyration_radius(slip):
    def squares(positions, masses, real):
        masses = jnp.where(real, masses, 0)
        total = masses.sum()
        centre = (masses[:, None] * positions).sum(0) / total
        if slip == "plain centre":
            centre = jnp.where(real[:, None], positions, 0).sum(0) / real.sum()
        off = positions - centre
        return masses, total, off, (off * off).sum(-1)

    def plain(positions, masses, real):
        masses = jnp.where(real, masses, 0)
        total = masses.sum()
        off = positions - (masses[:, None] * positions).sum(0) / total
        return jnp.sqrt((masses * (off * off).sum(-1)).sum() / total + 1e-6)

    radius = jax.custom_vjp(plain)

    def fwd(positions, masses, real):
        value = plain(positions, masses, real)
        return value, (positions, masses, real, value)

    def bwd(res, g):
        positions, masses, real, value = res
        kept, total, off, square = squares(positions, masses, real)
        scale = g / (value * total)
        mean = 0 if slip == "total mass" else (kept * square).sum() / total
        dmasses = scale * (square - mean) / 2
        if slip != "padded atoms":
            dmasses = jnp.where(real, dmasses, 0)
        return scale * kept[:, None] * off, dmasses, None

    radius.defvjp(fwd, bwd)
    return radius, plain


@case(
    "charges corrected to the total and dipoles of PhysNet in JAX ports",
    "sums by molecule with two outputs",
    lambda rng: (
        normal(rng, 7),
        normal(rng, 7, 3),
        jnp.asarray([1.0, 0.0, -1.0], jnp.float32),
        jnp.asarray([0, 0, 1, 1, 1, 2, 3], jnp.int32),
    ),
    Twin(
        "correction is constant",
        "term|path|sum",
        "charges",
        "The mean that is subtracted from the charges is taken as a constant.",
    ),
    Twin(
        "charges as given",
        "residual|operand",
        "positions",
        "The positions get the charges from before the correction.",
    ),
    Twin(
        "charges' own cotangent",
        "term|path",
        "charges total",
        "The cotangent of the corrected charges is left out.",
    ),
)
def charge_dipole_moment(slip):
    def add(values, molecule, count):
        return jax.ops.segment_sum(values, molecule, count)

    def spread(table, molecule):
        at = jnp.clip(molecule, 0, len(table) - 1)
        real = (molecule >= 0) & (molecule < len(table))
        return jnp.where(real.reshape(-1, *[1] * (table.ndim - 1)), table[at], 0)

    def sizes(molecule, count):
        return jnp.maximum(add(jnp.ones(len(molecule), jnp.int32), molecule, count), 1)

    @jax.custom_vjp
    def moments(charges, positions, total, molecule):
        missing = total - add(charges, molecule, len(total))
        share = missing / sizes(molecule, len(total))
        fixed = charges + spread(share, molecule)
        return add(fixed[:, None] * positions, molecule, len(total)), fixed

    def fwd(charges, positions, total, molecule):
        out = moments.fun(charges, positions, total, molecule)
        kept = charges if slip == "charges as given" else out[1]
        return out, (kept, positions, total, molecule)

    def bwd(res, g):
        charges, positions, total, molecule = res
        gdipole, gfixed = g
        each = spread(gdipole, molecule)
        dfixed = (each * positions).sum(-1)
        if slip != "charges' own cotangent":
            dfixed = dfixed + gfixed
        dtotal = add(dfixed, molecule, len(total)) / sizes(molecule, len(total))
        dtotal = dtotal.astype(total.dtype)
        dcharges = dfixed
        if slip != "correction is constant":
            dcharges = dcharges - spread(dtotal, molecule)
        return dcharges, charges[:, None] * each, dtotal, None

    moments.defvjp(fwd, bwd)
    return moments, moments.fun


def heat_bath(rng):
    state = {"v": normal(rng, 5, 3), "xi": jnp.float32(0.3)}
    return state, positive(rng, 5), jnp.float32(0.9), 0.1, 6.0


@case(
    "half step of the Nose-Hoover thermostat in jax-md",
    "time stepping with a pytree",
    heat_bath,
    Twin(
        "friction of the velocities",
        "term|path",
        "state",
        "The velocities' part through the kinetic energy is left out.",
    ),
    Twin(
        "scaled velocities kept",
        "residual|operand",
        "state masses temperature",
        "The backward uses the velocities after they were scaled.",
    ),
    Twin(
        "degrees of freedom",
        "factor|ratio",
        "temperature",
        "The temperature's gradient lacks the number of degrees of freedom.",
    ),
)
def nose_hoover_scale(slip):
    def plain(state, masses, temperature, dt, inertia):
        v, xi = state["v"], state["xi"]
        twice = (masses[:, None] * v * v).sum()
        xi = xi + dt / 2 * (twice - v.size * temperature) / inertia
        return {"v": v * jnp.exp(-xi * dt / 2), "xi": xi}

    step = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(state, masses, temperature, dt, inertia):
        new = plain(state, masses, temperature, dt, inertia)
        v = new["v"] if slip == "scaled velocities kept" else state["v"]
        return new, (v, new["xi"], masses)

    def bwd(dt, inertia, res, g):
        v, xi, masses = res
        scale = jnp.exp(-xi * dt / 2)
        dxi = g["xi"] - dt / 2 * scale * (g["v"] * v).sum()
        push = dxi * (dt / 2 / inertia)
        dv = scale * g["v"]
        if slip != "friction of the velocities":
            dv = dv + 2 * push * masses[:, None] * v
        count = 1 if slip == "degrees of freedom" else v.size
        return {"v": dv, "xi": dxi}, push * (v * v).sum(-1), -push * count

    step.defvjp(fwd, bwd)
    return step, plain

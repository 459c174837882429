"""Energies, forces and densities of particles."""

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


def ions(rng):
    x = jnp.asarray(rng.permutation(8)[:6, None] * [1.0, 0.3, -0.4], jnp.float32)
    table = [[1, 2, 6], [0, 2, 4], [0, 6, 6], [1, 4, 5], [3, 1, 6], [6, 6, 6]]
    kappa = jnp.asarray(0.4, jnp.float32)
    neighbours = jnp.asarray(table, jnp.int32)
    return x + normal(rng, 6, 3, std=0.1), normal(rng, 6), kappa, neighbours


@case(
    "screened Coulomb forces over padded neighbour lists in jax-md",
    "forces with a neighbour list",
    ions,
    Twin(
        "padding",
        "mask|index",
        "positions charges",
        "The padded neighbours are read as the last particle.",
    ),
    Twin(
        "reaction",
        "term|path|index",
        "positions",
        "The neighbours' own positions get nothing back.",
    ),
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "charges",
        "A particle in several lists keeps one share for its charge.",
    ),
)
def yukawa_neighbour_forces(slip):
    def pairs(x, charges, kappa, neighbours):
        seen = neighbours < x.shape[0]
        other = jnp.where(seen, neighbours, x.shape[0] - 1)
        d = jnp.where(seen[..., None], x[:, None] - x[other], 1.0)
        r = jnp.sqrt((d * d).sum(-1))
        h = jnp.exp(-kappa * r) * (1 + kappa * r) / r**3
        return seen, other, d, r, h

    @jax.custom_vjp
    def forces(positions, charges, kappa, neighbours):
        seen, other, d, _, h = pairs(positions, charges, kappa, neighbours)
        strength = jnp.where(seen, charges[:, None] * charges[other] * h, 0)
        return (strength[..., None] * d).sum(1)

    plain = forces.fun

    def fwd(positions, charges, kappa, neighbours):
        res = (positions, charges, kappa, neighbours)
        return plain(*res), res

    def bwd(res, g):
        x, charges, kappa, neighbours = res
        seen, other, d, r, h = pairs(x, charges, kappa, neighbours)
        if slip == "padding":
            seen = jnp.ones_like(seen)
        along = (d * g[:, None]).sum(-1)
        product = jnp.where(seen, charges[:, None] * charges[other], 0)
        decay = jnp.exp(-kappa * r)
        slope = -decay * (kappa**2 * r**2 + 3 * kappa * r + 3) / r**4
        dd = product[..., None] * h[..., None] * g[:, None]
        dd = dd + (product * slope * along / r)[..., None] * d
        dx = dd.sum(1)
        if slip != "reaction":
            dx = dx.at[other].add(-dd)
        dproduct = jnp.where(seen, h * along, 0)
        shares = dproduct * charges[:, None]
        dcharges = (dproduct * charges[other]).sum(1)
        if slip == "last one wins":
            dcharges = dcharges + jnp.zeros_like(charges).at[other].set(shares)
        else:
            dcharges = dcharges.at[other].add(shares)
        dkappa = (product * along * -kappa * decay / r).sum()
        return dx, dcharges, dkappa, None

    forces.defvjp(fwd, bwd)
    return forces, plain


def alchemical(rng):
    r = positive(rng, 5, low=0.4, high=2.5)
    return r, positive(rng, 5), positive(rng, 5), jnp.asarray(0.35, jnp.float32), 0.5


@case(
    "soft-core Lennard-Jones of alchemical free energies in timemachine, jax-md ports",
    "pair energy with a coupling parameter",
    alchemical,
    Twin(
        "core fixed",
        "term|path",
        "coupling",
        "The coupling scales the energy but also softens the core: forgotten.",
    ),
    Twin(
        "one power less",
        "factor|ratio|function|operand",
        "sigma",
        "The derivative by sigma has the power that the one by r has.",
    ),
    Twin(
        "coupling left out",
        "factor|ratio",
        "epsilon",
        "The depth's gradient lacks the coupling.",
    ),
    fixed=(3,),
)
def soft_core_alchemical(slip):
    def plain(r, sigma, epsilon, coupling, alpha):
        s = alpha * (1 - coupling) + (r / sigma) ** 6
        return 4 * coupling * epsilon * (1 / s**2 - 1 / s)

    energy = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(r, sigma, epsilon, coupling, alpha):
        ratio = (r / sigma) ** 6
        inverse = 1 / (alpha * (1 - coupling) + ratio)
        value = 4 * coupling * epsilon * (inverse**2 - inverse)
        return value, (r, sigma, epsilon, coupling, inverse)

    def bwd(alpha, res, g):
        r, sigma, epsilon, coupling, inverse = res
        shape = 4 * (inverse**2 - inverse)
        ds = g * 4 * coupling * epsilon * (inverse**2 - 2 * inverse**3)
        dr = ds * 6 * (r / sigma) ** 5 / sigma
        dsigma = -dr if slip == "one power less" else -dr * r / sigma
        depsilon = g * shape * (1 if slip == "coupling left out" else coupling)
        dcoupling = (g * shape * epsilon).sum()
        if slip != "core fixed":
            dcoupling = dcoupling - alpha * ds.sum()
        return dr, dsigma, depsilon, dcoupling

    energy.defvjp(fwd, bwd)
    return energy, plain


def smeared(rng):
    r = jnp.asarray([0.7, 1.9, 2.6, 3.3, 5.4, 4.1], jnp.float32)
    centres = jnp.linspace(0.5, 4.5, 4, dtype=jnp.float32)
    return r + normal(rng, 6, std=0.1), centres, jnp.asarray(0.8, jnp.float32), 5.0


@case(
    "Gaussian basis with a cosine cutoff in schnetpack, e3nn-jax",
    "basis of distances",
    smeared,
    Twin(
        "cutoff constant",
        "term|path",
        "r",
        "The cutoff's own slope is not in the gradient of the distance.",
    ),
    Twin(
        "beyond the cutoff",
        "mask|region|predicate",
        "r",
        "Distances beyond the cutoff have a gradient.",
    ),
    Twin(
        "square of the width",
        "factor|function|ratio|operand",
        "width",
        "Divided by the width's square where its cube belongs.",
    ),
    fixed=(0,),
    narrow=False,
)
def gaussian_smearing_cutoff(slip):
    def parts(r, centres, width, cutoff):
        away = r[:, None] - centres
        smooth = 0.5 * (jnp.cos(jnp.pi * r / cutoff) + 1)
        return away, jnp.exp(-0.5 * (away / width) ** 2), smooth, r < cutoff

    def plain(r, centres, width, cutoff):
        _, bells, smooth, inside = parts(r, centres, width, cutoff)
        return bells * jnp.where(inside, smooth, 0)[:, None]

    basis = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(r, centres, width, cutoff):
        return plain(r, centres, width, cutoff), {"r": r, "c": centres, "w": width}

    def bwd(cutoff, res, g):
        width = res["w"]
        away, bells, smooth, inside = parts(res["r"], res["c"], width, cutoff)
        slope = -0.5 * jnp.pi / cutoff * jnp.sin(jnp.pi * res["r"] / cutoff)
        dbells = g * bells * jnp.where(inside, smooth, 0)[:, None]
        dr = -(dbells * away).sum(1) / width**2
        if slip != "cutoff constant":
            through = (g * bells).sum(1) * slope
            outside = 0 if slip != "beyond the cutoff" else through
            dr = dr + jnp.where(inside, through, outside)
        power = 2 if slip == "square of the width" else 3
        dwidth = (dbells * away**2).sum() / width**power
        return dr, (dbells * away).sum(0) / width**2, dwidth

    basis.defvjp(fwd, bwd)
    return basis, plain


def fluid(rng):
    spots = jnp.asarray(rng.permutation(9)[:7], jnp.float32)
    grid = jnp.stack([spots // 3, spots % 3], 1) * 0.7
    h = positive(rng, 7, low=0.45, high=0.7)
    return grid + normal(rng, 7, 2, std=0.1), positive(rng, 7), h


@case(
    "density of smoothed particles with a cubic spline kernel in JAX-SPH",
    "kernel sum over particles",
    fluid,
    Twin(
        "normalisation",
        "term|path",
        "lengths",
        "The kernel's normalisation holds the smoothing length too: forgotten.",
    ),
    Twin(
        "no support",
        "mask|region|predicate",
        "positions lengths",
        "The outer branch's slope is used beyond the kernel's support.",
    ),
    Twin(
        "the other's length",
        "index|swap|transpose|operand",
        "positions lengths",
        "The neighbour's smoothing length is read in the backward pass.",
    ),
)
def sph_density(slip):
    unit = 10 / (7 * jnp.pi)

    def distances(x):
        d = x[:, None] - x[None]
        self = jnp.eye(x.shape[0], dtype=bool)
        r = jnp.where(self, 0, jnp.sqrt(jnp.where(self, 1, (d * d).sum(-1))))
        return d, self, r

    def kernel(q):
        outer = jnp.where(q < 2, 0.25 * (2 - q) ** 3, 0)
        return jnp.where(q < 1, 1 - 1.5 * q**2 + 0.75 * q**3, outer)

    @jax.custom_vjp
    def density(positions, masses, lengths):
        q = distances(positions)[2] / lengths[:, None]
        return (unit * kernel(q) / lengths[:, None] ** 2) @ masses

    plain = density.fun

    def fwd(positions, masses, lengths):
        return plain(positions, masses, lengths), (positions, masses, lengths)

    def bwd(res, g):
        x, masses, lengths = res
        d, self, r = distances(x)
        h = lengths[None] if slip == "the other's length" else lengths[:, None]
        q = r / h
        outer = -0.75 * (2 - q) ** 2
        if slip != "no support":
            outer = jnp.where(q < 2, outer, 0)
        slope = jnp.where(q < 1, -3 * q + 2.25 * q**2, outer)
        weight = g[:, None] * masses[None] * unit / h**2
        pull = weight * slope / (h * jnp.where(self, 1, r))
        dd = jnp.where(self, 0, pull)[..., None] * d
        dh = -weight * slope * q / h
        if slip != "normalisation":
            dh = dh - 2 * weight * kernel(q) / h
        dmasses = (unit * kernel(r / lengths[:, None]) / lengths[:, None] ** 2).T @ g
        return dd.sum(1) - dd.sum(0), dmasses, dh.sum(1)

    density.defvjp(fwd, bwd)
    return density, plain

"""Molecules: rigid bonds, an exchange functional, a Jastrow factor."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)

WATER = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], np.float32)


def water(rng):
    bonds, masses = ((0, 1), (0, 2), (1, 2)), (16.0, 1.0, 1.0)
    moved = normal(rng, 3, 3, std=0.05) + WATER
    lengths = jnp.array([0.96, 0.96, 1.52])
    return moved, jnp.asarray(WATER), lengths, bonds, masses


@case(
    "rigid bonds by SHAKE in molecular dynamics in JAX, Newton's steps on multipliers",
    "constraints",
    water,
    Twin(
        "not transposed",
        "transpose",
        "positions reference lengths",
        "The multipliers' matrix is solved with as in the forward.",
    ),
    Twin(
        "old bonds held",
        "term|path|zero",
        "reference",
        "The forces act along the old bonds, which are taken for constants.",
    ),
    Twin(
        "equal masses",
        "factor|ratio|operand",
        "positions reference lengths",
        "The cotangents go to the multipliers without the inverse masses.",
    ),
    narrow=False,
)
def shake_bond_constraint(slip):
    def rows(positions, bonds):
        """Of the constraints' gradients, a row of (atoms, 3) for each bond."""
        i, j = np.array(bonds).T
        d = 2 * (positions[i] - positions[j])
        out = jnp.zeros((len(bonds), *positions.shape), positions.dtype)
        number = np.arange(len(bonds))
        return out.at[number, i].add(d).at[number, j].add(-d)

    def inverse(masses, dtype):
        return (1 / jnp.array(masses, dtype))[:, None]

    def multipliers(positions, reference, lengths, bonds, masses):
        i, j = np.array(bonds).T
        pushes = inverse(masses, positions.dtype) * rows(reference, bonds)

        def step(_, forces):
            moved = positions + jnp.einsum("b,bad->ad", forces, pushes)
            off = ((moved[i] - moved[j]) ** 2).sum(-1) - lengths**2
            matrix = jnp.einsum("bad,cad->bc", rows(moved, bonds), pushes)
            return forces - jnp.linalg.solve(matrix, off)

        forces = lax.fori_loop(0, 7, step, jnp.zeros_like(lengths))
        return forces, positions + jnp.einsum("b,bad->ad", forces, pushes)

    def plain(positions, reference, lengths, bonds, masses):
        return multipliers(positions, reference, lengths, bonds, masses)[1]

    shake = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(positions, reference, lengths, bonds, masses):
        found = multipliers(positions, reference, lengths, bonds, masses)
        return found[1], (reference, lengths, *found)

    def bwd(bonds, masses, res, g):
        reference, lengths, forces, moved = res
        weight = inverse(masses, g.dtype)
        now, before = rows(moved, bonds), rows(reference, bonds)
        matrix = jnp.einsum("bad,cad->bc", now, weight * before)
        seen = g if slip == "equal masses" else weight * g
        seen = jnp.einsum("bad,ad->b", before, seen)
        matrix = matrix if slip == "not transposed" else matrix.T
        solved = jnp.linalg.solve(matrix, seen)
        dx = g - jnp.einsum("b,bad->ad", solved, now)
        i, j = np.array(bonds).T
        y = weight * dx
        pulled = 2 * forces[:, None] * (y[i] - y[j])
        dreference = jnp.zeros_like(reference)
        if slip != "old bonds held":
            dreference = dreference.at[i].add(pulled).at[j].add(-pulled)
        return dx, dreference, 2 * lengths * solved

    shake.defvjp(fwd, bwd)
    return shake, plain


def electron_gas(rng):
    return positive(rng, 9, low=0.05, high=1.5), positive(rng, 9, low=0.0, high=0.5)


def with_a_void(rng):
    density, sigma = electron_gas(rng)
    return density.at[0].set(0), sigma.at[0].set(0)


@case(
    "exchange of Perdew, Burke and Ernzerhof on grid points, in JAX functionals",
    "density functional",
    electron_gas,
    Twin(
        "enhancement held",
        "term|path",
        "density",
        "The potential is that of the uniform gas, times the enhancement.",
    ),
    Twin(
        "gradient's power",
        "ratio|factor|constant",
        "density",
        "The reduced gradient goes with -4/3 of the density; its square is needed.",
    ),
    Twin(
        "no density",
        "edge|nan|finite",
        "sigma",
        "Where there are no electrons, a density of zero divides.",
        witness=with_a_void,
    ),
)
def pbe_exchange(slip):
    kappa, mu = 0.804, 0.2195149727645171
    front = -0.75 * (3 / np.pi) ** (1 / 3)
    unit = 4 * (3 * np.pi**2) ** (2 / 3)

    def parts(density, sigma):
        some = density > 0
        n = jnp.where(some, density, 1)
        reduced = sigma / (unit * n ** (8 / 3))
        below = 1 + mu / kappa * reduced
        return some, n, below, 1 + kappa - kappa / below

    def plain(density, sigma):
        some, n, _, enhancement = parts(density, sigma)
        return jnp.where(some, front * n ** (4 / 3) * enhancement, 0)

    exchange = jax.custom_vjp(plain)

    def fwd(density, sigma):
        return plain(density, sigma), (density, sigma)

    def bwd(res, g):
        density, sigma = res
        some, n, below, enhancement = parts(density, sigma)
        if slip == "no density":
            n, some = density, True
        third = jnp.cbrt(n)
        potential = 4 / 3 * front * third * enhancement
        if slip != "enhancement held":
            moved = kappa / below * (1 - 1 / below)
            power = 4 / 3 if slip == "gradient's power" else 8 / 3
            potential = potential - power * front * third * moved
        towards = front * mu / below**2 / (unit * third**4)
        return jnp.where(some, g * potential, 0), jnp.where(some, g * towards, 0)

    exchange.defvjp(fwd, bwd)
    return exchange, plain


def walkers(rng):
    return normal(rng, 3, 4, 3), jnp.array([1.0, 1.0]), 2


@case(
    "Jastrow factors of FermiNet and Psiformer: cusps between electrons of either spin",
    "wave function",
    walkers,
    Twin(
        "slope of the fraction",
        "ratio|factor|function",
        "electrons",
        "The slope of r / (1 + b r) has the square of its denominator.",
    ),
    Twin(
        "first of a pair",
        "term|path|sum|transpose",
        "electrons",
        "The second electron of a pair feels nothing.",
    ),
    Twin(
        "spins exchanged",
        "swap|index",
        "widths",
        "The gradients of the parallel and of the antiparallel width change places.",
    ),
)
def jastrow_factor(slip):
    def pairs(electrons, widths, up):
        first, second = np.triu_indices(electrons.shape[1], 1)
        parallel = (first < up) == (second < up)
        d = electrons[:, first] - electrons[:, second]
        squared = (d * d).sum(-1)
        apart = squared > 0
        r = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)
        cusp = jnp.where(parallel, 0.25, 0.5).astype(r.dtype)
        below = 1 + jnp.where(parallel, widths[0], widths[1]) * r
        return first, second, parallel, d, r, cusp, below

    def plain(electrons, widths, up):
        *_, r, cusp, below = pairs(electrons, widths, up)
        return (cusp * r / below).sum(-1)

    jastrow = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(electrons, widths, up):
        return plain(electrons, widths, up), (electrons, widths)

    def bwd(up, res, g):
        electrons, widths = res
        first, second, parallel, d, r, cusp, below = pairs(electrons, widths, up)
        power = 1 if slip == "slope of the fraction" else 2
        slope = g[:, None] * cusp / below**power
        along = (slope / jnp.where(r > 0, r, 1))[..., None] * d
        dx = jnp.zeros_like(electrons).at[:, first].add(along)
        if slip != "first of a pair":
            dx = dx.at[:, second].add(-along)
        fall = -g[:, None] * cusp * (r / below) ** 2
        sums = [jnp.where(parallel, fall, 0).sum(), jnp.where(parallel, 0, fall).sum()]
        return dx, jnp.stack(sums[::-1] if slip == "spins exchanged" else sums)

    jastrow.defvjp(fwd, bwd)
    return jastrow, plain

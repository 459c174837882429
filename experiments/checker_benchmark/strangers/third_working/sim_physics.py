"""Particles, lattices and light: potentials, collisions, propagation."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def edges(rng):
    frequencies = jnp.asarray(np.pi * np.arange(1, 5), jnp.float32)
    return positive(rng, 7, low=0.8, high=4.5), frequencies, 5.0, 6


@case(
    "radial Bessel basis with a polynomial envelope in nequip and jax-md",
    "radial basis",
    edges,
    Twin(
        "envelope constant",
        "term|path",
        "r",
        "The envelope's slope is left out.",
    ),
    Twin(
        "beyond the cutoff",
        "mask|region|predicate",
        "r frequencies",
        "The polynomial is pulled back where the envelope is 0.",
        witness=lambda rng: (positive(rng, 7, low=4.0, high=6.0), *edges(rng)[1:]),
    ),
    Twin(
        "slope per cutoff",
        "factor|option|ratio|constant",
        "r",
        "The frequencies' part is for distances in units of the cutoff.",
    ),
    narrow=False,
    scales=(0.1, 0.5, 1.0, 1.5),
)
def radial_bessel_basis(slip):
    def envelope(x, p):
        inside = x < 1
        x = jnp.where(inside, x, 0)
        a, b, c = (p + 1) * (p + 2) / 2, p * (p + 2), p * (p + 1) / 2
        return jnp.where(inside, 1 - x**p * (a - x * (b - c * x)), 0)

    def envelope_slope(x, p):
        slope = -p * (p + 1) * (p + 2) / 2 * x ** (p - 1) * (1 - x) ** 2
        return slope if slip == "beyond the cutoff" else jnp.where(x < 1, slope, 0)

    def plain(r, frequencies, cutoff, p):
        x = (r / cutoff)[:, None]
        wave = jnp.sinc(frequencies * x / jnp.pi) * frequencies / cutoff
        return jnp.sqrt(2 / cutoff) * wave * envelope(x, p)

    def sinc_slope(z):
        """(cos z - sin z / z) / z, by its series where that would cancel."""
        small = jnp.abs(z) < 1
        far = jnp.where(small, 1, z)
        near = jnp.where(small, z, 0)
        series = sum(
            (-1) ** k * 2 * k / math.factorial(2 * k + 1) * near ** (2 * k - 1)
            for k in range(1, 9)
        )
        return jnp.where(small, series, (jnp.cos(far) - jnp.sin(far) / far) / far)

    basis = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(r, frequencies, cutoff, p):
        return plain(r, frequencies, cutoff, p), (r, frequencies)

    def bwd(cutoff, p, res, g):
        r, frequencies = res
        x = (r / cutoff)[:, None]
        z = frequencies * x
        scale = jnp.sqrt(2 / cutoff) / cutoff
        shape = jnp.sinc(z / jnp.pi)
        cut = envelope(x, p)
        if slip == "beyond the cutoff":
            a, b, c = (p + 1) * (p + 2) / 2, p * (p + 2), p * (p + 1) / 2
            cut = 1 - x**p * (a - x * (b - c * x))
        per = 1.0 if slip == "slope per cutoff" else cutoff
        dr = sinc_slope(z) * frequencies**2 * cut / per
        if slip != "envelope constant":
            dr = dr + shape * frequencies * envelope_slope(x, p) / cutoff
        dfrequencies = (shape + z * sinc_slope(z)) * cut
        return (g * scale * dr).sum(1), (g * scale * dfrequencies).sum(0)

    basis.defvjp(fwd, bwd)
    return basis, plain


STEPS = np.array([(i, j) for i in (0, 1, -1) for j in (0, 1, -1)])
WEIGHTS = np.array([4 / 9, 1 / 9, 1 / 36])[(STEPS**2).sum(1)]


def populations(rng):
    still = jnp.asarray(WEIGHTS, jnp.float32)[:, None, None]
    return still * (1 + 0.1 * normal(rng, 9, 3, 4)), jnp.float32(0.8)


@case(
    "lattice Boltzmann collisions in XLB: BGK on D2Q9",
    "collision",
    populations,
    Twin(
        "velocity of momentum only",
        "term|path",
        "f",
        "That the velocity is per density is not pulled back to the density.",
    ),
    Twin(
        "kinetic term",
        "term|path",
        "f",
        "The square of the velocity in the equilibrium is left out.",
    ),
    Twin(
        "relaxation time of the rate",
        "factor|function|ratio|operand",
        "tau",
        "The gradient is that of the rate 1/tau.",
    ),
    fixed=(1,),
    narrow=False,
)
def lattice_boltzmann_collision(slip):
    def moments(f):
        c = jnp.asarray(STEPS, f.dtype)
        rho = f.sum(0)
        return rho, jnp.einsum("id,ihw->dhw", c, f) / rho

    def equilibrium(rho, u):
        c, w = jnp.asarray(STEPS, u.dtype), jnp.asarray(WEIGHTS, u.dtype)
        along = jnp.einsum("id,dhw->ihw", c, u)
        bracket = 1 + 3 * along + 4.5 * along**2 - 1.5 * (u**2).sum(0)
        return w[:, None, None] * bracket, along, rho * w[:, None, None] * bracket

    @jax.custom_vjp
    def collide(f, tau):
        return f - (f - equilibrium(*moments(f))[2]) / tau

    def fwd(f, tau):
        return collide.fun(f, tau), (f, tau)

    def bwd(res, g):
        f, tau = res
        c, w = jnp.asarray(STEPS, f.dtype), jnp.asarray(WEIGHTS, f.dtype)
        rho, u = moments(f)
        per_density, along, balanced = equilibrium(rho, u)
        dtau = (g * (f - balanced)).sum() / tau**2
        if slip == "relaxation time of the rate":
            dtau = -(g * (f - balanced)).sum()
        dbalanced = g / tau
        weighted = dbalanced * w[:, None, None] * rho
        du = jnp.einsum("id,ihw->dhw", c, weighted * (3 + 9 * along))
        if slip != "kinetic term":
            du = du - 3 * u * weighted.sum(0)
        drho = (dbalanced * per_density).sum(0)
        dmomentum = du / rho
        if slip != "velocity of momentum only":
            drho = drho - (dmomentum * u).sum(0)
        df = g - dbalanced + drho + jnp.einsum("id,dhw->ihw", c, dmomentum)
        return df, dtau

    collide.defvjp(fwd, bwd)
    return collide, collide.fun


def cluster(rng):
    grid = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1.0]])
    x = jnp.asarray(grid + 0.05 * rng.normal(size=grid.shape), jnp.float32)
    pairs = np.array([[j for j in range(5) if j != i] for i in range(5)])
    return x, jnp.asarray(pairs, jnp.int32), jnp.float32(1.8), 1.9


def padded(rng):
    x, neighbours, strength, cutoff = cluster(rng)
    return x, neighbours.at[1:4, 2:].set(5), strength, cutoff


@case(
    "Finnis-Sinclair potentials on neighbour lists of jax-md",
    "energy of particles",
    cluster,
    Twin(
        "neighbours stay",
        "term|path|index",
        "positions",
        "What an atom's energy does to its neighbours is left out.",
    ),
    Twin(
        "padding clamped",
        "index|mask|region|duplicates|elements",
        "positions",
        "What is padded in the list is taken for the last atom.",
        witness=padded,
    ),
    Twin(
        "both of a pair",
        "ratio|factor|term",
        "positions",
        "The repulsion, a half for each of a pair, is pulled back as a whole.",
    ),
    narrow=False,
    fixed=(0,),
    scales=(0.5, 1.0, 2.0),
)
def finnis_sinclair(slip):
    def pairs(positions, neighbours, cutoff):
        there = neighbours < len(positions)
        j = jnp.where(there, neighbours, 0)
        d = positions[:, None] - positions[j]
        square = (d**2).sum(-1)
        used = there & (square < cutoff**2) & (square > 0)
        return d, jnp.sqrt(jnp.where(used, square, 1)), used

    def root(density):
        return jnp.where(density > 0, jnp.sqrt(jnp.where(density > 0, density, 1)), 0)

    def plain(positions, neighbours, strength, cutoff):
        _, r, used = pairs(positions, neighbours, cutoff)
        near = jnp.where(used, (cutoff - r) ** 2, 0)
        repulsion = 0.5 * (near * (1 + 0.3 * r)).sum()
        return repulsion - strength * root(near.sum(1)).sum()

    energy = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(positions, neighbours, strength, cutoff):
        e = plain(positions, neighbours, strength, cutoff)
        return e, (positions, neighbours, strength)

    def bwd(cutoff, res, g):
        positions, neighbours, strength = res
        d, r, used = pairs(positions, neighbours, cutoff)
        if slip == "padding clamped":
            last = jnp.minimum(neighbours, len(positions) - 1)
            d = positions[:, None] - positions[last]
            square = (d**2).sum(-1)
            used = (square < cutoff**2) & (square > 0)
            r = jnp.sqrt(jnp.where(used, square, 1))
        near = jnp.where(used, (cutoff - r) ** 2, 0)
        roots = root(near.sum(1))
        bound = jnp.where(roots > 0, roots, 1)[:, None]
        half = 1.0 if slip == "both of a pair" else 0.5
        per_density = half * (1 + 0.3 * r) - strength * 0.5 / bound
        slope = -2 * (cutoff - r) * per_density + half * 0.3 * (cutoff - r) ** 2
        force = jnp.where(used, g * slope / r, 0)[..., None] * d
        dx = force.sum(1)
        if slip != "neighbours stay":
            dx = dx.at[neighbours].add(-force, mode="drop")
        return dx, None, -g * roots.sum()

    energy.defvjp(fwd, bwd)
    return energy, plain


def beam(spacing):
    def args(rng):
        field = normal(rng, 6, 5) + 1j * normal(rng, 6, 5)
        return field, jnp.float32(2.0), 0.5, spacing

    return args


@case(
    "free-space propagation in chromatix: the angular spectrum",
    "optics",
    beam(0.4),
    Twin(
        "conjugated",
        "transpose|function|operand|sign",
        "field",
        "The field is carried back by the adjoint where JAX asks for the transpose.",
    ),
    Twin(
        "evanescent waves",
        "mask|region|predicate",
        "field",
        "Waves that are dropped in the forward pass are carried back.",
        witness=beam(0.2),
    ),
    Twin(
        "distance of the angle",
        "factor|operand|constant|ratio",
        "distance",
        "The wave number is left out of the distance's gradient.",
    ),
    fixed=(1,),
    narrow=False,
)
def angular_spectrum(slip):
    def transfer(shape, distance, wavelength, spacing):
        fy, fx = (np.fft.fftfreq(n, spacing) for n in shape)
        inside = 1 / wavelength**2 - fy[:, None] ** 2 - fx**2
        kz = jnp.asarray(2 * np.pi * np.sqrt(np.maximum(inside, 0)), distance.dtype)
        wave = jnp.exp(1j * kz * distance)
        return kz, jnp.where(inside > 0, wave, 0), wave

    def plain(field, distance, wavelength, spacing):
        _, wave, _ = transfer(field.shape, distance, wavelength, spacing)
        return jnp.fft.ifft2(jnp.fft.fft2(field) * wave)

    propagate = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(field, distance, wavelength, spacing):
        return plain(field, distance, wavelength, spacing), (field, distance)

    def bwd(wavelength, spacing, res, g):
        field, distance = res
        kz, wave, every = transfer(field.shape, distance, wavelength, spacing)
        if slip == "evanescent waves":
            wave = every
        spectrum = jnp.fft.ifft2(g)
        turn = 1 if slip == "distance of the angle" else kz
        dwave = spectrum * jnp.fft.fft2(field)
        dz = (1j * turn * wave * dwave).sum().real
        if slip == "conjugated":
            back = jnp.fft.ifft2(jnp.fft.fft2(g) * jnp.conj(wave))
        else:
            back = jnp.fft.fft2(spectrum * wave)
        return back, dz

    propagate.defvjp(fwd, bwd)
    return propagate, plain

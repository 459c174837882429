"""Physics: lattice sums, advection with a limiter, solids."""

import itertools

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


def ions(rng):
    positions = jnp.asarray(rng.uniform(0, 5, (4, 3)), jnp.float32)
    return positions, jnp.array([1.0, -1.0, 1.0, -1.0]), jnp.float32(5.0), 2, 0.8


@case(
    "Ewald sums over reciprocal vectors in jax-md and DMFF",
    "energy of particles",
    ions,
    Twin(
        "half of the vectors",
        "ratio|factor",
        "positions charges box",
        "The square of the structure factor is pulled back without its 2.",
    ),
    Twin(
        "screening held",
        "term|path|operand",
        "box",
        "That the weights of the vectors depend on the box is left out.",
    ),
    Twin("volume held", "term|path", "box", "That of the prefactor is left out."),
    fixed=(2,),
    narrow=False,
)
def ewald_reciprocal_energy(slip):
    def lattice(most):
        steps = range(-most, most + 1)
        every = np.array(list(itertools.product(steps, repeat=3)))
        return every[(every != 0).any(1)]

    def parts(positions, charges, box, most, alpha):
        k = jnp.asarray(2 * np.pi * lattice(most), positions.dtype) / box
        squared = (k * k).sum(-1)
        weight = jnp.exp(-squared / (4 * alpha**2)) / squared
        phase = positions @ k.T
        cos, sin = jnp.cos(phase), jnp.sin(phase)
        return k, squared, weight, phase, cos, sin, charges @ cos, charges @ sin

    def plain(positions, charges, box, most, alpha):
        known = parts(positions, charges, box, most, alpha)
        weight, real, imaginary = known[2], *known[-2:]
        return 2 * jnp.pi / box**3 * (weight * (real**2 + imaginary**2)).sum()

    energy = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(positions, charges, box, most, alpha):
        value = plain(positions, charges, box, most, alpha)
        return value, (positions, charges, box, value)

    def bwd(most, alpha, res, g):
        positions, charges, box, value = res
        known = parts(positions, charges, box, most, alpha)
        k, squared, weight, phase, cos, sin, real, imaginary = known
        front = g * 2 * jnp.pi / box**3
        twice = front * weight * (1 if slip == "half of the vectors" else 2)
        dphase = charges[:, None] * twice * (cos * imaginary - sin * real)
        dbox = -(dphase * phase).sum() / box
        if slip != "screening held":
            dweight = weight * (squared / (4 * alpha**2) + 1) * 2 / box
            dbox = dbox + front * (dweight * (real**2 + imaginary**2)).sum()
        if slip != "volume held":
            dbox = dbox - 3 * g * value / box
        dcharges = (twice * (cos * real + sin * imaginary)).sum(-1)
        return dphase @ k, dcharges, dbox

    energy.defvjp(fwd, bwd)
    return energy, plain


def tracer(rng):
    wave = jnp.sin(2 * jnp.pi * jnp.arange(8) / 8)
    return wave + 0.1 * normal(rng, 8), normal(rng, 8, std=0.5), 0.5


@case(
    "jax_cfd.base.advection.advect_van_leer on a periodic line",
    "advection",
    tracer,
    Twin(
        "slopes held",
        "term|path",
        "c",
        "That the limited slopes depend on the tracer is left out.",
    ),
    Twin(
        "other face",
        "index|operand|residual",
        "c u",
        "A face gets the cotangents of its own cell and of the one before.",
    ),
    Twin(
        "Courant number",
        "factor|term|path|ratio",
        "u",
        "The face's distance from the centre is held while the velocity moves.",
    ),
)
def limited_advection(slip):
    def differences(c):
        return c - jnp.roll(c, 1), jnp.roll(c, -1) - c

    def slopes(c):
        """Twice the harmonic mean of two differences of the same sign, else 0."""
        a, b = differences(c)
        same = a * b > 0
        return jnp.where(same, 2 * a * b / jnp.where(same, a + b, 1), 0)

    def plain(c, u, ratio):
        s = slopes(c)
        from_left = c + 0.5 * (1 - u * ratio) * s
        from_right = jnp.roll(c - 0.5 * s, -1) - 0.5 * u * ratio * jnp.roll(s, -1)
        flux = u * jnp.where(u > 0, from_left, from_right)
        return c - ratio * (flux - jnp.roll(flux, 1))

    advect = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(c, u, ratio):
        return plain(c, u, ratio), (c, u)

    def bwd(ratio, res, g):
        c, u = res
        s = slopes(c)
        dflux = -ratio * (g - jnp.roll(g, 1 if slip == "other face" else -1))
        moved = 1.0 if slip == "Courant number" else 2.0
        left = c + 0.5 * (1 - moved * u * ratio) * s
        right = jnp.roll(c, -1) - 0.5 * (1 + moved * u * ratio) * jnp.roll(s, -1)
        du = dflux * jnp.where(u > 0, left, right)
        to_left = jnp.where(u > 0, u * dflux, 0)
        to_right = jnp.roll(jnp.where(u > 0, 0, u * dflux), 1)
        dc = g + to_left + to_right
        if slip == "slopes held":
            return dc, du
        ds = 0.5 * (1 - u * ratio) * to_left
        ds = ds - 0.5 * (1 + jnp.roll(u, 1) * ratio) * to_right
        a, b = differences(c)
        same = a * b > 0
        share = jnp.where(same, b / jnp.where(same, a + b, 1), 0)
        other = jnp.where(same, a / jnp.where(same, a + b, 1), 0)
        da, db = 2 * share**2 * ds, 2 * other**2 * ds
        return dc + da - jnp.roll(da, -1) + jnp.roll(db, 1) - db, du

    advect.defvjp(fwd, bwd)
    return advect, plain


def quadrature_points(rng):
    return normal(rng, 5, 3, 3, std=0.1), positive(rng, 5), positive(rng, 5)


@case(
    "jax-fem: energy density of a compressible neo-Hookean solid",
    "material law",
    quadrature_points,
    Twin(
        "inverse not transposed",
        "transpose|operand",
        "gradient",
        "The stress has the inverse of F, not its transpose.",
    ),
    Twin(
        "linear volume",
        "function|operand|term",
        "gradient",
        "The pressure is that of J - 1, not of its logarithm.",
    ),
    Twin(
        "logarithm in mu",
        "term|path",
        "mu",
        "The shear modulus does not see the volume's logarithm.",
    ),
    options=lambda plain: {"edges": False},
    narrow=False,
    scales=(0.1, 1.0, 2.0),
)
def neo_hookean_energy(slip):
    """Of displacement gradients H, where F = 1 + H; without cancellation at H = 0."""

    def strain(h):
        """F'F - 1."""
        return h + h.mT + h.mT @ h

    def log_volume(h):
        trace = jnp.trace(h, axis1=-2, axis2=-1)
        second = 0.5 * (trace**2 - jnp.trace(h @ h, axis1=-2, axis2=-1))
        return jnp.log1p(trace + second + jnp.linalg.det(h))

    def shear(h):
        return 0.5 * jnp.trace(strain(h), axis1=-2, axis2=-1) - log_volume(h)

    @jax.custom_vjp
    def density(gradient, mu, lam):
        return mu * shear(gradient) + 0.5 * lam * log_volume(gradient) ** 2

    def fwd(gradient, mu, lam):
        return density.fun(gradient, mu, lam), (gradient, mu, lam)

    def bwd(res, g):
        h, mu, lam = res
        volume = log_volume(h)
        inverse = jnp.linalg.inv(jnp.eye(3, dtype=h.dtype) + h)
        if slip != "inverse not transposed":
            inverse = inverse.mT
        dmu = g * shear(h)
        if slip == "logarithm in mu":
            dmu = dmu + g * volume
        pressure = jnp.expm1(volume) if slip == "linear volume" else volume
        stress = mu[:, None, None] * (inverse @ strain(h))
        stress = stress + (lam * pressure)[:, None, None] * inverse
        return g[:, None, None] * stress, dmu, 0.5 * g * volume**2

    density.defvjp(fwd, bwd)
    return density, density.fun

"""Fields and rays: solvation, line profiles, implicit surfaces, rasterised meshes."""

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


@case(
    "DMFF and OpenMM ports to JAX: generalised Born solvation by Still's formula",
    "energy of particles",
    lambda rng: (normal(rng, 5, 3, std=2), normal(rng, 5), positive(rng, 5, low=1)),
    Twin(
        "pairs once",
        "ratio|factor",
        "positions",
        "The sum is over both orders of a pair; a force is taken from one.",
    ),
    Twin(
        "screening held",
        "term|path",
        "positions",
        "That the exponential falls with the distance is not differentiated.",
    ),
    Twin(
        "self energies",
        "term|path|mask|region",
        "radii",
        "The diagonal, an atom with itself, gives no gradient to the radii.",
    ),
)
def generalised_born_energy(slip):
    strength = 138.935 * (1 - 1 / 78.5)

    def screened(positions, radii):
        gap = positions[:, None] - positions
        squared = (gap**2).sum(-1)
        product = radii[:, None] * radii
        fall = jnp.exp(-squared / (4 * product))
        return gap, squared, product, fall, jnp.sqrt(squared + product * fall)

    @jax.custom_vjp
    def energy(positions, charges, radii):
        f = screened(positions, radii)[-1]
        return -strength / 2 * (charges[:, None] * charges / f).sum()

    def fwd(positions, charges, radii):
        return energy.fun(positions, charges, radii), (positions, charges, radii)

    def bwd(res, g):
        positions, charges, radii = res
        gap, squared, product, fall, f = screened(positions, radii)
        dsquare = g * strength / 4 * charges[:, None] * charges / f**3
        slope = dsquare
        if slip != "screening held":
            slope = dsquare * (1 - fall / 4)
        times = 2 if slip == "pairs once" else 4
        dpositions = times * (slope[:, :, None] * gap).sum(1)
        dproduct = dsquare * fall * (1 + squared / (4 * product))
        if slip == "self energies":
            dproduct = jnp.where(jnp.eye(radii.size, dtype=bool), 0, dproduct)
        dcharges = -g * strength * (charges / f).sum(1)
        return dpositions, dcharges, 2 * dproduct @ radii

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def lines(rng):
    return normal(rng, 9, std=2), jnp.float32(0.6), jnp.float32(0.3)


@case(
    "exojax.spec.lpf: Voigt profiles by the Faddeeva function (Weideman's series)",
    "special function",
    lines,
    Twin(
        "width in the height",
        "term|path",
        "sigma",
        "That a wider line is lower is left out, that it is wider is not.",
    ),
    Twin(
        "sign of the imaginary part",
        "sign|ratio|factor",
        "gamma",
        "The slope along the imaginary axis is i times the derivative.",
    ),
    Twin(
        "root of two",
        "ratio|factor|constant",
        "nu",
        "The argument's scale, sigma times the root of two, is taken for sigma.",
    ),
    narrow=False,
)
def voigt_profile(slip):
    terms = 32
    size = np.sqrt(terms / np.sqrt(2))
    angle = np.arange(-2 * terms + 1, 2 * terms) * np.pi / (2 * terms)
    t = size * np.tan(angle / 2)
    samples = np.concatenate([[0], np.exp(-(t**2)) * (size**2 + t**2)])
    spectrum = np.real(np.fft.fft(np.fft.fftshift(samples))) / (4 * terms)
    series = spectrum[1 : terms + 1][::-1]

    def faddeeva(z):
        """w and its derivative, of the series."""
        p = jnp.asarray(series, z.real.dtype)
        below = size - 1j * z
        ratio = (size + 1j * z) / below
        value, slope = jnp.polyval(p, ratio), jnp.polyval(jnp.polyder(p), ratio)
        w = 2 * value / below**2 + 1 / (np.sqrt(np.pi) * below)
        dw = 4j * size * slope / below**4 + 4j * value / below**3
        return w, dw + 1j / (np.sqrt(np.pi) * below**2)

    def argument(nu, sigma, gamma):
        scale = np.sqrt(2).astype(nu.dtype) * sigma
        return lax.complex(nu / scale, jnp.full_like(nu, 1) * gamma / scale), scale

    @jax.custom_vjp
    def profile(nu, sigma, gamma):
        z, scale = argument(nu, sigma, gamma)
        return faddeeva(z)[0].real / (scale * np.sqrt(np.pi).astype(nu.dtype))

    def fwd(nu, sigma, gamma):
        return profile.fun(nu, sigma, gamma), (nu, sigma, gamma)

    def bwd(res, g):
        nu, sigma, gamma = res
        z, scale = argument(nu, sigma, gamma)
        w, dw = faddeeva(z)
        height = 1 / (scale * np.sqrt(np.pi).astype(nu.dtype))
        each = g * height / (sigma if slip == "root of two" else scale)
        dgamma = -(g * height / scale * dw.imag).sum()
        if slip == "sign of the imaginary part":
            dgamma = -dgamma
        shape = (dw * z).real
        if slip != "width in the height":
            shape = shape + w.real
        return each * dw.real, -(g * height * shape).sum() / sigma, dgamma

    profile.defvjp(fwd, bwd)
    return profile, profile.fun

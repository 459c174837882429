"""Estimates: power spectra in bins, phases, two cameras."""

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
    "power spectra of cosmological fields in jaxpm style, averaged in bins",
    "spectra",
    lambda rng: (normal(rng, 6, 8), (0.0, 0.4, 0.9, 1.0, 2.0, 3.0)),
    Twin(
        "half plane",
        "factor|ratio|constant|mask|region",
        "field",
        "The inverse transform adds the other half itself; it is counted again.",
    ),
    Twin(
        "size of the box",
        "factor|ratio|constant|option",
        "field",
        "The inverse transform divides by the number of cells; that is not undone.",
    ),
    Twin(
        "modes of a bin",
        "factor|ratio|term|operand",
        "field",
        "A bin is a mean; the number of its modes is lost.",
    ),
    narrow=False,
)
def power_spectrum_binning(slip):
    def bins(shape, edges):
        """Number of the bin of a mode, its weight, and the bins' weights."""
        rows = np.fft.fftfreq(shape[0], 1 / (2 * np.pi))
        columns = np.fft.rfftfreq(shape[1], 1 / (2 * np.pi))
        k = np.hypot(rows[:, None], columns) * (1 / 3)
        twice = (columns > 0) & (2 * np.arange(len(columns)) != shape[1])
        number = np.digitize(k, edges) - 1
        weight = np.where((number < len(edges) - 1) & (number >= 0), 1 + twice, 0)
        number = np.clip(number, 0, len(edges) - 2)
        counts = np.bincount(number.ravel(), weight.ravel(), len(edges) - 1)
        return number, weight, np.maximum(counts, 1)

    def plain(field, edges):
        number, weight, counts = bins(field.shape, edges)
        modes = jnp.fft.rfft2(field)
        power = (modes.real**2 + modes.imag**2) * weight.astype(np.float32)
        zero = jnp.zeros(len(counts), field.dtype)
        sums = zero.at[number].add(power)
        return sums / jnp.asarray(counts, field.dtype) / field.size

    spectrum = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(field, edges):
        return plain(field, edges), field

    def bwd(edges, field, g):
        number, weight, counts = bins(field.shape, edges)
        if slip != "modes of a bin":
            g = g / jnp.asarray(counts, g.dtype)
        seen = weight if slip == "half plane" else np.minimum(weight, 1)
        pulled = jnp.fft.rfft2(field) * g[number] * seen.astype(np.float32)
        back = 2 * jnp.fft.irfft2(pulled, field.shape)
        return (back / field.size if slip == "size of the box" else back,)

    spectrum.defvjp(fwd, bwd)
    return spectrum, plain


def hologram(rng):
    wave = lax.complex(normal(rng, 5, 4), normal(rng, 5, 4))
    return wave, positive(rng, 5, 4, low=1.0, high=6.0)


def dark_hologram(rng):
    wave, amplitude = hologram(rng)
    return jnp.zeros_like(wave), amplitude


@case(
    "phase retrieval by Gerchberg and Saxton in chromatix: amplitudes are replaced",
    "phase retrieval",
    hologram,
    Twin(
        "along the ray",
        "term|path|function",
        "wave",
        "A phase does not change along its own direction; that part is kept.",
    ),
    Twin(
        "conjugate",
        "cotangent|sign|function",
        "wave amplitude",
        "The cotangent is conjugated on entering, as in other libraries.",
    ),
    Twin(
        "dark",
        "edge|nan|finite",
        "wave",
        "A mode that is zero has no phase: zero divides.",
        witness=dark_hologram,
    ),
    narrow=False,
)
def gerchberg_phase_retrieval(slip):
    def phases(wave):
        modes = jnp.fft.fft2(wave, norm="ortho")
        squared = modes.real**2 + modes.imag**2
        lit = squared > 0
        length = jnp.sqrt(jnp.where(lit, squared, 1))
        return lit, length, jnp.where(lit, modes / length, 1)

    def plain(wave, amplitude):
        return jnp.fft.ifft2(amplitude * phases(wave)[2], norm="ortho")

    replace = jax.custom_vjp(plain)

    def fwd(wave, amplitude):
        return plain(wave, amplitude), (wave, amplitude)

    def bwd(res, g):
        wave, amplitude = res
        lit, length, unit = phases(wave)
        g = jnp.conj(g) if slip == "conjugate" else g
        seen = jnp.fft.ifft2(g, norm="ortho")
        if slip == "dark":
            length = jnp.where(lit, length, 0)
        paired = seen * unit
        turned = amplitude * jnp.conj(unit) / length
        if slip == "along the ray":
            dmodes = turned * paired
        else:
            dmodes = 1j * paired.imag * turned
        dmodes = dmodes if slip == "dark" else jnp.where(lit, dmodes, 0)
        return jnp.fft.fft2(dmodes, norm="ortho"), paired.real

    replace.defvjp(fwd, bwd)
    return replace, plain


def matches(rng):
    return normal(rng, 3, 3), normal(rng, 6, 2), normal(rng, 6, 2)


@case(
    "kornia.geometry.epipolar.sampson_epipolar_distance, signed, as ported to JAX",
    "two views",
    matches,
    Twin(
        "denominator held",
        "term|path",
        "fundamental first second",
        "The length that divides the residual is taken for a constant.",
    ),
    Twin(
        "one image",
        "term|path",
        "fundamental second",
        "Of the lines in both images only the second image's are pulled back.",
    ),
    Twin(
        "matrix transposed",
        "transpose|swap",
        "fundamental",
        "The outer products have the points in the wrong order.",
    ),
)
def epipolar_residual(slip):
    def single(fundamental, first, second):
        p, q = jnp.append(first, 1), jnp.append(second, 1)
        line, other = fundamental @ p, fundamental.T @ q
        length = jnp.sqrt((line[:2] ** 2).sum() + (other[:2] ** 2).sum())
        return p, q, line, other, length, q @ line / length

    def plain(fundamental, first, second):
        return jax.vmap(lambda a, b: single(fundamental, a, b)[-1])(first, second)

    residual = jax.custom_vjp(plain)

    def fwd(fundamental, first, second):
        given = fundamental, first, second
        return plain(*given), given

    def pulled(fundamental, first, second, g):
        p, q, line, other, length, value = single(fundamental, first, second)
        dline, dq = g * q / length, g * line / length
        dother = jnp.zeros_like(other)
        if slip != "denominator held":
            bent = -g * value / length**2
            dline = dline.at[:2].add(bent * line[:2])
            if slip != "one image":
                dother = dother.at[:2].set(bent * other[:2])
        dp = fundamental.T @ dline
        dq = dq + fundamental @ dother
        df = jnp.outer(dline, p) + jnp.outer(q, dother)
        return df.T if slip == "matrix transposed" else df, dp[:2], dq[:2]

    def bwd(res, g):
        df, da, db = jax.vmap(pulled, (None, 0, 0, 0))(*res, g)
        return df.sum(0), da, db

    residual.defvjp(fwd, bwd)
    return residual, plain

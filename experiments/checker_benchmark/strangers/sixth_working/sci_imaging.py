"""Imaging: stacks of thin films, total variation, coils of a scanner."""

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


def coating(rng):
    waves = tuple(float(w) for w in np.linspace(0.4, 0.7, 5))
    thicknesses = positive(rng, 4, low=0.05, high=0.15)
    return thicknesses, positive(rng, 4, low=1.3, high=2.4), waves, 1.52


@case(
    "reflectances of thin films by transfer matrices (tmm in JAX), at normal incidence",
    "optics",
    coating,
    Twin(
        "admittance held",
        "term|path",
        "indices",
        "An index moves the phase; that it is in the matrix's corners is lost.",
    ),
    Twin(
        "intensity",
        "cotangent|function|sign",
        "thicknesses indices",
        "The reflected amplitude has the cotangent of its conjugate.",
    ),
    Twin(
        "order of the films",
        "residual|index|operand|swap",
        "thicknesses indices",
        "The saved fields are read from the front, the films from the back.",
    ),
    scales=(0.5, 1.0, 2.0),
    narrow=False,
)
def thin_film_transfer_matrix(slip):
    def matrix(thickness, index, waves):
        phase = 2 * jnp.pi * index * thickness / waves
        c, s = jnp.cos(phase), jnp.sin(phase)
        return phase, c, s

    def run(thicknesses, indices, waves, glass):
        waves = jnp.array(waves, indices.dtype)
        unit = jnp.ones_like(waves)

        def through(field, film):
            electric, magnetic = field
            _, c, s = matrix(*film, waves)
            n = film[1]
            new = (
                c * electric + 1j * s * magnetic / n,
                c * magnetic + 1j * n * s * electric,
            )
            return new, field

        start = unit + 0j, glass * unit + 0j
        return lax.scan(through, start, (thicknesses, indices), reverse=True)

    def plain(thicknesses, indices, waves, glass):
        (b, c), _ = run(thicknesses, indices, waves, glass)
        r = (b - c) / (b + c)
        return r.real**2 + r.imag**2

    reflect = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(thicknesses, indices, waves, glass):
        (b, c), fields = run(thicknesses, indices, waves, glass)
        r = (b - c) / (b + c)
        return r.real**2 + r.imag**2, (thicknesses, indices, b, c, fields)

    def bwd(waves, glass, res, g):
        thicknesses, indices, b, c, fields = res
        waves = jnp.array(waves, indices.dtype)
        r = (b - c) / (b + c)
        dr = 2 * g * (r if slip == "intensity" else jnp.conj(r))
        db, dc = dr * 2 * c / (b + c) ** 2, -dr * 2 * b / (b + c) ** 2
        if slip == "order of the films":
            fields = tuple(f[::-1] for f in fields)

        def back(carry, item):
            db, dc = carry
            thickness, n, electric, magnetic = item
            phase, c, s = matrix(thickness, n, waves)
            dcos = (db * electric + dc * magnetic).real
            dsin = (1j * (db * magnetic / n + n * dc * electric)).real
            dphase = c * dsin - s * dcos
            dn = (dphase * phase / n).sum()
            if slip != "admittance held":
                corners = 1j * s * (dc * electric - db * magnetic / n**2)
                dn = dn + corners.real.sum()
            new = c * db + 1j * n * s * dc, c * dc + 1j * s * db / n
            return new, ((dphase * 2 * jnp.pi * n / waves).sum(), dn)

        return lax.scan(back, (db, dc), (thicknesses, indices, *fields))[1]

    reflect.defvjp(fwd, bwd)
    return reflect, plain


def flat_corner(rng):
    return (normal(rng, 2, 5, 6).at[0, :2, :3].set(0.5),)


@case(
    "isotropic total variation of images (dm_pix, odl in JAX), open borders",
    "regularisation",
    lambda rng: (normal(rng, 2, 5, 6),),
    Twin(
        "round the border",
        "index|region|elements",
        "image",
        "The divergence wraps at the borders, which the differences do not.",
    ),
    Twin(
        "axis by axis",
        "function|term",
        "image",
        "The slope is that of the anisotropic variation: signs of differences.",
    ),
    Twin(
        "flat",
        "edge|nan|finite",
        "image",
        "Where the image is flat, a gradient of length zero divides.",
        witness=flat_corner,
    ),
)
def total_variation_norm(slip):
    def differences(image):
        down = jnp.pad(jnp.diff(image, axis=1), ((0, 0), (0, 1), (0, 0)))
        right = jnp.pad(jnp.diff(image, axis=2), ((0, 0), (0, 0), (0, 1)))
        squared = down**2 + right**2
        some = squared > 0
        return down, right, some, jnp.where(some, squared, 1)

    @jax.custom_vjp
    def variation(image):
        _, _, some, squared = differences(image)
        return jnp.where(some, jnp.sqrt(squared), 0).sum((1, 2))

    def fwd(image):
        return variation.fun(image), image

    def bwd(image, g):
        down, right, _, squared = differences(image)
        if slip == "flat":
            squared = down**2 + right**2
        length = jnp.sqrt(squared)
        if slip == "axis by axis":
            down, right, length = jnp.sign(down), jnp.sign(right), jnp.ones_like(length)
        py, px = (g[:, None, None] * d / length for d in (down, right))
        if slip == "round the border":
            py = py.at[:, -1].set(py[:, -2])
            px = px.at[:, :, -1].set(px[:, :, -2])
            return (jnp.roll(py, 1, 1) - py + jnp.roll(px, 1, 2) - px,)
        back = jnp.pad(py, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        side = jnp.pad(px, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]
        return (back - py + side - px,)

    variation.defvjp(fwd, bwd)
    return variation, variation.fun


def scan(rng):
    image = lax.complex(normal(rng, 6, 6), normal(rng, 6, 6))
    coils = lax.complex(normal(rng, 3, 6, 6), normal(rng, 3, 6, 6))
    return image, coils, jnp.asarray(rng.random((6, 6)) < 0.5)


@case(
    "multi-coil magnetic resonance in JAX (SENSE): sampled spectra of coil images",
    "magnetic resonance",
    scan,
    Twin(
        "physicist's adjoint",
        "cotangent|sign|function",
        "image coils",
        "The adjoint operator is applied, with conjugates that JAX does not want.",
    ),
    Twin(
        "not sampled",
        "mask|region|predicate",
        "image coils",
        "Frequencies that were not sampled pull at the image.",
    ),
    Twin(
        "scale of the transform",
        "factor|ratio|constant|option",
        "image coils",
        "The forward is orthonormal, the way back is not scaled.",
    ),
    narrow=False,
)
def coil_sense_forward(slip):
    def spectrum(images, norm="ortho"):
        return jnp.fft.fft2(images, norm=norm)

    @jax.custom_vjp
    def sense(image, coils, mask):
        return jnp.where(mask, spectrum(coils * image), 0)

    def fwd(image, coils, mask):
        return sense.fun(image, coils, mask), (image, coils, mask)

    def bwd(res, g):
        image, coils, mask = res
        if slip != "not sampled":
            g = jnp.where(mask, g, 0)
        if slip == "physicist's adjoint":
            back = jnp.fft.ifft2(g, norm="ortho")
            return (jnp.conj(coils) * back).sum(0), jnp.conj(image) * back, None
        back = spectrum(g, None if slip == "scale of the transform" else "ortho")
        return (coils * back).sum(0), image * back, None

    sense.defvjp(fwd, bwd)
    return sense, sense.fun

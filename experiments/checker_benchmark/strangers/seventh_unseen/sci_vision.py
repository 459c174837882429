"""Contrast, sharpness, shading, encodings of points and images of a point."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def photographs(rng):
    contrast = jnp.asarray([2.2, 0.7], jnp.float32)
    return positive(rng, 2, 4, 5, 3, low=0, high=1), contrast


@case(
    "contrast of images in dm_pix, torchvision ports",
    "augmentation of images",
    photographs,
    Twin("mean constant", "term|path", "image", "The channel's mean is a constant."),
    Twin(
        "clipped",
        "mask|region|predicate",
        "image contrast",
        "Clipped pixels have a gradient.",
    ),
    Twin(
        "one for the batch",
        "sum|broadcast|ratio|index",
        "contrast",
        "The contrast of each image gets the sum over the images.",
    ),
    scales=(0.1, 1.0),
)
def adjust_contrast(slip):
    def stretch(image, contrast):
        mean = image.mean((1, 2), keepdims=True)
        away = image - mean
        return away, away * contrast[:, None, None, None] + mean

    @jax.custom_vjp
    def adjust(image, contrast):
        y = stretch(image, contrast)[1]
        return jnp.where(y < 0, 0, jnp.where(y > 1, 1, y))

    plain = adjust.fun

    def fwd(image, contrast):
        return plain(image, contrast), (image, contrast)

    def bwd(res, g):
        image, contrast = res
        away, y = stretch(image, contrast)
        if slip != "clipped":
            g = jnp.where((y < 0) | (y > 1), 0, g)
        daway = g * contrast[:, None, None, None]
        dimage = daway
        if slip != "mean constant":
            dimage = dimage + (g - daway).mean((1, 2), keepdims=True)
        if slip == "one for the batch":
            return dimage, jnp.full_like(contrast, (g * away).sum())
        return dimage, (g * away).sum((1, 2, 3))

    adjust.defvjp(fwd, bwd)
    return adjust, plain


@case(
    "unsharp masking with separable taps in dm_pix, kornia",
    "filter of images",
    lambda rng: (*draw(image=(2, 5, 6))(rng), positive(rng, 3, high=1), positive(rng)),
    Twin("rows only", "term|path", "taps", "The taps' other pass is missing."),
    Twin(
        "taps not mirrored",
        "transpose|index|sign",
        "image",
        "The cotangent is filtered with the taps as they are.",
    ),
    Twin(
        "image itself",
        "term|path",
        "image",
        "The sharpened image holds the image once without the amount: forgotten.",
    ),
)
def unsharp_mask(slip):
    def along(x, taps, axis, way=1):
        middle = taps.shape[0] // 2
        shifts = range(-middle, taps.shape[0] - middle)
        pairs = zip(taps, shifts, strict=True)
        return sum(t * jnp.roll(x, way * s, axis) for t, s in pairs)

    @jax.custom_vjp
    def sharpen(image, taps, amount):
        blurred = along(along(image, taps, 1), taps, 2)
        return image + amount * (image - blurred)

    plain = sharpen.fun

    def fwd(image, taps, amount):
        half = along(image, taps, 1)
        detail = image - along(half, taps, 2)
        return image + amount * detail, (image, taps, amount, half, detail)

    def bwd(res, g):
        image, taps, amount, half, detail = res
        way = 1 if slip == "taps not mirrored" else -1
        dblurred = -amount * g
        dhalf = along(dblurred, taps, 2, way)
        middle = taps.shape[0] // 2

        def per_tap(x, dy, axis):
            shifts = range(-middle, taps.shape[0] - middle)
            return jnp.stack([(jnp.roll(x, s, axis) * dy).sum() for s in shifts])

        dtaps = per_tap(half, dblurred, 2)
        if slip != "rows only":
            true = along(dblurred, taps, 2, -1)
            dtaps = dtaps + per_tap(image, true, 1)
        dimage = amount * g + along(dhalf, taps, 1, way)
        if slip != "image itself":
            dimage = dimage + g
        return dimage, dtaps, (g * detail).sum()

    sharpen.defvjp(fwd, bwd)
    return sharpen, plain


def surface(rng):
    material = {
        "ambient": positive(rng, 3, low=0.1, high=0.3),
        "diffuse": positive(rng, 3),
        "specular": positive(rng, 3),
        "shininess": jnp.asarray(5.0, jnp.float32),
    }
    normals = normal(rng, 6, 3) + jnp.asarray([0, 0, 0.7], jnp.float32)
    light = normal(rng, 3, std=0.3) + jnp.asarray([0.4, 0, 1], jnp.float32)
    return (
        normals,
        light,
        normal(rng, 3) + jnp.asarray([0, 0, 3], jnp.float32),
        material,
    )


@case(
    "shading by Blinn and Phong in jaxrenderer, pytorch3d ports",
    "rendering",
    surface,
    Twin(
        "turned away",
        "mask|region|predicate",
        "normals light view material",
        "Faces turned away from the light have highlights in the backward pass.",
    ),
    Twin(
        "half-way vector constant",
        "term|path",
        "light",
        "The light turns the half-way vector too: forgotten.",
    ),
    Twin(
        "power",
        "factor|function|term",
        "material",
        "The shininess is an exponent: the logarithm is forgotten.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def blinn_phong_shading(slip):
    def unit(v):
        return v / jnp.sqrt((v * v).sum(-1, keepdims=True))

    def unit_back(v, du):
        u = unit(v)
        along = (u * du).sum(-1, keepdims=True)
        return (du - along * u) / jnp.sqrt((v * v).sum(-1, keepdims=True))

    def angles(normals, light, view):
        n, to_light, to_eye = unit(normals), unit(light), unit(view)
        middle = to_light + to_eye
        cosine, glance = n @ to_light, n @ unit(middle)
        shiny = (cosine > 0) & (glance > 0)
        return n, to_light, middle, cosine, jnp.where(shiny, glance, 1), shiny

    @jax.custom_vjp
    def shade(normals, light, view, material):
        _, _, _, cosine, glance, shiny = angles(normals, light, view)
        lit = jnp.where(cosine > 0, cosine, 0)[:, None]
        spot = jnp.where(shiny, glance ** material["shininess"], 0)[:, None]
        base = material["ambient"] + material["diffuse"] * lit
        return base + material["specular"] * spot

    plain = shade.fun

    def bwd(res, g):
        normals, light, view, m = res
        n, to_light, middle, cosine, glance, shiny = angles(normals, light, view)
        power = m["shininess"]
        spot, lit = jnp.where(shiny, glance**power, 0), jnp.where(cosine > 0, cosine, 0)
        dspot = g @ m["specular"]
        dcosine = jnp.where(cosine > 0, g @ m["diffuse"], 0)
        if slip == "turned away":
            glance = jnp.abs(n @ unit(middle))
            shiny, spot = jnp.ones_like(shiny), glance**power
        dglance = jnp.where(shiny, dspot * power * glance ** (power - 1), 0)
        dn = dcosine[:, None] * to_light + dglance[:, None] * unit(middle)
        dmiddle = unit_back(middle, dglance @ n)
        dlight = dcosine @ n
        if slip != "half-way vector constant":
            dlight = dlight + dmiddle
        log = jnp.log(glance)
        dmaterial = {
            "ambient": g.sum(0),
            "diffuse": lit @ g,
            "specular": spot @ g,
            "shininess": (dspot * spot * (1 if slip == "power" else log)).sum(),
        }
        dlight, dview = unit_back(light, dlight), unit_back(view, dmiddle)
        return unit_back(normals, dn), dlight, dview, dmaterial

    shade.defvjp(lambda *args: (plain(*args), args), bwd)
    return shade, plain


def aperture(rng):
    return normal(rng, 3, 4, std=0.7), positive(rng, 3, 4, low=0.2, high=1.0), 7


@case(
    "image of a point through a pupil with phases in dLux, prysm, poppy ports",
    "optics",
    aperture,
    Twin(
        "scale of the inverse",
        "factor|ratio",
        "phase pupil",
        "The inverse transform divides by the number of points.",
    ),
    Twin(
        "centre of an odd image",
        "index|transpose|swap",
        "phase pupil",
        "The image is shifted back by the shift that centres it; its size is odd.",
    ),
    Twin(
        "total power constant",
        "term|path",
        "pupil",
        "The image is divided by the pupil's power: forgotten.",
    ),
    fixed=(0,),
    narrow=False,
)
def fraunhofer_psf(slip):
    def far_field(phase, pupil, size):
        field = jnp.fft.fft2(pupil * jnp.exp(1j * phase), s=(size, size))
        return field, (pupil**2).sum()

    def plain(phase, pupil, size):
        field, power = far_field(phase, pupil, size)
        return jnp.fft.fftshift(jnp.abs(field) ** 2) / power

    psf = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(phase, pupil, size):
        field, power = far_field(phase, pupil, size)
        image = (field.real**2 + field.imag**2) / power
        return jnp.fft.fftshift(image), (phase, pupil, field, power)

    def bwd(size, res, g):
        phase, pupil, field, power = res
        odd = slip == "centre of an odd image"
        g = (jnp.fft.fftshift if odd else jnp.fft.ifftshift)(g)
        norm = None if slip == "scale of the inverse" else "forward"
        rows, columns = phase.shape
        dfield = jnp.fft.ifft2(2 * g * field / power, norm=norm)[:rows, :columns]
        turned = jnp.exp(-1j * phase) * dfield
        dpupil = turned.real
        if slip != "total power constant":
            image = (field.real**2 + field.imag**2) / power
            dpupil = dpupil - 2 * pupil * (g * image).sum() / power
        return pupil * turned.imag, dpupil

    psf.defvjp(fwd, bwd)
    return psf, plain

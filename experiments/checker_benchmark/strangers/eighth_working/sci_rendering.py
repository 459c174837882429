"""Shading, noise, surfaces and stencils."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def shading(half_way):
    def args(rng):
        names = ("nh", "vh", "nv", "nl")
        cosines = {k: positive(rng, 5, low=0.2, high=0.95) for k in names}
        cosines["nh"] = cosines["nh"].at[0].set(half_way)
        rough = positive(rng, 5, low=0.2, high=0.9)
        return cosines, rough, positive(rng, 5, 3, low=0.02, high=0.9)

    return args


@case(
    "GGX speculars in nvdiffrec and mitsuba-like shaders",
    "rendering",
    shading(0.9),
    Twin(
        "squared roughness",
        "factor|ratio|operand",
        "roughness",
        "The lobe has the squared roughness; its gradient is as of the roughness.",
    ),
    Twin(
        "away from the half vector",
        "mask|region|predicate",
        "cosines",
        "A negative cosine is clamped to zero, but gets a gradient.",
        witness=shading(-0.4),
    ),
    Twin(
        "one minus",
        "sign|ratio",
        "reflectance",
        "Fresnel's weight is subtracted from one; its gradient adds it.",
    ),
    narrow=False,
)
def ggx_specular(slip):
    def terms(cosines, roughness, reflectance):
        c = {k: jnp.where(v > 0, jnp.minimum(v, 1), 0) for k, v in cosines.items()}
        r = jnp.clip(roughness, 0.05, 1)
        a2 = r**4
        lobe = c["nh"] ** 2 * (a2 - 1) + 1
        k = (r + 1) ** 2 / 8
        seen, lit = c["nv"] * (1 - k) + k, c["nl"] * (1 - k) + k
        weight = (1 - c["vh"]) ** 5
        fresnel = reflectance + (1 - reflectance) * weight[:, None]
        return c, r, a2, lobe, k, seen, lit, weight, fresnel

    @jax.custom_vjp
    def specular(cosines, roughness, reflectance):
        every = terms(cosines, roughness, reflectance)
        _, _, a2, lobe, _, seen, lit, _, fresnel = every
        return (a2 / (jnp.pi * lobe**2) / (4 * seen * lit))[:, None] * fresnel

    def fwd(cosines, roughness, reflectance):
        args = (cosines, roughness, reflectance)
        return specular.fun(*args), args

    def bwd(res, g):
        cosines, roughness, reflectance = res
        c, r, a2, lobe, k, seen, lit, weight, fresnel = terms(*res)
        scale = a2 / (jnp.pi * lobe**2) / (4 * seen * lit)
        dscale = (g * fresnel).sum(1)
        dfresnel = g * scale[:, None]
        share = 1 + weight if slip == "one minus" else 1 - weight
        dweight = (dfresnel * (1 - reflectance)).sum(1)
        dlog = dscale * scale
        dlobe = -2 * dlog / lobe
        da2 = dlog / a2 + dlobe * c["nh"] ** 2
        dk = -dlog * ((1 - c["nv"]) / seen + (1 - c["nl"]) / lit)
        power = 2 * r if slip == "squared roughness" else 4 * r**3
        dr = da2 * power + dk * (r + 1) / 4
        dcosines = {
            "nh": dlobe * 2 * c["nh"] * (a2 - 1),
            "vh": -5 * dweight * (1 - c["vh"]) ** 4,
            "nv": -dlog * (1 - k) / seen,
            "nl": -dlog * (1 - k) / lit,
        }
        if slip == "away from the half vector":
            dcosines["nh"] = dlobe * 2 * jnp.abs(cosines["nh"]) * (a2 - 1)
        else:
            inside = {k: (v > 0) & (v < 1) for k, v in cosines.items()}
            dcosines = {k: jnp.where(inside[k], v, 0) for k, v in dcosines.items()}
        dr = jnp.where((roughness > 0.05) & (roughness < 1), dr, 0)
        return dcosines, dr, dfresnel * share[:, None]

    specular.defvjp(fwd, bwd)
    return specular, specular.fun


def layers(rng):
    base, top = positive(rng, 4, 3, 3, low=0.05, high=0.95), positive(rng, 4, 3, 3)
    return base, 0.5 * top, positive(rng, 4, 3, 1, low=0.1, high=0.9), "overlay"


@case(
    "blend modes of layers in pyvips- and kornia-like image code",
    "layers of images",
    layers,
    Twin(
        "branch of the top",
        "mask|region|predicate|swap",
        "base top",
        "The backward looks whether the top layer is bright, not the base.",
    ),
    Twin(
        "channels of the mask",
        "sum|axis|ratio|factor",
        "opacity",
        "The mask is shared by the channels; its gradient is their mean.",
    ),
    Twin(
        "base that shows through",
        "term|path",
        "base",
        "The base's part below the layer is forgotten.",
    ),
)
def overlay_blend(slip):
    def mixed(base, top, mode):
        if mode == "multiply":
            return base * top
        screen = 1 - (1 - base) * (1 - top)
        if mode == "screen":
            return screen
        return jnp.where(base <= 0.5, 2 * base * top, 2 * screen - 1)

    def plain(base, top, opacity, mode):
        return base + opacity * (mixed(base, top, mode) - base)

    blend = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(base, top, opacity, mode):
        return plain(base, top, opacity, mode), (base, top, opacity)

    def bwd(mode, res, g):
        base, top, opacity = res
        d = g * opacity
        if mode == "multiply":
            by_base, by_top = top, base
        elif mode == "screen":
            by_base, by_top = 1 - top, 1 - base
        else:
            dark = (top if slip == "branch of the top" else base) <= 0.5
            by_base = 2 * jnp.where(dark, top, 1 - top)
            by_top = 2 * jnp.where(dark, base, 1 - base)
        dbase = d * by_base
        if slip != "base that shows through":
            dbase = dbase + g - d
        each = g * (mixed(base, top, mode) - base)
        if slip == "channels of the mask":
            return dbase, d * by_top, each.mean(-1, keepdims=True)
        return dbase, d * by_top, each.sum(-1, keepdims=True)

    blend.defvjp(fwd, bwd)
    return blend, plain


def terrain(rng):
    slopes = normal(rng, 5, 2)
    return positive(rng, 7, 2, low=-2.0, high=3.0), slopes, integers(rng, 5, 4, 4)


@case(
    "Perlin noise in procedural textures",
    "noise",
    terrain,
    Twin(
        "fade",
        "term|path",
        "points",
        "The derivative of the fading weights is forgotten.",
    ),
    Twin(
        "other fade",
        "function|operand",
        "points",
        "The quintic fade is pulled back as if it were the cubic one.",
    ),
    Twin(
        "hashed twice",
        "duplicates|index|sum",
        "slopes",
        "A slope that several corners share gets the gradient of one.",
    ),
    narrow=False,
)
def perlin_noise(slip):
    corners = ((0, 0), (0, 1), (1, 0), (1, 1))

    def parts(points, slopes, table):
        cell = jnp.floor(points)
        off = points - cell
        cell = cell.astype(jnp.int32)
        fade = off**3 * (off * (off * 6 - 15) + 10)
        for corner in corners:
            at = jnp.asarray(corner)
            one = cell + at
            index = table[one[:, 0] % table.shape[0], one[:, 1] % table.shape[1]]
            sign = 2 * at - 1
            weight = jnp.where(at == 1, fade, 1 - fade)
            away = off - at
            yield index, sign, weight, away, (away * slopes[index]).sum(-1)

    @jax.custom_vjp
    def noise(points, slopes, table):
        every = parts(points, slopes, table)
        return sum(weight.prod(-1) * value for _, _, weight, _, value in every)

    def fwd(points, slopes, table):
        return noise.fun(points, slopes, table), (points, slopes, table)

    def bwd(res, g):
        points, slopes, table = res
        off = points - jnp.floor(points)
        dfade = 30 * (off * (1 - off)) ** 2
        if slip == "other fade":
            dfade = 6 * off * (1 - off)
        dpoints, dslopes = jnp.zeros_like(points), jnp.zeros_like(slopes)
        for index, sign, weight, away, value in parts(points, slopes, table):
            both = (g * weight.prod(-1))[:, None]
            dpoints = dpoints + both * slopes[index]
            if slip != "fade":
                turn = sign * weight[:, ::-1] * dfade
                dpoints = dpoints + (g * value)[:, None] * turn
            at = dslopes.at[index]
            twice = slip == "hashed twice"
            dslopes = at.set(both * away) if twice else at.add(both * away)
        return dpoints, dslopes, None

    noise.defvjp(fwd, bwd)
    return noise, noise.fun


def graded(rng):
    matrix = jnp.eye(3, dtype=jnp.float32) + normal(rng, 3, 3, std=0.1)
    return positive(rng, 3, 4, 3, low=0.05, high=1.1), matrix, normal(rng, 3, std=0.1)


@case(
    "colour correction matrices of camera pipelines",
    "colour",
    graded,
    Twin(
        "matrix transposed",
        "transpose",
        "image",
        "The image's gradient is multiplied by the matrix turned over.",
    ),
    Twin(
        "out of range",
        "mask|region|predicate",
        "image matrix offset",
        "Colours that are clipped still get a gradient.",
    ),
    Twin(
        "offset averaged",
        "sum|ratio|factor",
        "offset",
        "The offset gets the mean over the pixels, not the sum.",
    ),
)
def color_matrix_grade(slip):
    @jax.custom_vjp
    def grade(image, matrix, offset):
        return jnp.clip(jnp.einsum("hwc,dc->hwd", image, matrix) + offset, 0, 1)

    def fwd(image, matrix, offset):
        out = grade.fun(image, matrix, offset)
        return out, (image, matrix, out)

    def bwd(res, g):
        image, matrix, out = res
        if slip != "out of range":
            g = jnp.where((out > 0) & (out < 1), g, 0)
        turned = matrix.T if slip == "matrix transposed" else matrix
        doffset = g.mean((0, 1)) if slip == "offset averaged" else g.sum((0, 1))
        dmatrix = jnp.einsum("hwd,hwc->dc", g, image)
        return jnp.einsum("hwd,dc->hwc", g, turned), dmatrix, doffset

    grade.defvjp(fwd, bwd)
    return grade, grade.fun

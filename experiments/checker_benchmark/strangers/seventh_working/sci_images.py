"""Edges, colours, layers and tones of images."""

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


def grey(rng):
    return normal(rng, 2, 5, 6), 1e-3


@case(
    "Sobel's edge magnitude in kornia, dm_pix ports",
    "filter of images",
    grey,
    Twin(
        "border dropped",
        "edge|mask|term|index",
        "image",
        "What the repeated border received is cut off, not added to the edge.",
    ),
    Twin(
        "kernel not turned",
        "sign|transpose",
        "image",
        "The cotangent is filtered, where it should be filtered with mirrored taps.",
    ),
    Twin(
        "squares",
        "factor|ratio",
        "image",
        "A factor 2 is left from the squares under the root.",
    ),
)
def sobel_magnitude(slip):
    smooth = ((-1, 1.0), (0, 2.0), (1, 1.0))
    taps = [(i, j, w * j) for i, w in smooth for j in (-1, 1)]
    across, down = taps, [(j, i, w) for i, j, w in taps]

    def slopes(image):
        h, w = image.shape[1:]
        padded = jnp.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")

        def filtered(kernel):
            views = (
                t / 8 * padded[:, 1 + i : 1 + i + h, 1 + j : 1 + j + w]
                for i, j, t in kernel
            )
            return sum(views)

        return filtered(across), filtered(down)

    def plain(image, eps):
        gx, gy = slopes(image)
        return jnp.sqrt(gx**2 + gy**2 + eps)

    magnitude = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(image, eps):
        gx, gy = slopes(image)
        size = jnp.sqrt(gx**2 + gy**2 + eps)
        return size, (gx, gy, size)

    def bwd(eps, res, g):
        gx, gy, size = res
        h, w = g.shape[1:]
        twice = 2 if slip == "squares" else 1
        turn = -1 if slip == "kernel not turned" else 1
        wide = jnp.zeros((g.shape[0], h + 2, w + 2), g.dtype)
        for kernel, slope in ((across, gx), (down, gy)):
            part = twice * g * slope / size
            for i, j, t in kernel:
                i, j = turn * i, turn * j
                rows, columns = slice(1 + i, 1 + i + h), slice(1 + j, 1 + j + w)
                wide = wide.at[:, rows, columns].add(t / 8 * part)
        if slip == "border dropped":
            return (wide[:, 1:-1, 1:-1],)
        wide = wide.at[:, 1].add(wide[:, 0]).at[:, -2].add(wide[:, -1])[:, 1:-1]
        wide = wide.at[..., 1].add(wide[..., 0]).at[..., -2].add(wide[..., -1])
        return (wide[..., 1:-1],)

    magnitude.defvjp(fwd, bwd)
    return magnitude, plain


def colours(rng):
    return (positive(rng, 3, 4, 3, low=0.05, high=0.95),)


@case(
    "RGB to HSV in dm_pix, kornia",
    "colour",
    colours,
    Twin(
        "minimum constant",
        "term|path",
        "rgb",
        "The smallest channel's part in the chroma is forgotten.",
    ),
    Twin(
        "saturation over the value",
        "term|path",
        "rgb",
        "The saturation's denominator is taken to be constant.",
    ),
    Twin(
        "hue over the chroma",
        "term|path",
        "rgb",
        "The hue's denominator is taken to be constant.",
    ),
    narrow=False,
)
def rgb_to_hsv(slip):
    def order(rgb):
        top, low = jnp.argmax(rgb, -1), jnp.argmin(rgb, -1)
        one = jax.nn.one_hot(top, 3, dtype=rgb.dtype)
        return top, one, jax.nn.one_hot(low, 3, dtype=rgb.dtype)

    def chroma(rgb):
        top, high, low = order(rgb)
        value = (rgb * high).sum(-1)
        span = value - (rgb * low).sum(-1)
        after = jnp.take_along_axis(rgb, (top[..., None] + 1) % 3, -1)[..., 0]
        before = jnp.take_along_axis(rgb, (top[..., None] + 2) % 3, -1)[..., 0]
        return top, high, low, value, span, after - before

    @jax.custom_vjp
    def convert(rgb):
        top, _, _, value, span, side = chroma(rgb)
        hue = ((side / span + 2 * top) / 6) % 1.0
        return jnp.stack([hue, span / value, value], -1)

    plain = convert.fun

    def bwd(rgb, g):
        top, high, low, value, span, side = chroma(rgb)
        dhue, dsat, dvalue = jnp.moveaxis(g, -1, 0)
        dspan = dsat / value
        if slip != "hue over the chroma":
            dspan = dspan - dhue / 6 * side / span**2
        if slip != "saturation over the value":
            dvalue = dvalue - dsat * span / value**2
        dside = (dhue / 6 / span)[..., None]
        drgb = (dvalue + dspan)[..., None] * high
        if slip != "minimum constant":
            drgb = drgb - dspan[..., None] * low
        after = jax.nn.one_hot((top + 1) % 3, 3, dtype=rgb.dtype)
        before = jax.nn.one_hot((top + 2) % 3, 3, dtype=rgb.dtype)
        return (drgb + dside * (after - before),)

    convert.defvjp(lambda rgb: (plain(rgb), rgb), bwd)
    return convert, plain


def layers(rng):
    def share(*shape):
        return positive(rng, *shape, low=0.1, high=0.9)

    return share(3, 4, 3), share(3, 4), share(3, 4, 3), share(3, 4)


@case(
    "the over operator for images with alpha in dm_pix, mitsuba ports",
    "layers of images",
    layers,
    Twin(
        "share of the back",
        "term|path",
        "front_alpha",
        "What the front hides of the back is not in its alpha's gradient.",
    ),
    Twin(
        "coverage constant",
        "term|path",
        "front_alpha back_alpha",
        "The colour is divided by a coverage that holds the alphas: forgotten.",
    ),
    Twin(
        "mean of the channels",
        "ratio|sum|factor",
        "front_alpha back_alpha",
        "Alpha is shared by the channels: its gradient is their mean, not their sum.",
    ),
    fixed=(1, 3),
)
def alpha_over(slip):
    def mix(front, front_alpha, back, back_alpha):
        hidden = back_alpha * (1 - front_alpha)
        coverage = front_alpha + hidden
        mixed = front * front_alpha[..., None] + back * hidden[..., None]
        return mixed / coverage[..., None], coverage, hidden

    @jax.custom_vjp
    def over(front, front_alpha, back, back_alpha):
        return mix(front, front_alpha, back, back_alpha)[:2]

    plain = over.fun

    def fwd(front, front_alpha, back, back_alpha):
        colour, coverage, hidden = mix(front, front_alpha, back, back_alpha)
        kept = {"front": (front, front_alpha), "back": (back, back_alpha)}
        return (colour, coverage), (kept, colour, coverage, hidden)

    def bwd(res, cotangents):
        kept, colour, coverage, hidden = res
        (front, front_alpha), (back, back_alpha) = kept["front"], kept["back"]
        dcolour, dcoverage = cotangents
        dmixed = dcolour / coverage[..., None]
        gather = jnp.mean if slip == "mean of the channels" else jnp.sum
        if slip != "coverage constant":
            dcoverage = dcoverage - (dmixed * colour).sum(-1)
        dalpha = gather(dmixed * front, -1) + dcoverage
        dhidden = gather(dmixed * back, -1) + dcoverage
        if slip != "share of the back":
            dalpha = dalpha - dhidden * back_alpha
        dfront = dmixed * front_alpha[..., None]
        return dfront, dalpha, dmixed * hidden[..., None], dhidden * (1 - front_alpha)

    over.defvjp(fwd, bwd)
    return over, plain


def radiance(rng):
    return positive(rng, 3, 4, 3, low=0.01, high=12.0), jnp.asarray(0.3, jnp.float32)


@case(
    "filmic tone mapping with an exposure in stops in nerf and mitsuba ports",
    "tones of images",
    radiance,
    Twin(
        "clipped",
        "mask|region|predicate",
        "colour stops",
        "Tones above 1 are clipped, and have a gradient all the same.",
    ),
    Twin(
        "base of the stops",
        "factor|ratio",
        "stops",
        "The logarithm of 2 is forgotten.",
    ),
    narrow=False,
    scales=(0.1, 1.0),
)
def aces_tone_map(slip):
    a, b, c, d, e = 2.51, 0.03, 2.43, 0.59, 0.14

    def tone(x):
        above, below = x * (a * x + b), x * (c * x + d) + e
        return above, below, above / below

    @jax.custom_vjp
    def develop(colour, stops):
        y = tone(colour * 2**stops)[2]
        return jnp.where(y < 1, y, 1)

    plain = develop.fun

    def bwd(res, g):
        colour, gain = res
        x = colour * gain
        above, below, y = tone(x)
        slope = ((2 * a * x + b) * below - above * (2 * c * x + d)) / below**2
        if slip != "clipped":
            slope = jnp.where(y < 1, slope, 0)
        dx = g * slope
        dgain = (dx * x).sum()
        if slip != "base of the stops":
            dgain = dgain * jnp.log(2.0).astype(dgain.dtype)
        return dx * gain, dgain

    develop.defvjp(lambda x, s: (plain(x, s), (x, 2**s)), bwd)
    return develop, plain

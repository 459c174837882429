"""Pictures: a blur whose width is learned, and colours."""

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


@case(
    "dm_pix.gaussian_blur with a learned sigma, borders repeated",
    "smoothing",
    lambda rng: (normal(rng, 7, 6), jnp.float32(1.2), 3),
    Twin(
        "sum of the kernel held",
        "term|path",
        "sigma",
        "That the kernel is divided by its sum is not differentiated.",
    ),
    Twin(
        "rows alone",
        "term|path|axis|sum",
        "sigma",
        "Of the two passes the last alone gives sigma a gradient.",
    ),
    Twin(
        "borders dropped",
        "region|index|term|elements|mask",
        "image",
        "The repeated pixels' cotangents are cut off, not added to the border.",
    ),
    fixed=(1,),
)
def gaussian_blur_sigma(slip):
    def bell(sigma, radius):
        offset = jnp.arange(-radius, radius + 1, dtype=sigma.dtype)
        k = jnp.exp(-((offset / sigma) ** 2) / 2)
        return k / k.sum(), offset

    def shifted(x, radius):
        """The rows of x at each offset, those outside repeated."""
        n = x.shape[0]
        at = np.clip(np.arange(n) + np.arange(-radius, radius + 1)[:, None], 0, n - 1)
        return x[at]

    def rows(x, k):
        return jnp.tensordot(k, shifted(x, k.size // 2), 1)

    def rows_back(g, k):
        n, radius = g.shape[0], k.size // 2
        wide = jnp.zeros((n + 2 * radius, g.shape[1]), g.dtype)
        for j in range(k.size):
            wide = wide.at[j : j + n].add(k[j] * g)
        dx = wide[radius : radius + n]
        if slip == "borders dropped":
            return dx
        dx = dx.at[0].add(wide[:radius].sum(0))
        return dx.at[-1].add(wide[radius + n :].sum(0))

    def plain(image, sigma, radius):
        k, _ = bell(sigma, radius)
        return rows(rows(image.T, k).T, k)

    blur = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(image, sigma, radius):
        return plain(image, sigma, radius), (image, sigma)

    def bwd(radius, res, g):
        image, sigma = res
        k, offset = bell(sigma, radius)
        between = rows(image.T, k).T
        dk = jnp.tensordot(shifted(between, radius), g, 2)
        dbetween = rows_back(g, k).T
        if slip != "rows alone":
            dk = dk + jnp.tensordot(shifted(image.T, radius), dbetween, 2)
        square = offset**2
        if slip != "sum of the kernel held":
            square = square - (k * square).sum()
        dsigma = (dk * k * square).sum() / sigma**3
        return rows_back(dbetween, k).T, dsigma

    blur.defvjp(fwd, bwd)
    return blur, plain


@case(
    "kornia.color.rgb_to_lab, as ported to JAX",
    "colour",
    lambda rng: (positive(rng, 2, 4, 3, low=0, high=1),),
    Twin(
        "dark pixels",
        "mask|region|function|predicate",
        "rgb",
        "Near black, where the curve is a line, the slope of the power is taken.",
        witness=lambda rng: (positive(rng, 2, 4, 3, low=0, high=0.03),),
    ),
    Twin(
        "matrix not transposed",
        "transpose",
        "rgb",
        "The cotangent is multiplied by the matrix of the forward.",
    ),
    Twin(
        "lightness in the colours",
        "term|path",
        "rgb",
        "That a and b are differences from the lightness is left out.",
    ),
    scales=(0.1, 0.5, 1.0),
)
def srgb_to_lab(slip):
    matrix = np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    white = np.array([0.95047, 1.0, 1.08883])
    to_xyz = matrix / white[:, None]
    knee = 0.008856

    def linear(rgb):
        bright = rgb > 0.04045
        base = jnp.where(bright, (rgb + 0.055) / 1.055, 1)
        return bright, base, jnp.where(bright, base**2.4, rgb / 12.92)

    def root(t):
        high = t > knee
        safe = jnp.where(high, t, 1)
        return high, safe, jnp.where(high, jnp.cbrt(safe), 7.787 * t + 4 / 29)

    @jax.custom_vjp
    def convert(rgb):
        light = linear(rgb)[2] @ jnp.asarray(to_xyz.T, rgb.dtype)
        x, y, z = jnp.moveaxis(root(light)[2], -1, 0)
        return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)

    def fwd(rgb):
        return convert.fun(rgb), rgb

    def bwd(rgb, g):
        bright, base, value = linear(rgb)
        high, safe, _ = root(value @ jnp.asarray(to_xyz.T, rgb.dtype))
        dl, da, db = jnp.moveaxis(g, -1, 0)
        dy = 116 * dl
        if slip != "lightness in the colours":
            dy = dy - 500 * da + 200 * db
        df = jnp.stack([500 * da, dy, -200 * db], -1)
        dxyz = df * jnp.where(high, 1 / (3 * jnp.cbrt(safe) ** 2), 7.787)
        back = to_xyz.T if slip == "matrix not transposed" else to_xyz
        dvalue = dxyz @ jnp.asarray(back, rgb.dtype)
        if slip == "dark pixels":
            return (dvalue * 2.4 / 1.055 * ((rgb + 0.055) / 1.055) ** 1.4,)
        return (dvalue * jnp.where(bright, 2.4 / 1.055 * base**1.4, 1 / 12.92),)

    convert.defvjp(fwd, bwd)
    return convert, convert.fun

"""Exposure, lenses and cameras."""

import jax
import jax.numpy as jnp
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


def photograph(rng):
    image = positive(rng, 4, 5, 3, low=0.02, high=0.9)
    return image, jnp.float32(0.6), normal(rng, 3, std=0.3)


@case(
    "exposure and gamma of images as in kornia's enhance module",
    "tones of images",
    photograph,
    Twin(
        "clipped pixels",
        "mask|region|predicate",
        "image stops",
        "Pixels that are clipped to white still get a gradient.",
    ),
    Twin(
        "logarithm of two",
        "factor|ratio",
        "stops",
        "The power of two is pulled back as if it were the exponential.",
    ),
    Twin(
        "one gamma",
        "axis|sum|affine",
        "log_gamma",
        "Each channel's gamma gets the sum over all channels.",
    ),
)
def gamma_exposure(slip):
    low = 1e-3

    @jax.custom_vjp
    def develop(image, stops, log_gamma):
        linear = image * 2.0**stops
        return jnp.clip(linear, low, 1.0) ** jnp.exp(-log_gamma)

    def fwd(image, stops, log_gamma):
        out = develop.fun(image, stops, log_gamma)
        return out, (image, stops, log_gamma, out)

    def bwd(res, g):
        image, stops, log_gamma, out = res
        gain = 2.0**stops
        linear = image * gain
        clipped = jnp.clip(linear, low, 1.0)
        power = jnp.exp(-log_gamma)
        dlinear = g * power * clipped ** (power - 1)
        if slip != "clipped pixels":
            dlinear = jnp.where((linear > low) & (linear < 1.0), dlinear, 0)
        dstops = jnp.sum(dlinear * linear)
        if slip != "logarithm of two":
            dstops = dstops * jnp.log(2.0).astype(dstops.dtype)
        each = -power * g * out * jnp.log(clipped)
        if slip == "one gamma":
            dgamma = jnp.full_like(log_gamma, each.sum())
        else:
            dgamma = each.sum((0, 1))
        return dlinear * gain, dstops, dgamma

    develop.defvjp(fwd, bwd)
    return develop, develop.fun


def lens(rng):
    image = positive(rng, 5, 4, 3)
    return image, normal(rng, 2, std=0.2), normal(rng, 3, std=0.3)


@case(
    "radial falloff of light as calibrated in colmap and DSO ports",
    "photometric correction of images",
    lens,
    Twin(
        "last power",
        "factor|ratio|affine",
        "centre",
        "The derivative of the cube of the squared radius has a factor of two.",
    ),
    Twin(
        "channels averaged",
        "sum|ratio|factor",
        "centre coefficients",
        "The gain's gradient is the mean over the channels, not the sum.",
    ),
    Twin(
        "centre sign",
        "sign|ratio",
        "centre",
        "The centre is subtracted, its gradient is as if it were added.",
    ),
)
def vignette_correct(slip):
    def offsets(shape, centre):
        y = jnp.linspace(-1.0, 1.0, shape[0], dtype=centre.dtype)[:, None] - centre[0]
        x = jnp.linspace(-1.0, 1.0, shape[1], dtype=centre.dtype)[None] - centre[1]
        return y, x, y * y + x * x

    def gain_of(r2, k):
        return 1 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))

    def plain(image, centre, coefficients):
        *_, r2 = offsets(image.shape, centre)
        return image * gain_of(r2, coefficients)[..., None]

    correct = jax.custom_vjp(plain)

    def fwd(image, centre, coefficients):
        return plain(image, centre, coefficients), (image, centre, coefficients)

    def bwd(res, g):
        image, centre, k = res
        y, x, r2 = offsets(image.shape, centre)
        dgain = (g * image).sum(-1)
        if slip == "channels averaged":
            dgain = (g * image).mean(-1)
        dk = jnp.stack([(dgain * r2**n).sum() for n in (1, 2, 3)])
        last = 2 if slip == "last power" else 3
        dr2 = dgain * (k[0] + 2 * k[1] * r2 + last * k[2] * r2 * r2)
        dcentre = 2 * jnp.stack([(dr2 * y).sum(), (dr2 * x).sum()])
        if slip != "centre sign":
            dcentre = -dcentre
        return g * gain_of(r2, k)[..., None], dcentre, dk

    correct.defvjp(fwd, bwd)
    return correct, plain


def stereo(rng):
    return positive(rng, 5, 4, low=0.2), normal(rng, 5, 4, 3, std=0.5)


@case(
    "edge-aware smoothness of disparities in monodepth2 and kornia",
    "loss of images",
    stereo,
    Twin(
        "mean disparity",
        "term|path",
        "disparity",
        "The mean that normalises the disparities is taken as a constant.",
    ),
    Twin(
        "channels summed",
        "factor|ratio|sum",
        "image",
        "The image's differences are averaged over channels, not so in the backward.",
    ),
    Twin(
        "difference not turned",
        "transpose|sign|index",
        "disparity",
        "The later pixel of each pair gets the gradient of the earlier one, and back.",
    ),
)
def edge_aware_smoothness(slip):
    eps = 1e-4

    def weights(image, axis):
        step = jnp.diff(image, axis=axis)
        return step, jnp.exp(-jnp.abs(step).mean(-1))

    @jax.custom_vjp
    def smoothness(disparity, image):
        level = disparity / (disparity.mean() + eps)
        total = 0.0
        for axis in (0, 1):
            _, weight = weights(image, axis)
            slope = jnp.abs(jnp.diff(level, axis=axis))
            total = total + (slope * weight).sum() / slope.size
        return total

    def fwd(disparity, image):
        return smoothness.fun(disparity, image), {"d": disparity, "image": image}

    def spread(pairs, axis, turned=False):
        none = [(0, 0)] * pairs.ndim
        before, after = list(none), list(none)
        before[axis], after[axis] = (0, 1), (1, 0)
        out = jnp.pad(pairs, after) - jnp.pad(pairs, before)
        return -out if turned else out

    def bwd(res, g):
        d, image = res["d"], res["image"]
        mean = d.mean() + eps
        level = d / mean
        dlevel, dimage = jnp.zeros_like(d), jnp.zeros_like(image)
        for axis in (0, 1):
            step, weight = weights(image, axis)
            slope = jnp.diff(level, axis=axis)
            each = g / slope.size
            dslope = each * weight * jnp.sign(slope)
            dlevel += spread(dslope, axis, slip == "difference not turned")
            dweight = each * jnp.abs(slope) * weight
            share = 1 if slip == "channels summed" else image.shape[-1]
            dimage -= spread(dweight[..., None] * jnp.sign(step) / share, axis)
        dd = dlevel / mean
        if slip != "mean disparity":
            dd = dd - (dlevel * level).sum() / mean / d.size
        return dd, dimage

    smoothness.defvjp(fwd, bwd)
    return smoothness, smoothness.fun


def camera(rng):
    eye = normal(rng, 3) + jnp.asarray([0.0, 0.0, 4.0], jnp.float32)
    return eye, normal(rng, 3, std=0.3), jnp.asarray([0.1, 1.0, 0.0], jnp.float32)


@case(
    "look_at view matrices in pytorch3d, kaolin and jaxcam",
    "camera",
    camera,
    Twin(
        "translation",
        "term|path",
        "eye target up",
        "The rotation's path to the translation is forgotten.",
    ),
    Twin(
        "length of the view",
        "term|path|affine",
        "eye target",
        "The part along the viewing direction is not taken off.",
    ),
    Twin(
        "cross reversed",
        "sign|swap|ratio",
        "up",
        "The cross product with the up vector is pulled back in the wrong order.",
    ),
)
def look_at_matrix(slip):
    def unit(x):
        root = lax.rsqrt((x * x).sum() + 1e-8)
        return x * root, root

    def frame(eye, target, up):
        f, froot = unit(target - eye)
        s, sroot = unit(jnp.cross(f, up))
        return f, froot, s, sroot

    @jax.custom_vjp
    def look_at(eye, target, up):
        f, _, s, _ = frame(eye, target, up)
        rotation = jnp.stack([s, jnp.cross(s, f), -f])
        return rotation, -rotation @ eye

    def fwd(eye, target, up):
        return look_at.fun(eye, target, up), (eye, target, up)

    def bwd(res, g):
        eye, target, up = res
        f, froot, s, sroot = frame(eye, target, up)
        rotation = jnp.stack([s, jnp.cross(s, f), -f])
        drotation, dt = g
        deye = -rotation.T @ dt
        if slip != "translation":
            drotation = drotation - jnp.outer(dt, eye)
        ds, du, df = drotation[0], drotation[1], -drotation[2]
        ds = ds + jnp.cross(f, du)
        df = df + jnp.cross(du, s)
        dside = sroot * (ds - s * (s @ ds))
        df = df + jnp.cross(up, dside)
        dup = jnp.cross(dside, f)
        if slip == "cross reversed":
            dup = -dup
        along = 0 if slip == "length of the view" else f * (f @ df)
        dview = froot * (df - along)
        return deye - dview, dview, dup

    look_at.defvjp(fwd, bwd)
    return look_at, look_at.fun

"""Neural fields and operators: contractions, encodings, slopes and their losses."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def two_fields(reduction):
    def args(rng):
        return normal(rng, 3, 5, 4), normal(rng, 3, 5, 4), reduction

    return args


@case(
    "relative L2 loss (LpLoss) of neuraloperator in JAX ports",
    "loss of fields",
    two_fields("mean"),
    Twin(
        "target in the denominator",
        "term|path|ratio",
        "target",
        "The target's gradient lacks the part through the norm that is divided by.",
    ),
    Twin(
        "always averaged",
        "option|factor|ratio|sum",
        "pred target",
        "The gradient is that of the mean, where the sum was asked for.",
        witness=two_fields("sum"),
    ),
    Twin(
        "norm not divided",
        "factor|term|ratio|operand",
        "pred target",
        "The difference is not divided by its norm.",
    ),
)
def relative_lp_loss(slip):
    def norms(a):
        return jnp.sqrt((a * a).sum(tuple(range(1, a.ndim)), keepdims=True) + 1e-10)

    def plain(pred, target, reduction):
        ratio = norms(pred - target) / norms(target)
        return ratio.sum() if reduction == "sum" else ratio.mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(pred, target, reduction):
        return plain(pred, target, reduction), (pred, target)

    def bwd(reduction, res, g):
        pred, target = res
        diff = pred - target
        top, bottom = norms(diff), norms(target)
        if reduction != "sum" or slip == "always averaged":
            g = g / len(pred)
        dpred = g * diff / bottom
        if slip != "norm not divided":
            dpred = dpred / top
        dtarget = -dpred
        if slip != "target in the denominator":
            dtarget = dtarget - g * (top / bottom) * (target / bottom) / bottom
        return dpred, dtarget

    loss.defvjp(fwd, bwd)
    return loss, plain


def restored(rng):
    seen = jnp.asarray(rng.random((2, 5, 4, 1)) < 0.7)
    return normal(rng, 2, 5, 4, 3), normal(rng, 2, 5, 4, 3), seen, 1e-3, 0.45


@case(
    "generalised Charbonnier loss of optical flow and restoration models",
    "loss of images with a mask",
    restored,
    Twin(
        "square root assumed",
        "option|factor|function|ratio",
        "pred target",
        "The backward is that of the exponent 1/2.",
    ),
    Twin(
        "pixels counted",
        "factor|ratio|sum",
        "pred target",
        "The backward divides by the pixels, not by their channels too.",
    ),
    Twin(
        "masked pixels",
        "mask|region",
        "pred target",
        "Pixels that are masked have a gradient.",
    ),
)
def charbonnier_loss(slip):
    def plain(pred, target, seen, eps, alpha):
        diff = pred - target
        each = (diff * diff + eps * eps) ** alpha
        count = jnp.maximum(seen.sum() * pred.shape[-1], 1)
        return jnp.where(seen, each, 0).sum() / count

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(pred, target, seen, eps, alpha):
        return plain(pred, target, seen, eps, alpha), (pred - target, seen)

    def bwd(eps, alpha, res, g):
        diff, seen = res
        if slip == "square root assumed":
            alpha = 0.5
        channels = 1 if slip == "pixels counted" else diff.shape[-1]
        count = jnp.maximum(seen.sum() * channels, 1)
        slope = 2 * alpha * diff * (diff * diff + eps * eps) ** (alpha - 1)
        if slip != "masked pixels":
            slope = jnp.where(seen, slope, 0)
        dpred = (slope * (g / count)).astype(diff.dtype)
        return dpred, -dpred, None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "contraction of unbounded scenes (mip-NeRF 360) in multinerf",
    "coordinates of rays",
    lambda rng: (normal(rng, 7, 3, std=1.5), 1.5),
    Twin(
        "scale is constant",
        "term|path",
        "points",
        "The scale's dependence on the length is left out.",
    ),
    Twin(
        "radius of the scene",
        "factor|ratio",
        "points",
        "The division by the scene's radius is not pulled back.",
    ),
    Twin(
        "inside the ball too",
        "mask|region|predicate",
        "points",
        "Within the ball the length is taken without the lower bound.",
    ),
)
def scene_contraction(slip):
    def lengths(x):
        return jnp.sqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1.0))

    def plain(points, radius):
        x = points / radius
        n = lengths(x)
        return x * (2 - 1 / n) / n

    contract = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(points, radius):
        return plain(points, radius), (points,)

    def bwd(radius, res, g):
        x = res[0] / radius
        n = lengths(x)
        if slip == "inside the ball too":
            n = jnp.sqrt((x * x).sum(-1, keepdims=True) + 1e-12)
        dx = g * (2 - 1 / n) / n
        if slip != "scale is constant":
            unit = x / n
            along = (unit * g).sum(-1, keepdims=True)
            dx = dx + (2 / n - 2) / n * along * unit
        return (dx if slip == "radius of the scene" else dx / radius,)

    contract.defvjp(fwd, bwd)
    return contract, plain


@case(
    "coarse-to-fine positional encoding (BARF, nerfies) in nerfstudio ports",
    "encoding of coordinates",
    lambda rng: (normal(rng, 5, 3, std=0.4), jnp.float32(2.3), 4, True),
    Twin(
        "octaves",
        "factor|ratio",
        "x",
        "The frequencies are not multiplied with.",
    ),
    Twin(
        "input passed on",
        "term|path|option",
        "x",
        "The coordinates in front of the waves get no cotangent.",
    ),
    Twin(
        "window open",
        "factor|mask|ratio",
        "x",
        "The backward uses all octaves in full.",
    ),
    narrow=False,
)
def nerf_positional_encoding(slip):
    def waves(x, levels):
        octaves = jnp.pi * 2.0 ** jnp.arange(levels, dtype=x.dtype)
        return octaves, x[..., None, :] * octaves[:, None]

    def window(progress, levels):
        ramp = jnp.clip(progress - jnp.arange(levels), 0, 1)
        return ramp, ((1 - jnp.cos(jnp.pi * ramp)) / 2)[:, None]

    def plain(x, progress, levels, keep):
        _, z = waves(x, levels)
        _, w = window(progress, levels)
        both = jnp.stack([w * jnp.sin(z), w * jnp.cos(z)], axis=-3)
        flat = both.reshape(*x.shape[:-1], -1)
        return jnp.concatenate([x, flat], -1) if keep else flat

    encode = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, progress, levels, keep):
        return plain(x, progress, levels, keep), (x, progress)

    def bwd(levels, keep, res, g):
        x, progress = res
        octaves, z = waves(x, levels)
        ramp, w = window(progress, levels)
        start = x.shape[-1] if keep else 0
        shape = (*x.shape[:-1], 2, levels, x.shape[-1])
        gsin, gcos = jnp.moveaxis(g[..., start:].reshape(shape), -3, 0)
        dw = (gsin * jnp.sin(z) + gcos * jnp.cos(z)).sum(-1).reshape(-1, levels).sum(0)
        rise = jnp.where(ramp < 1, jnp.sin(jnp.pi * ramp), 0)
        dprogress = (jnp.pi / 2 * dw * rise).sum()
        if slip == "window open":
            w = jnp.ones_like(w)
        dz = w * (gsin * jnp.cos(z) - gcos * jnp.sin(z))
        dx = (dz if slip == "octaves" else dz * octaves[:, None]).sum(-2)
        if keep and slip != "input passed on":
            dx = dx + g[..., :start]
        return dx, dprogress.astype(progress.dtype)

    encode.defvjp(fwd, bwd)
    return encode, plain


@case(
    "adaptive activation slopes of physics-informed networks (Jagtap) in jaxpinns",
    "activation with learned parameters that keeps its output",
    lambda rng: (normal(rng, 6, 4, std=0.3), normal(rng, 4, mean=0.3, std=0.1), 5.0),
    Twin(
        "scale of the slope",
        "factor|ratio",
        "slope",
        "The slope's gradient lacks the fixed factor.",
    ),
    Twin(
        "batch averaged",
        "sum|factor|ratio",
        "slope",
        "The slope's gradient is the mean over the batch.",
    ),
    Twin(
        "derivative of the output",
        "function|residual|operand",
        "x slope",
        "The saved output is put through tanh once more.",
    ),
)
def adaptive_tanh(slip):
    def plain(x, slope, fixed):
        return jnp.tanh(fixed * slope * x)

    act = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, slope, fixed):
        y = plain(x, slope, fixed)
        return y, (x, slope, y)

    def bwd(fixed, res, g):
        x, slope, y = res
        if slip == "derivative of the output":
            y = jnp.tanh(y)
        dz = g * (1 - y) * (1 + y)
        each = (dz * x).reshape(-1, len(slope))
        dslope = each.mean(0) if slip == "batch averaged" else each.sum(0)
        if slip != "scale of the slope":
            dslope = dslope * fixed
        return dz * fixed * slope, dslope

    act.defvjp(fwd, bwd)
    return act, plain

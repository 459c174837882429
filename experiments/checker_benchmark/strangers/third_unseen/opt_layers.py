"""Optimisation as a layer: cones, balls and clipped gradients."""

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


def cone_points(rng):
    return normal(rng, 4), normal(rng, 4, 3)


def with_a_zero(rng):
    t, x = cone_points(rng)
    return t, x.at[1].set(0)


def deep_below(rng):
    t, x = cone_points(rng)
    return t.at[2].set(-6.0), x


@case(
    "conic layers with jaxopt: projection on the second-order cone",
    "projection",
    cone_points,
    Twin("direction held", "term|path", "x", "The unit vector is held constant."),
    Twin(
        "polar cone",
        "mask|region|predicate",
        "t x",
        "Points that go to the apex have gradients.",
        witness=deep_below,
    ),
    Twin(
        "vector of zeros",
        "edge|nan|finite|predicate",
        "t x",
        "A vector of zeros is divided by its norm.",
        witness=with_a_zero,
    ),
)
def second_order_cone_projection(slip):
    """Of each (t, x) on the set of |x| <= t."""

    def parts(t, x):
        square = (x * x).sum(-1)
        norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
        unit = x / jnp.where(square > 0, norm, 1)[..., None]
        return norm, unit, norm <= t, norm <= -t

    @jax.custom_vjp
    def project(t, x):
        norm, unit, inside, below = parts(t, x)
        height = jnp.where(below, 0, (norm + t) / 2)
        to_cone = jnp.where(inside[..., None], x, height[..., None] * unit)
        return jnp.where(inside, t, height), to_cone

    def fwd(t, x):
        return project.fun(t, x), (t, x)

    def bwd(res, cotangents):
        t, x = res
        gt, gx = cotangents
        norm, unit, inside, below = parts(t, x)
        nonzero = jnp.where(norm > 0, norm, 1)
        if slip == "vector of zeros":
            nonzero = norm
            unit = x / norm[..., None]

        def choose(mask, a, b):
            if slip == "vector of zeros":
                return mask * a + (1 - mask) * b
            return jnp.where(mask, a, b)

        radial, ratio = (unit * gx).sum(-1), t / nonzero
        dt = (gt + radial) / 2
        straight = (gt - ratio * radial)[..., None] * unit
        dx = (straight + (1 + ratio)[..., None] * gx) / 2
        if slip == "direction held":
            dx = (gt + radial)[..., None] * unit / 2
        if slip != "polar cone":
            dt = choose(below, 0, dt)
            dx = choose(below[..., None], 0, dx)
        return choose(inside, gt, dt), choose(inside[..., None], gx, dx)

    project.defvjp(fwd, bwd)
    return project, project.fun


def ball(std: float):
    return lambda rng: (normal(rng, 3, 5, std=std), jnp.float32(1.0))


@case(
    "jaxopt.projection.projection_l1_ball",
    "projection",
    ball(1.0),
    Twin(
        "signs",
        "sign|factor|operand|term",
        "x radius",
        "The mean over the support is taken without the signs.",
    ),
    Twin(
        "inside the ball",
        "mask|region|predicate",
        "x radius",
        "Rows that are inside already are treated like the others.",
        witness=ball(0.1),
    ),
    Twin(
        "mean over the row",
        "ratio|factor|sum|constant",
        "x radius",
        "Divided by the length, not by the number of entries that are left.",
    ),
    fixed=(1,),
)
def l1_ball_projection(slip):
    def threshold_of(size, radius):
        ordered = -jnp.sort(-size, -1)
        k = jnp.arange(1, size.shape[-1] + 1, dtype=size.dtype)
        excess = jnp.cumsum(ordered, -1) - radius
        count = jnp.maximum((k * ordered > excess).sum(-1, keepdims=True), 1)
        return jnp.take_along_axis(excess, count - 1, -1) / count

    @jax.custom_vjp
    def project(x, radius):
        size = jnp.abs(x)
        threshold = threshold_of(size, radius)
        shrunk = jnp.where(size > threshold, x - jnp.sign(x) * threshold, 0)
        return jnp.where(size.sum(-1, keepdims=True) <= radius, x, shrunk)

    def fwd(x, radius):
        return project.fun(x, radius), (x, radius)

    def bwd(res, g):
        x, radius = res
        size, sign = jnp.abs(x), jnp.sign(x)
        threshold = threshold_of(size, radius)
        kept = size > threshold
        count = jnp.maximum(kept.sum(-1, keepdims=True), 1)
        inside = size.sum(-1, keepdims=True) <= radius
        if slip == "inside the ball":
            inside = jnp.zeros_like(inside)
        if slip == "signs":
            sign = jnp.ones_like(sign)
        if slip == "mean over the row":
            count = x.shape[-1]
        mean = jnp.where(kept, sign * g, 0).sum(-1, keepdims=True) / count
        moved = jnp.where(kept, g - sign * mean, 0)
        dradius = jnp.where(inside, 0, mean).sum()
        return jnp.where(inside, g, moved), dradius

    project.defvjp(fwd, bwd)
    return project, project.fun


def layer_gradients(std: float):
    def args(rng):
        tree = {"w": normal(rng, 3, 4, std=std), "b": normal(rng, 4, std=std)}
        return tree, jnp.float32(1.0)

    return args


@case(
    "optax.clip_by_global_norm, differentiated in meta-learning",
    "gradient clipping",
    layer_gradients(1.0),
    Twin("norm held", "term|path", "tree", "The norm is taken as a constant."),
    Twin(
        "by leaves",
        "sum|axis|term|path",
        "tree limit",
        "Each leaf sees its own part of the inner product.",
    ),
    Twin(
        "short ones",
        "mask|region|predicate",
        "tree limit",
        "Trees that are short enough are treated like long ones.",
        witness=layer_gradients(0.05),
    ),
    fixed=(1,),
)
def global_norm_clip(slip):
    def square(tree):
        return sum((x * x).sum() for x in jax.tree.leaves(tree))

    @jax.custom_vjp
    def clip(tree, limit):
        total = square(tree)
        short = total <= limit * limit
        factor = limit / jnp.sqrt(jnp.where(short, 1, total))
        return jax.tree.map(lambda x: jnp.where(short, x, factor * x), tree)

    def fwd(tree, limit):
        return clip.fun(tree, limit), (tree, limit)

    def bwd(res, g):
        tree, limit = res
        total = square(tree)
        short = total <= limit * limit
        if slip == "short ones":
            short = jnp.zeros_like(short)
        norm = jnp.sqrt(jnp.where(short, 1, total))
        inner = jax.tree.map(lambda x, d: (x * d).sum(), tree, g)
        if slip != "by leaves":
            whole = sum(jax.tree.leaves(inner))
            inner = jax.tree.map(lambda _: whole, inner)

        def back(x, d, along):
            radial = 0 if slip == "norm held" else x * along / norm**2
            return jnp.where(short, d, limit / norm * (d - radial))

        dlimit = jnp.where(short, 0, jax.tree.leaves(inner)[0] / norm)
        return jax.tree.map(back, tree, g, inner), dlimit.astype(limit.dtype)

    clip.defvjp(fwd, bwd)
    return clip, clip.fun

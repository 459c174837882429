"""Rays, shapes, cameras and skins."""

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


def rays(rng):
    bins = 2 + jnp.cumsum(positive(rng, 3, 6), -1)
    places = (jnp.arange(5, dtype=jnp.float32) + 0.5) / 5
    return bins, positive(rng, 3, 5, low=0.05, high=1.0), places


@case(
    "NeRF in JAX: samples by the inverse of the cumulative weights",
    "sampling",
    rays,
    Twin(
        "normalisation held",
        "term|path",
        "weights",
        "That the weights are divided by their sum is left out.",
    ),
    Twin(
        "upper edge",
        "term|path",
        "weights",
        "The cumulative weight at the upper edge of the bin is held fixed.",
    ),
    Twin(
        "summed forwards",
        "transpose|index|operand|sum|axis",
        "weights",
        "The cumulative sum is pulled back by one in the same direction.",
    ),
    options=lambda plain: {"nondiff": ("places",), "edges": False},
    fixed=(2,),
    narrow=False,
)
def hierarchical_samples(slip):
    def locate(weights, places):
        shares = weights / weights.sum(-1, keepdims=True)
        cdf = jnp.pad(jnp.cumsum(shares, -1), ((0, 0), (1, 0)))
        below = (cdf[:, None, 1:-1] <= places[:, None]).sum(-1)
        return shares, cdf, below

    def take(a, index):
        return jnp.take_along_axis(a, index, -1)

    def inside(weights, places):
        """Share of the bin that lies below the place, and the bin's weight."""
        shares, cdf, below = locate(weights, places)
        width = take(shares, below)
        safe = jnp.where(width > 1e-8, width, 1)
        return shares, below, safe, (places - take(cdf, below)) / safe

    @jax.custom_vjp
    def samples(bins, weights, places):
        _, below, _, share = inside(weights, places)
        low, high = take(bins, below), take(bins, below + 1)
        return low + share * (high - low)

    def fwd(bins, weights, places):
        return samples.fun(bins, weights, places), (bins, weights, places)

    def bwd(res, g):
        bins, weights, places = res
        shares, below, safe, share = inside(weights, places)
        rows = jnp.arange(len(bins))[:, None]
        dbins = jnp.zeros_like(bins).at[rows, below].add(g * (1 - share))
        dbins = dbins.at[rows, below + 1].add(g * share)
        dshare = g * (take(bins, below + 1) - take(bins, below)) / safe
        # share = (place - sum of those before) / own
        dlower = -dshare * (1 - share) if slip == "upper edge" else -dshare
        dbefore = jnp.zeros_like(shares).at[rows, below].add(dlower)
        if slip == "summed forwards":
            dshares = jnp.cumsum(dbefore, -1) - dbefore
        else:
            dshares = jnp.cumsum(dbefore[:, ::-1], -1)[:, ::-1] - dbefore
        if slip != "upper edge":
            own = jnp.where(take(shares, below) > 1e-8, -dshare * share, 0)
            dshares = dshares.at[rows, below].add(own)
        if slip != "normalisation held":
            dshares = dshares - (dshares * shares).sum(-1, keepdims=True)
        dweights = dshares / weights.sum(-1, keepdims=True)
        return dbins, dweights, jnp.zeros_like(places)

    samples.defvjp(fwd, bwd)
    return samples, samples.fun


def circles(rng):
    radii = positive(rng, 4, low=0.3, high=0.6)
    return normal(rng, 6, 2), normal(rng, 4, 2), radii, jnp.float32(0.5)


def at_a_centre(rng):
    points, centres, radii, width = circles(rng)
    return points.at[1].set(centres[2]), centres, radii, width


@case(
    "smooth unions of signed distances in sphere tracers and fitted shapes in JAX",
    "distance field",
    circles,
    Twin(
        "shares swapped",
        "swap|operand|sign",
        "points centres radii width",
        "The union so far has the share of the next shape, and conversely.",
    ),
    Twin(
        "last width",
        "sum|term|path|index",
        "width",
        "Only the last union adds to the width's gradient.",
    ),
    Twin(
        "centre",
        "edge|mask|zero|predicate",
        "points centres",
        "At a centre the direction is 0 / 0.",
        witness=at_a_centre,
    ),
    fixed=(3,),
    narrow=False,
)
def smooth_union_sdf(slip):
    def distances(points, centres, radii):
        """One row for each shape."""
        squared = ((points - centres[:, None]) ** 2).sum(-1)
        away = squared > 0
        return (
            jnp.where(away, jnp.sqrt(jnp.where(away, squared, 1)), 0) - radii[:, None]
        )

    def share(a, b, width):
        return jnp.clip(0.5 + 0.5 * (b - a) / width, 0, 1)

    def union(a, b, width):
        h = share(a, b, width)
        return b + (a - b) * h - width * h * (1 - h)

    @jax.custom_vjp
    def field(points, centres, radii, width):
        each = distances(points, centres, radii)
        return lax.scan(lambda a, b: (union(a, b, width), None), each[0], each[1:])[0]

    def fwd(points, centres, radii, width):
        each = distances(points, centres, radii)

        def join(a, b):
            return union(a, b, width), a

        value, before = lax.scan(join, each[0], each[1:])
        return value, (points, centres, width, each, before)

    def bwd(res, g):
        points, centres, width, each, before = res

        def back(carry, item):
            da, dwidth = carry
            a, b = item
            h = share(a, b, width)
            more = -(da * h * (1 - h)).sum()
            if slip == "shares swapped":
                h = 1 - h
            return (da * h, dwidth + more), (da * (1 - h), more)

        start = (g, jnp.zeros_like(width))
        (first, dwidth), (rest, each_width) = lax.scan(
            back, start, (before, each[1:]), reverse=True
        )
        if slip == "last width":
            dwidth = each_width[-1]
        deach = jnp.concatenate([first[None], rest])
        gaps = points - centres[:, None]
        length = jnp.sqrt((gaps**2).sum(-1, keepdims=True))
        if slip != "centre":
            length = jnp.where(length > 0, length, 1)
        dgaps = deach[..., None] * gaps / length
        return dgaps.sum(0), -dgaps.sum(1), -deach.sum(1), dwidth

    field.defvjp(fwd, bwd)
    return field, field.fun


def views(rng):
    return jnp.eye(3) + 0.1 * normal(rng, 3, 3), normal(rng, 6, 2)


def point_at_infinity(rng):
    h, points = views(rng)
    return h.at[2].set(jnp.array([1.0, 0.0, 0.5])), points.at[2, 0].set(-0.5)


@case(
    "kornia.geometry.transform_points with homographies, as ported to JAX",
    "camera",
    views,
    Twin(
        "last row",
        "term|path",
        "h",
        "The homography's last row has no gradient.",
    ),
    Twin(
        "divisor of the points",
        "term|path",
        "points",
        "That the divisor depends on the points is left out.",
    ),
    Twin(
        "at infinity",
        "mask|region|predicate|edge",
        "h points",
        "Points that are not divided are pulled back through a division by 1.",
        witness=point_at_infinity,
    ),
    narrow=False,
)
def homography_points(slip):
    """Points whose divisor vanishes are not divided."""

    def lifted(h, points):
        flat = jnp.pad(points, ((0, 0), (0, 1)), constant_values=1) @ h.T
        far = jnp.abs(flat[:, 2:]) < 1e-8
        return flat[:, :2], jnp.where(far, 1, flat[:, 2:]), far

    @jax.custom_vjp
    def project(h, points):
        flat, divisor, _ = lifted(h, points)
        return flat / divisor

    def fwd(h, points):
        flat, divisor, far = lifted(h, points)
        return flat / divisor, (h, points, flat / divisor, divisor, far)

    def bwd(res, g):
        h, points, out, divisor, far = res
        dflat = g / divisor
        ddivisor = -(dflat * out).sum(-1, keepdims=True)
        if slip != "at infinity":
            ddivisor = jnp.where(far, 0, ddivisor)
        dlifted = jnp.concatenate([dflat, ddivisor], -1)
        ones = jnp.pad(points, ((0, 0), (0, 1)), constant_values=1)
        dh = dlifted.T @ ones
        if slip == "last row":
            dh = dh.at[2].set(0)
        if slip == "divisor of the points":
            return dh, dflat @ h[:2, :2]
        return dh, dlifted @ h[:, :2]

    project.defvjp(fwd, bwd)
    return project, project.fun

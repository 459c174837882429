"""Devices: terrain under feet, pixels of detectors."""

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


def sloped(args, dy):
    """The slopes of the grid for the points, the cells' shares for the heights."""
    heights, points = args
    top = jnp.array(heights.shape) - 1
    at = tuple(jnp.clip(jnp.round(points).astype(jnp.int32), 0, top).T)
    slopes = jnp.stack([slope[at] for slope in jnp.gradient(heights)], -1)
    over = (points >= 0) & (points <= top)
    return jnp.zeros_like(heights).at[at].add(dy), jnp.where(
        over, dy[:, None] * slopes, 0
    )


@case(
    "terrain under the feet of robots in brax-like code: nearest cell, real slopes",
    "lookup",
    lambda rng: (normal(rng, 5, 6), positive(rng, 20, 2, low=-0.4, high=4.4)),
    Twin(
        "border cells",
        "factor|ratio|constant|edge|region",
        "points",
        "At a border the slope is over one cell, but is halved as elsewhere.",
    ),
    Twin(
        "beyond the terrain",
        "mask|region|predicate",
        "points",
        "Feet beyond the border feel the slope of the cell that they are held to.",
    ),
    Twin(
        "two feet on a cell",
        "duplicates|index|sum",
        "heights",
        "Feet on the same cell overwrite each other's gradient.",
    ),
    options=lambda plain: {"surrogate": sloped},
    fixed=(1,),
)
def nearest_height_lookup(slip):
    def cells(heights, points):
        top = jnp.array(heights.shape) - 1
        return jnp.clip(jnp.round(points).astype(jnp.int32), 0, top), top

    @jax.custom_vjp
    def lookup(heights, points):
        at, _ = cells(heights, points)
        return heights[tuple(at.T)]

    def fwd(heights, points):
        return lookup.fun(heights, points), (heights, points)

    def bwd(res, g):
        heights, points = res
        at, top = cells(heights, points)
        slopes = []
        for step in (jnp.array([1, 0]), jnp.array([0, 1])):
            up, down = jnp.minimum(at + step, top), jnp.maximum(at - step, 0)
            width = 2 if slip == "border cells" else (up - down).sum(-1)
            rise = heights[tuple(up.T)] - heights[tuple(down.T)]
            slopes.append((rise / width).astype(heights.dtype))
        dpoints = g[:, None] * jnp.stack(slopes, -1)
        if slip != "beyond the terrain":
            dpoints = jnp.where((points >= 0) & (points <= top), dpoints, 0)
        place = jnp.zeros_like(heights).at[tuple(at.T)]
        return place.set(g) if slip == "two feet on a cell" else place.add(g), dpoints

    lookup.defvjp(fwd, bwd)
    return lookup, lookup.fun


def exposures(rng):
    frames = rng.integers(80, 400, (3, 4, 5)).astype(np.uint16)
    gain = positive(rng, 4, 5, low=0.8, high=1.2).at[1, 2].set(0)
    alive = jnp.ones((4, 5), bool).at[1, 2].set(False)
    return jnp.asarray(frames), normal(rng, 4, 5, mean=80.0, std=3.0), gain, alive


@case(
    "flat-field correction of detectors in JAX pipelines: counts, dark frame and gains",
    "calibration",
    exposures,
    Twin(
        "mean of the frames",
        "sum|axis|factor|ratio",
        "dark gain",
        "All frames share the dark frame and the gains; their mean is taken.",
    ),
    Twin(
        "dead pixels",
        "edge|nan|finite|mask",
        "dark gain",
        "Pixels without a gain are set to 0, but are divided by it on the way back.",
    ),
    Twin(
        "gain",
        "ratio|factor|function",
        "gain",
        "The slope of an inverse has its square below.",
    ),
    fixed=(0,),
    narrow=False,
)
def detector_flat_field(slip):
    @jax.custom_vjp
    def correct(frames, dark, gain, alive):
        counts = frames.astype(dark.dtype) - dark
        return jnp.where(alive, counts / jnp.where(alive, gain, 1), 0)

    def fwd(frames, dark, gain, alive):
        out = correct.fun(frames, dark, gain, alive)
        return out, (gain, alive, out)

    def bwd(res, g):
        gain, alive, out = res
        divisor = gain if slip == "dead pixels" else jnp.where(alive, gain, 1)
        ddark = -g / divisor
        dgain = -g * out / (1 if slip == "gain" else divisor)
        if slip != "dead pixels":
            ddark, dgain = jnp.where(alive, ddark, 0), jnp.where(alive, dgain, 0)
        if slip == "mean of the frames":
            return None, ddark.mean(0), dgain.mean(0), None
        return None, ddark.sum(0), dgain.sum(0), None

    correct.defvjp(fwd, bwd)
    return correct, correct.fun

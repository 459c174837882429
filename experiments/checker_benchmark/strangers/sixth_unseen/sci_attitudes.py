"""Attitudes between others, and features between grid points."""

import itertools

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def attitudes(rng):
    return unit_rows(rng, 6, 4), unit_rows(rng, 6, 4), positive(rng, 6, low=0, high=1)


def equal_attitudes(rng):
    start, end, time = attitudes(rng)
    return start.at[0].set(jnp.eye(4)[0]), end.at[0].set(jnp.eye(4)[0]), time


@case(
    "spherical interpolation of quaternions in jaxlie-like libraries, by the short way",
    "rotations",
    attitudes,
    Twin(
        "long way",
        "sign|mask|region|predicate|ratio",
        "end",
        "The end was flipped to the near side; its gradient is not flipped back.",
    ),
    Twin(
        "angle held",
        "term|path",
        "start end",
        "The two weights are constants: the angle between the ends does not move.",
    ),
    Twin(
        "equal attitudes",
        "edge|nan|finite",
        "start end",
        "Zero over zero in the weights' slopes where both ends are the same.",
        witness=equal_attitudes,
    ),
    fixed=(0, 1, 2),
    scales=(1.0,),
)
def slerp(slip):
    close = 0.9995

    def parts(start, end, time):
        dot = (start * end).sum(-1)
        side = jnp.where(dot < 0, -1, 1).astype(dot.dtype)
        near = side * dot > close
        angle = jnp.arccos(jnp.where(near, 0.5, side * dot))
        w0 = jnp.where(near, 1 - time, jnp.sin((1 - time) * angle) / jnp.sin(angle))
        w1 = jnp.where(near, time, jnp.sin(time * angle) / jnp.sin(angle))
        return side, near, angle, w0, w1

    def plain(start, end, time):
        side, _, _, w0, w1 = parts(start, end, time)
        return w0[:, None] * start + (w1 * side)[:, None] * end

    interpolate = jax.custom_vjp(plain)

    def fwd(start, end, time):
        return plain(start, end, time), (start, end, time)

    def bwd(res, g):
        start, end, time = res
        side, near, angle, w0, w1 = parts(start, end, time)
        dw0, dw1 = (g * start).sum(-1), side * (g * end).sum(-1)
        if slip == "equal attitudes":
            angle = jnp.where(near, 0, angle)
        sin, cos = jnp.sin(angle), jnp.cos(angle)
        turned0 = jnp.cos((1 - time) * angle) / sin
        turned1 = jnp.cos(time * angle) / sin
        dangle = dw0 * ((1 - time) * turned0 - w0 * cos / sin)
        dangle = dangle + dw1 * (time * turned1 - w1 * cos / sin)
        ddot = -side * dangle / sin
        if slip != "equal attitudes":
            ddot = jnp.where(near, 0, ddot)
        if slip == "angle held":
            ddot = jnp.zeros_like(ddot)
        back = w1 if slip == "long way" else w1 * side
        dtime = angle * (dw1 * turned1 - dw0 * turned0)
        dtime = jnp.where(near, dw1 - dw0, dtime)
        dstart = w0[:, None] * g + ddot[:, None] * end
        return dstart, back[:, None] * g + ddot[:, None] * start, dtime

    interpolate.defvjp(fwd, bwd)
    return interpolate, plain


def voxels(rng):
    return normal(rng, 4, 5, 3, 2), positive(rng, 7, 3, low=-0.3, high=2.3)


@case(
    "features of voxels between grid points (Plenoxels in JAX), held at the borders",
    "interpolation",
    voxels,
    Twin(
        "axes exchanged",
        "swap|axis|transpose|index",
        "grid",
        "The weights of the first and the last axis are exchanged in the scatter.",
    ),
    Twin(
        "outside",
        "mask|region|predicate",
        "points",
        "Coordinates that were held at a border have gradients.",
    ),
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "grid",
        "Points in the same cell overwrite each other's gradients.",
    ),
    fixed=(1,),
)
def trilinear_grid_lookup(slip):
    corners = list(itertools.product((0, 1), repeat=3))

    def cells(grid, points):
        top = jnp.array(grid.shape[:3]) - 1
        inside = (points > 0) & (points < top)
        held = jnp.where(points > 0, top, 0).astype(points.dtype)
        at = jnp.where(inside, points, held)
        low = jnp.clip(jnp.floor(at).astype(jnp.int32), 0, top - 1)
        return low, at - low, inside

    def weights(s, corner):
        """Of each axis, for one corner of the cells."""
        return jnp.where(jnp.array(corner) == 1, s, 1 - s)

    def plain(grid, points):
        low, s, _ = cells(grid, points)
        total = 0
        for corner in corners:
            value = grid[tuple((low + jnp.array(corner)).T)]
            total = total + weights(s, corner).prod(-1)[:, None] * value
        return total

    lookup = jax.custom_vjp(plain)

    def fwd(grid, points):
        return plain(grid, points), (grid, points)

    def bwd(res, g):
        grid, points = res
        low, s, inside = cells(grid, points)
        dgrid, slopes = jnp.zeros_like(grid), []
        for corner in corners:
            at = tuple((low + jnp.array(corner)).T)
            w = weights(s[:, ::-1] if slip == "axes exchanged" else s, corner)
            share = w.prod(-1)[:, None] * g
            place = dgrid.at[at]
            dgrid = place.set(share) if slip == "last one wins" else place.add(share)
            x, y, z = weights(s, corner).T
            others = jnp.stack([y * z, x * z, x * y], -1)
            signs = jnp.where(jnp.array(corner) == 1, 1, -1).astype(s.dtype)
            slopes.append(signs * others * (grid[at] * g).sum(-1, keepdims=True))
        ds = sum(slopes)
        return dgrid, ds if slip == "outside" else jnp.where(inside, ds, 0)

    lookup.defvjp(fwd, bwd)
    return lookup, plain

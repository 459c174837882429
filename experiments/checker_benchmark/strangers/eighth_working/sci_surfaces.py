"""Surfaces, stencils, ranges and friction."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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


def bumps(rng):
    return normal(rng, 4, 5), jnp.float32(0.7)


@case(
    "normal maps from heights in material authoring tools",
    "surface normals",
    bumps,
    Twin(
        "unit length",
        "term|path",
        "height strength",
        "The part along the normal is not taken off.",
    ),
    Twin(
        "edges",
        "index|edge|shift",
        "height",
        "The pad repeats the edge, its gradient is put around the other side.",
    ),
    Twin(
        "sign of the slope",
        "sign|ratio",
        "strength",
        "The slopes enter with a minus, which the strength's gradient lacks.",
    ),
)
def height_to_normals(slip):
    def slopes(height):
        rows = jnp.pad(height, ((1, 1), (0, 0)), mode="edge")
        columns = jnp.pad(height, ((0, 0), (1, 1)), mode="edge")
        return rows[2:] - rows[:-2], columns[:, 2:] - columns[:, :-2]

    def normals(height, strength):
        dy, dx = slopes(height)
        n = jnp.stack([-strength * dx, -strength * dy, jnp.ones_like(dx)], -1)
        root = lax.rsqrt((n * n).sum(-1, keepdims=True))
        return n * root, (dx, dy, root, strength)

    @jax.custom_vjp
    def to_normals(height, strength):
        return normals(height, strength)[0]

    def fwd(height, strength):
        unit, kept = normals(height, strength)
        return unit, (unit, *kept)

    def along_rows(d):
        padded = jnp.pad(d, ((2, 0), (0, 0))) - jnp.pad(d, ((0, 2), (0, 0)))
        inner = padded[1:-1]
        if slip == "edges":
            return inner.at[-1].add(padded[0]).at[0].add(padded[-1])
        return inner.at[0].add(padded[0]).at[-1].add(padded[-1])

    def bwd(res, g):
        unit, dx, dy, root, strength = res
        dn = g * root
        if slip != "unit length":
            dn = dn - unit * (unit * dn).sum(-1, keepdims=True)
        dstrength = (dn[..., 0] * dx + dn[..., 1] * dy).sum()
        if slip != "sign of the slope":
            dstrength = -dstrength
        dheight = along_rows(-strength * dn[..., 1])
        return dheight + along_rows(-strength * dn[..., 0].T).T, dstrength

    to_normals.defvjp(fwd, bwd)
    return to_normals, to_normals.fun


def plate(boundary):
    def args(rng):
        return normal(rng, 4, 5), positive(rng, 4, 5), 0.5, boundary

    return args


@case(
    "finite-difference Laplacians in phiflow and jax-cfd-like solvers",
    "stencil",
    plate("neumann"),
    Twin(
        "coefficient outside",
        "transpose|order|operand",
        "field",
        "The coefficient is applied after the stencil in the backward too.",
    ),
    Twin(
        "boundary ignored",
        "option|edge",
        "field",
        "The transposed stencil is periodic, whatever the boundary.",
    ),
    Twin(
        "spacing",
        "factor|ratio",
        "coefficient",
        "The square of the spacing is missing for the coefficient.",
    ),
)
def laplacian_stencil(slip):
    modes = {"periodic": "wrap", "neumann": "edge", "dirichlet": "constant"}

    def laplacian(u, spacing, boundary):
        p = jnp.pad(u, 1, mode=modes[boundary])
        around = p[2:, 1:-1] + p[:-2, 1:-1] + p[1:-1, 2:] + p[1:-1, :-2]
        return (around - 4 * u) / spacing**2

    def plain(field, coefficient, spacing, boundary):
        return coefficient * laplacian(field, spacing, boundary)

    diffuse = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(field, coefficient, spacing, boundary):
        return plain(field, coefficient, spacing, boundary), (field, coefficient)

    def bwd(spacing, boundary, res, g):
        field, coefficient = res
        dcoefficient = g * laplacian(field, spacing, boundary)
        if slip == "spacing":
            dcoefficient = dcoefficient * spacing**2
        back = "periodic" if slip == "boundary ignored" else boundary
        if slip == "coefficient outside":
            return coefficient * laplacian(g, spacing, back), dcoefficient
        return laplacian(coefficient * g, spacing, back), dcoefficient

    diffuse.defvjp(fwd, bwd)
    return diffuse, plain


def sightings(rng):
    seen = jnp.asarray([0, 2, 2, 1, 0], jnp.int32)
    return normal(rng, 3), normal(rng, 4, 2, std=3.0), seen


@case(
    "range and bearing factors in gtsam- and jaxfg-like SLAM",
    "measurement",
    sightings,
    Twin(
        "heading",
        "term|zero|path",
        "pose",
        "The bearing is relative to the heading, which gets no gradient.",
    ),
    Twin(
        "seen twice",
        "duplicates|index|sum",
        "landmarks",
        "A landmark that is seen twice gets the gradient of one sighting.",
    ),
    Twin(
        "bearing swapped",
        "swap|sign|function",
        "pose landmarks",
        "The derivatives of the arctangent by its two arguments are exchanged.",
    ),
    fixed=(0,),
    narrow=False,
)
def range_bearing_model(slip):
    def offsets(pose, landmarks, seen):
        off = landmarks[seen] - pose[:2]
        return off, (off * off).sum(-1)

    @jax.custom_vjp
    def measure(pose, landmarks, seen):
        off, square = offsets(pose, landmarks, seen)
        bearing = jnp.arctan2(off[:, 1], off[:, 0]) - pose[2]
        bearing = (bearing + jnp.pi) % (2 * jnp.pi) - jnp.pi
        return jnp.sqrt(square + 1e-8), bearing

    def fwd(pose, landmarks, seen):
        out = measure.fun(pose, landmarks, seen)
        return out, (pose, landmarks, seen, out[0])

    def bwd(res, g):
        pose, landmarks, seen, length = res
        off, square = offsets(pose, landmarks, seen)
        drange, dbearing = g
        angle = dbearing / jnp.where(square > 0, square, 1)
        turned = jnp.stack([-off[:, 1], off[:, 0]], 1)
        if slip == "bearing swapped":
            turned = turned[:, ::-1]
        doff = (drange / length)[:, None] * off + angle[:, None] * turned
        at = jnp.zeros_like(landmarks).at[seen]
        dlandmarks = at.set(doff) if slip == "seen twice" else at.add(doff)
        dheading = -dbearing.sum() * (slip != "heading")
        dpose = jnp.concatenate([-doff.sum(0), dheading[None]])
        return dpose, dlandmarks, np.zeros(seen.shape, jax.dtypes.float0)

    measure.defvjp(fwd, bwd)
    return measure, measure.fun


@case(
    "Stribeck friction of joints in robot simulators",
    "friction",
    draw(velocity=(4, 3), coulomb=(3,), static=(3,), width=(3,), viscous=(3,)),
    Twin(
        "slope of the bump",
        "term|path",
        "velocity",
        "The exponential's part of the velocity's gradient is forgotten.",
    ),
    Twin(
        "both levels",
        "term|path|affine",
        "coulomb",
        "The Coulomb level is also subtracted in the bump; that part is forgotten.",
    ),
    Twin(
        "positive width",
        "factor|function|ratio|operand",
        "width",
        "The softplus that keeps the width positive is pulled back as identity.",
    ),
)
def stribeck_friction(slip):
    def pieces(velocity, width):
        ratio = velocity / (jax.nn.softplus(width) + 0.01)
        return ratio, jnp.exp(-(ratio**2)), jnp.tanh(10 * velocity)

    @jax.custom_vjp
    def friction(velocity, coulomb, static, width, viscous):
        _, bump, side = pieces(velocity, width)
        level = coulomb + (static - coulomb) * bump
        return level * side + viscous * velocity

    def fwd(velocity, coulomb, static, width, viscous):
        args = (velocity, coulomb, static, width, viscous)
        return friction.fun(*args), args

    def bwd(res, g):
        velocity, coulomb, static, width, viscous = res
        ratio, bump, side = pieces(velocity, width)
        scale = jax.nn.softplus(width) + 0.01
        level = coulomb + (static - coulomb) * bump
        dlevel = g * side
        dratio = dlevel * (static - coulomb) * bump * -2 * ratio
        dv = g * (viscous + level * 10 * (1 - side**2))
        if slip != "slope of the bump":
            dv = dv + dratio / scale
        kept = 1 if slip == "both levels" else 1 - bump
        dwidth = -(dratio * ratio / scale).sum(0)
        if slip != "positive width":
            dwidth = dwidth * jax.nn.sigmoid(width)
        dcoulomb, dstatic = (dlevel * kept).sum(0), (dlevel * bump).sum(0)
        return dv, dcoulomb, dstatic, dwidth, (g * velocity).sum(0)

    friction.defvjp(fwd, bwd)
    return friction, friction.fun

"""Geometry: logarithms of rotations, cotangent Laplacians of meshes."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def rotations(rng):
    turns = rng.normal(0, 0.7, (5, 3))
    hat = np.zeros((5, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        hat[:, i, j], hat[:, j, i] = -turns[:, k], turns[:, k]
    values, vectors = np.linalg.eigh(1j * hat)
    turned = (vectors * np.exp(-1j * values)[:, None]) @ np.conj(vectors).swapaxes(1, 2)
    return (jnp.asarray(turned.real, jnp.float32),)


def with_the_identity(rng):
    (matrices,) = rotations(rng)
    return (matrices.at[0].set(jnp.eye(3)),)


@case(
    "logarithms of rotation matrices in jaxlie and theseus ports, by the arc tangent",
    "rotations",
    rotations,
    Twin(
        "angle held",
        "term|path",
        "matrices",
        "The angle over its sine is a constant: the trace and the sine do not move.",
    ),
    Twin(
        "whole difference",
        "ratio|factor|constant",
        "matrices",
        "The half of the antisymmetric part is lost.",
    ),
    Twin(
        "no turn",
        "edge|nan|finite",
        "matrices",
        "At the identity the slope of the angle over its sine is zero over zero.",
        witness=with_the_identity,
    ),
    fixed=(0,),
    scales=(1.0,),
)
def so3_log(slip):
    small = 1e-4

    def parts(matrices):
        r = matrices
        w = (r[:, [2, 0, 1], [1, 2, 0]] - r[:, [1, 2, 0], [2, 0, 1]]) / 2
        cos = (jnp.trace(r, axis1=1, axis2=2) - 1) / 2
        squared = (w * w).sum(-1)
        tiny = (squared < small) & (cos > 0)
        sin = jnp.sqrt(jnp.where(squared < small**2, 1, squared))
        ratio = jnp.arctan2(sin, cos) / sin
        c = jnp.where(tiny, cos, 1)
        series = 1 / c - squared / (3 * c**3) + squared**2 / (5 * c**5)
        return w, cos, squared, jnp.where(tiny, series, ratio)

    def plain(matrices):
        w, _, _, ratio = parts(matrices)
        return ratio[:, None] * w

    log = jax.custom_vjp(plain)

    def fwd(matrices):
        return plain(matrices), parts(matrices)

    def bwd(res, g):
        w, cos, squared, ratio = res
        tiny = (squared < small) & (cos > 0)
        rest = squared + cos**2
        along = (w * g).sum(-1)
        if slip == "no turn":
            bent = (cos / rest - ratio) / squared
        else:
            c = jnp.where(tiny, cos, 1)
            series = -2 / (3 * c**3) + 4 * squared / (5 * c**5)
            bent = (cos / rest - ratio) / jnp.where(squared < small**2, 1, squared)
            bent = jnp.where(tiny, series, bent)
        dw, dcos = ratio[:, None] * g, jnp.zeros_like(along)
        if slip != "angle held":
            dw = dw + (bent * along)[:, None] * w
            dcos = -along / rest
        dw = dw if slip == "whole difference" else dw / 2
        dmatrices = dcos[:, None, None] / 2 * jnp.eye(3, dtype=w.dtype)
        dmatrices = dmatrices.at[:, [2, 0, 1], [1, 2, 0]].add(dw)
        return (dmatrices.at[:, [1, 2, 0], [2, 0, 1]].add(-dw),)

    log.defvjp(fwd, bwd)
    return log, plain


SQUARE = np.array([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
PLACES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0.5, 0.3]])


def heat_on_a_mesh(rng):
    vertices = normal(rng, 5, 3, std=0.05) + PLACES.astype(np.float32)
    return normal(rng, 5), vertices, jnp.asarray(SQUARE)


@case(
    "cotangent Laplacians of triangle meshes in geometry processing with JAX",
    "meshes",
    heat_on_a_mesh,
    Twin(
        "area held",
        "term|path",
        "vertices",
        "The dot product over the area: the area does not move.",
    ),
    Twin(
        "one end",
        "term|path|operand|residual",
        "vertices",
        "An edge's weight is used at both of its ends; one end's cotangent is lost.",
    ),
    Twin(
        "crossed",
        "sign|swap|transpose|term",
        "vertices",
        "The area's slopes are crossed in the order of the forward.",
    ),
)
def cotangent_laplacian(slip):
    corners = ((0, 1, 2), (1, 2, 0), (2, 0, 1))

    def sides(vertices, faces, corner):
        i, j, k = (faces[:, n] for n in corner)
        u, v = vertices[j] - vertices[i], vertices[k] - vertices[i]
        crossed = jnp.cross(u, v)
        return i, j, k, u, v, crossed, jnp.sqrt((crossed**2).sum(-1))

    def plain(values, vertices, faces):
        out = jnp.zeros_like(values)
        for corner in corners:
            _, j, k, u, v, _, area = sides(vertices, faces, corner)
            flow = (u * v).sum(-1) / area / 2 * (values[j] - values[k])
            out = out.at[j].add(flow).at[k].add(-flow)
        return out

    laplacian = jax.custom_vjp(plain)

    def fwd(values, vertices, faces):
        return plain(values, vertices, faces), (values, vertices, faces)

    def bwd(res, g):
        values, vertices, faces = res
        dvalues, dvertices = jnp.zeros_like(values), jnp.zeros_like(vertices)
        for corner in corners:
            i, j, k, u, v, crossed, area = sides(vertices, faces, corner)
            dot = (u * v).sum(-1)
            dflow = g[j] if slip == "one end" else g[j] - g[k]
            share = dot / area / 2 * (g[j] - g[k])
            dvalues = dvalues.at[j].add(share).at[k].add(-share)
            dcot = (dflow * (values[j] - values[k]) / 2)[:, None]
            ddot, darea = dcot / area[:, None], -dcot * (dot / area**2)[:, None]
            du, dv = ddot * v, ddot * u
            n = crossed / area[:, None]
            if slip == "crossed":
                du, dv = du + darea * jnp.cross(n, v), dv + darea * jnp.cross(u, n)
            elif slip != "area held":
                du, dv = du + darea * jnp.cross(v, n), dv + darea * jnp.cross(n, u)
            dvertices = dvertices.at[j].add(du).at[k].add(dv).at[i].add(-du - dv)
        return dvalues, dvertices, None

    laplacian.defvjp(fwd, bwd)
    return laplacian, plain

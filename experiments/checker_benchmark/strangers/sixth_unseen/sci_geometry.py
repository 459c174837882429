"""Geometry: triangles hit by rays, normals of meshes."""

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


def camera_rays(rng):
    origins = normal(rng, 8, 3, std=0.1) + jnp.array([0.0, 0.0, -2.0])
    directions = normal(rng, 8, 3, std=0.25) + jnp.array([0.0, 0.0, 1.0])
    corners = np.array([[-1, -1, 0.1], [1, -0.8, 0.0], [0.1, 1, -0.1]])
    return origins, directions, jnp.asarray(corners, jnp.float32)


@case(
    "triangles hit by rays (Moeller and Trumbore) in differentiable ray tracers in JAX",
    "ray casting",
    camera_rays,
    Twin(
        "edges start there",
        "term|path|factor|ratio",
        "triangle",
        "The first corner moves the origin of the two edges as well; it is left out.",
    ),
    Twin(
        "unscaled direction",
        "ratio|factor|operand|residual",
        "directions",
        "The distance along the ray is lost in the direction's gradient.",
    ),
    Twin(
        "rays that miss",
        "mask|region|predicate|term",
        "origins directions triangle",
        "Rays that miss the triangle have gradients, too.",
    ),
)
def ray_triangle_intersection(slip):
    def solve(origins, directions, triangle):
        a, b, c = triangle
        e1, e2, s = b - a, c - a, origins - a
        p, q = jnp.cross(directions, e2), jnp.cross(s, e1)
        det = p @ e1
        safe = jnp.where(det == 0, 1, det)
        u, v = (s * p).sum(-1) / safe, (directions * q).sum(-1) / safe
        t = (q @ e2) / safe
        hit = (det != 0) & (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
        return t, u, v, safe, hit

    def plain(origins, directions, triangle):
        t, u, v, _, hit = solve(origins, directions, triangle)
        return jnp.where(hit, t, 0), jnp.where(hit[:, None], jnp.stack([u, v], -1), 0)

    intersect = jax.custom_vjp(plain)

    def fwd(origins, directions, triangle):
        given = origins, directions, triangle
        return plain(*given), given

    def bwd(res, g):
        _, directions, triangle = res
        dt, (du, dv) = g[0], g[1].T
        t, u, v, det, hit = solve(*res)
        a, b, c = triangle
        e1, e2 = b - a, c - a
        pulled = dt[:, None] * jnp.cross(e1, e2)
        pulled = pulled + du[:, None] * jnp.cross(directions, e2)
        pulled = pulled + dv[:, None] * jnp.cross(e1, directions)
        pulled = pulled / det[:, None]
        if slip != "rays that miss":
            pulled = jnp.where(hit[:, None], pulled, 0)
        along = pulled if slip == "unscaled direction" else pulled * t[:, None]
        first = jnp.ones_like(u) if slip == "edges start there" else 1 - u - v
        return pulled, along, -jnp.stack([first, u, v]) @ pulled

    intersect.defvjp(fwd, bwd)
    return intersect, plain


OCTAHEDRON = ((0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2))
FACES = np.array([*OCTAHEDRON, *((b, a, 5) for a, b, _ in OCTAHEDRON)])
CORNERS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]
)


def mesh(rng):
    return normal(rng, 6, 3, std=0.1) + CORNERS.astype(np.float32), jnp.asarray(FACES)


def collapsed_mesh(rng):
    vertices, faces = mesh(rng)
    return jnp.ones_like(vertices), faces


@case(
    "pytorch3d's vertex normals of meshes, weighted by areas, as ported to JAX",
    "meshes",
    mesh,
    Twin(
        "not projected",
        "term|path",
        "vertices",
        "The cotangent is divided by the length and keeps its part along the normal.",
    ),
    Twin(
        "one corner",
        "sum|axis|index|term|path",
        "vertices",
        "A face's normal went to three vertices and hears of the first alone.",
    ),
    Twin(
        "collapsed",
        "edge|nan|finite",
        "vertices",
        "Where the faces of a vertex have collapsed, a length of zero divides.",
        witness=collapsed_mesh,
    ),
)
def mesh_normals(slip):
    def sums(vertices, faces):
        a, b, c = jnp.moveaxis(vertices[faces], 1, 0)
        face = jnp.cross(b - a, c - a)
        total = jnp.zeros_like(vertices).at[faces].add(face[:, None])
        squared = (total * total).sum(-1, keepdims=True)
        some = squared > 0
        length = jnp.sqrt(jnp.where(some, squared, 1))
        return total, length, some

    def plain(vertices, faces):
        total, length, some = sums(vertices, faces)
        return jnp.where(some, total / length, 0)

    normals = jax.custom_vjp(plain)

    def fwd(vertices, faces):
        return plain(vertices, faces), (vertices, faces)

    def bwd(res, g):
        vertices, faces = res
        total, length, some = sums(vertices, faces)
        if slip == "collapsed":
            length = jnp.where(some, length, 0)
        n = total / length
        if slip != "not projected":
            g = g - n * (n * g).sum(-1, keepdims=True)
        dtotal = g / length
        if slip != "collapsed":
            dtotal = jnp.where(some, dtotal, 0)
        per = dtotal[faces]
        dface = per[:, 0] if slip == "one corner" else per.sum(1)
        a, b, c = jnp.moveaxis(vertices[faces], 1, 0)
        db, dc = jnp.cross(c - a, dface), jnp.cross(dface, b - a)
        shares = jnp.stack([-db - dc, db, dc], 1)
        return jnp.zeros_like(vertices).at[faces].add(shares), None

    normals.defvjp(fwd, bwd)
    return normals, plain

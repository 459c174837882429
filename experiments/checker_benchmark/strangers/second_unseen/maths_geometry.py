"""Rotations, rays, meshes and fields."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def turns(rng, side: float):
    """Unit quaternions, scalar first, whose scalars have one sign."""
    q = unit_rows(rng, 4, 4)
    return (jnp.where(q[:, :1] * side < 0, -q, q),)


@case(
    "jaxlie.SO3.log",
    "logarithm of rotations",
    lambda rng: turns(rng, 1.0),
    Twin("angle held", "term|path", "q", "Only the axis is moved."),
    Twin("scalar held", "path|zero|term|index|region", "q", "It has no gradient."),
    Twin(
        "long way round",
        "sign|ratio|factor|path",
        "q",
        "The sign that was turned to take the short way is not turned back.",
        witness=lambda rng: turns(rng, -1.0),
    ),
    narrow=False,
    scales=(1.0,),
)
def rotation_log(slip):
    """Rotation vectors of quaternions (w, x, y, z), at most half a turn long."""

    def parts(q):
        sign = jnp.where(q[:, :1] < 0, -1, 1).astype(q.dtype)
        w, v = sign * q[:, :1], sign * q[:, 1:]
        square = (v * v).sum(-1, keepdims=True)
        return sign, w, v, square, square < 1e-8

    @jax.custom_vjp
    def log(q):
        _, w, v, square, small = parts(q)
        s = jnp.sqrt(jnp.where(small, 1, square))
        series = 2 / jnp.where(small, w, 1)
        series = series - square * series**3 / 12
        return jnp.where(small, series, 2 * jnp.arctan2(s, w) / s) * v

    def fwd(q):
        return log.fun(q), q

    def bwd(q, g):
        sign, w, v, square, small = parts(q)
        s = jnp.sqrt(jnp.where(small, 1, square))
        series = 2 / jnp.where(small, w, 1)
        ratio = 2 * jnp.arctan2(s, w) / s
        bend = (2 * w / (s * s + w * w) - ratio) / (s * s)
        ratio = jnp.where(small, series - square * series**3 / 12, ratio)
        bend = jnp.where(small, -(series**3) / 6, bend)
        along = (v * g).sum(-1, keepdims=True)
        dv = ratio * g
        if slip != "angle held":
            dv = dv + bend * along * v
        dw = -2 / (square + w * w) * along
        if slip == "scalar held":
            dw = jnp.zeros_like(dw)
        dq = jnp.concatenate([dw, dv], -1)
        return (dq if slip == "long way round" else sign * dq,)

    log.defvjp(fwd, bwd)
    return log, log.fun


def rays(rng):
    """Rays from before a triangle: three to points inside of it, two beside it."""
    triangle = jnp.eye(3, dtype=jnp.float32) * 2 + 0.1 * normal(rng, 3, 3)
    inside = jnp.asarray(rng.dirichlet([3, 3, 3], 3), jnp.float32)
    beside = jnp.array([[2, -0.5, -0.5], [-0.4, 1.6, -0.2]], jnp.float32)
    origins = -1 + 0.3 * normal(rng, 5, 3)
    targets = jnp.concatenate([inside, beside]) @ triangle
    return origins, 0.4 * (targets - origins), triangle


@case(
    "triangle meshes in jaxrenderer and DiffeRT",
    "intersection of rays",
    rays,
    Twin(
        "misses count",
        "mask|predicate|region",
        "origins directions triangle",
        "Not masked.",
    ),
    Twin("equal shares", "factor|operand|function", "triangle", "A third each."),
    Twin("depth left out", "factor|operand|ratio", "directions", "It lacks the depth."),
    narrow=False,
    scales=(1.0,),
)
def ray_triangle_depth(slip):
    """Of each ray the distance to the triangle in lengths of its direction, else 0."""

    def meet(o, d, triangle):
        a, b, c = triangle
        normal = jnp.cross(b - a, c - a)
        slant = d @ normal
        facing = jnp.abs(slant) > 1e-12
        slant = jnp.where(facing, slant, 1)
        t = (a - o) @ normal / slant
        p = o + t[:, None] * d
        corners = [jnp.cross(c - b, p - b), jnp.cross(a - c, p - c)]
        square = normal @ normal
        first, second = (n @ normal / jnp.where(square > 0, square, 1) for n in corners)
        shares = jnp.stack([first, second, 1 - first - second], -1)
        hit = facing & (shares >= 0).all(-1) & (t > 0)
        return t, hit, shares, normal / slant[:, None]

    @jax.custom_vjp
    def depth(origins, directions, triangle):
        t, hit, _, _ = meet(origins, directions, triangle)
        return jnp.where(hit, t, 0)

    def fwd(origins, directions, triangle):
        t, hit, shares, slope = meet(origins, directions, triangle)
        return jnp.where(hit, t, 0), (t, hit, shares, slope)

    def bwd(res, g):
        t, hit, shares, slope = res
        if slip != "misses count":
            g = jnp.where(hit, g, 0)
        pull = g[:, None] * slope
        if slip == "equal shares":
            shares = jnp.full_like(shares, 1 / 3)
        dd = -pull if slip == "depth left out" else -t[:, None] * pull
        return -pull, dd, shares.T @ pull

    depth.defvjp(fwd, bwd)
    return depth, depth.fun


def tetrahedron(rng):
    faces = [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]]
    return normal(rng, 4, 3), jnp.asarray(faces, jnp.int32)


@case(
    "vertex normals of meshes in jaxrenderer and mesh libraries",
    "mesh normals",
    tetrahedron,
    Twin("vertices overwritten", "duplicates|index", "vertices", "The last face's."),
    Twin("first corner", "term|path|index", "vertices", "It is in both edges; none."),
    Twin("order of a cross", "sign|swap|term", "vertices", "One product is turned."),
    narrow=False,
)
def mesh_vertex_normals(slip):
    """Unit sums of the faces' normals weighted by area; 0 where there is no face."""

    def edges(vertices, faces):
        p = vertices[faces]
        return p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]

    def unit(n):
        square = (n * n).sum(-1, keepdims=True)
        length = jnp.sqrt(jnp.where(square > 0, square, 1))
        return jnp.where(square > 0, n / length, 0), length, square > 0

    def sums(vertices, faces):
        each = jnp.cross(*edges(vertices, faces))
        return jnp.zeros_like(vertices).at[faces].add(each[:, None])

    @jax.custom_vjp
    def normals(vertices, faces):
        return unit(sums(vertices, faces))[0]

    def fwd(vertices, faces):
        n, length, known = unit(sums(vertices, faces))
        return n, (vertices, faces, n, length, known)

    def bwd(res, g):
        vertices, faces, n, length, known = res
        dn = (g - n * (n * g).sum(-1, keepdims=True)) / length
        each = jnp.where(known, dn, 0)[faces].sum(1)
        first, second = edges(vertices, faces)
        da, db = jnp.cross(second, each), jnp.cross(each, first)
        if slip == "order of a cross":
            db = -db
        corner = -da - db
        if slip == "first corner":
            corner = jnp.zeros_like(corner)
        corners = jnp.stack([corner, da, db], 1)
        zero = jnp.zeros_like(vertices)
        if slip == "vertices overwritten":
            return zero.at[faces].set(corners), None
        return zero.at[faces].add(corners), None

    normals.defvjp(fwd, bwd)
    return normals, normals.fun


@case(
    "jax_cfd.spectral: projection on fields without divergence",
    "pressure projection",
    lambda rng: (*draw(u=(6, 4), v=(6, 4))(rng), (1.0, 1.0)),
    Twin("pressure held", "path|term|function", "u v", "The pressure is a constant."),
    Twin("no mean", "term|path|region", "u v", "The mean flow has no gradient."),
    Twin(
        "cells of squares",
        "operand|factor|swap|option",
        "u v",
        "The two widths of a cell are swapped.",
        witness=lambda rng: (*draw(u=(6, 4), v=(6, 4))(rng), (0.5, 1.0)),
    ),
    narrow=False,
)
def pressure_projection(slip):
    def project(u, v, widths):
        kx = jnp.fft.fftfreq(u.shape[0], widths[0])[:, None].astype(u.dtype)
        ky = jnp.fft.fftfreq(u.shape[1], widths[1]).astype(u.dtype)
        square = kx**2 + ky**2
        uh, vh = jnp.fft.fft2(u), jnp.fft.fft2(v)
        pressure = (kx * uh + ky * vh) / jnp.where(square > 0, square, 1)
        uh, vh = uh - kx * pressure, vh - ky * pressure
        return jnp.fft.ifft2(uh).real, jnp.fft.ifft2(vh).real

    divergence_free = jax.custom_vjp(project, nondiff_argnums=(2,))

    def fwd(u, v, widths):
        return project(u, v, widths), None

    def bwd(widths, _, g):
        if slip == "pressure held":
            return g
        if slip == "cells of squares":
            widths = widths[::-1]
        du, dv = project(*g, widths)
        if slip == "no mean":
            du, dv = du - du.mean(), dv - dv.mean()
        return du, dv

    divergence_free.defvjp(fwd, bwd)
    return divergence_free, project

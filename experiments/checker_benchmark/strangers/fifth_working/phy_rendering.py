"""Rendering: depths of implicit surfaces, and attributes of rasterised meshes."""

import jax
import jax.numpy as jnp
import numpy as np
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


def camera(rng):
    pixels = np.array([(x, y, 1) for x in (-0.4, 0.0, 0.4) for y in (-0.2, 0.2)])
    rays = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    shift = rng.normal(size=(6, 3)) * [0.05, 0.05, 0.05]
    origins = jnp.asarray(shift, jnp.float32)
    centre = jnp.asarray([0.4, 0.1, 4.0], jnp.float32)
    return origins, jnp.asarray(rays, jnp.float32), centre, positive(rng, 3), 20.0


@case(
    "implicit surfaces in JAX (IDR, DVR): the depth of a ray, found by sphere tracing",
    "ray marching",
    camera,
    Twin(
        "rays that miss",
        "mask|region|predicate",
        "origins directions centre radii",
        "Rays that end in the background pull at the surface.",
    ),
    Twin(
        "along the normal",
        "term|ratio|factor|operand",
        "origins directions centre radii",
        "Not divided by the cosine between the ray and the normal.",
    ),
    Twin(
        "length of the ray",
        "ratio|factor|term|operand",
        "directions",
        "A turn of the ray moves its end by its depth, which is left out.",
    ),
    fixed=(1,),
    scales=(0.5, 1.0, 2.0),
    narrow=False,
)
def implicit_ray_depth(slip):
    def surface(p, centre, radii):
        """An ellipsoid's implicit function, its slope by p and p in its axes."""
        axes = (p - centre) / radii
        size = jnp.sqrt((axes**2).sum(-1, keepdims=True))
        return size[..., 0] - 1, axes / (radii * size), axes

    def trace(origins, directions, centre, radii, far):
        def value(depth):
            points = origins + depth[:, None] * directions
            return surface(points, centre, radii)[:2]

        def marching(state):
            count, _, gap = state
            return (count < 60) & (jnp.abs(gap) > 1e-5).any()

        def march(state):
            count, depth, gap = state
            depth = jnp.minimum(depth + gap * radii.min(), far)
            return count + 1, depth, value(depth)[0]

        start = jnp.zeros_like(origins[:, 0])
        _, depth, gap = lax.while_loop(marching, march, (0, start, value(start)[0]))
        hit = jnp.abs(gap) < 1e-2

        def newton(_, depth):
            gap, normal = value(depth)
            slope = (normal * directions).sum(-1)
            return depth - gap / jnp.where(hit, slope, 1)

        return lax.fori_loop(0, 6, newton, depth), hit

    def plain(origins, directions, centre, radii, far):
        known = lax.stop_gradient((origins, directions, centre, radii))
        depth, hit = lax.stop_gradient(trace(*known, far))
        points = origins + depth[:, None] * directions
        gap, normal, _ = surface(points, centre, radii)
        slope = lax.stop_gradient((normal * directions).sum(-1))
        return jnp.where(hit, depth - gap / jnp.where(hit, slope, 1), far)

    cast = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(origins, directions, centre, radii, far):
        depth, hit = trace(origins, directions, centre, radii, far)
        value = plain(origins, directions, centre, radii, far)
        return value, (origins, directions, centre, radii, depth, hit)

    def bwd(far, res, g):
        origins, directions, centre, radii, depth, hit = res
        points = origins + depth[:, None] * directions
        _, normal, axes = surface(points, centre, radii)
        slope = (normal * directions).sum(-1)
        force = -g / jnp.where(hit, slope, 1)
        if slip == "along the normal":
            force = -g
        if slip != "rays that miss":
            force = jnp.where(hit, force, 0)
        dpoints = force[:, None] * normal
        times = 1 if slip == "length of the ray" else depth[:, None]
        return dpoints, times * dpoints, -dpoints.sum(0), -(dpoints * axes).sum(0)

    cast.defvjp(fwd, bwd)
    return cast, plain


def fragments(rng):
    raw = rng.uniform(0.1, 1, (7, 3))
    barycentric = jnp.asarray(raw / raw.sum(1, keepdims=True), jnp.float32)
    faces = jnp.asarray([[0, 1, 2], [2, 1, 3], [3, 4, 2]], jnp.int32)
    pixels = jnp.asarray([0, 0, 1, -1, 2, 1, -1], jnp.int32)
    depths = positive(rng, 5, low=2, high=4)
    return barycentric, depths, normal(rng, 5, 2), faces, pixels


@case(
    "pytorch3d's interpolate_face_attributes, correct in perspective, ported to JAX",
    "rendering",
    fragments,
    Twin(
        "depths held",
        "term|path",
        "depths",
        "The weights' dependence on the depths is left out.",
    ),
    Twin(
        "shared vertices",
        "duplicates|index",
        "attributes",
        "A vertex of several pixels keeps the cotangent of one.",
    ),
    Twin(
        "background",
        "mask|region|predicate|index",
        "barycentric depths attributes",
        "Pixels without a face, -1, pull at the last one.",
    ),
    narrow=False,
)
def perspective_interpolation(slip):
    def weights(barycentric, depths, faces, pixels):
        corners = faces[pixels]
        near = barycentric / depths[corners]
        total = near.sum(1, keepdims=True)
        return corners, near, total, (pixels >= 0)[:, None]

    @jax.custom_vjp
    def interpolate(barycentric, depths, attributes, faces, pixels):
        found = weights(barycentric, depths, faces, pixels)
        corners, near, total, covered = found
        value = jnp.einsum("pk,pkc->pc", near / total, attributes[corners])
        depth = jnp.where(covered, 1 / total, 0)[:, 0]
        return jnp.where(covered, value, 0), depth

    def fwd(*args):
        return interpolate.fun(*args), args

    def bwd(args, g):
        barycentric, depths, attributes, faces, pixels = args
        found = weights(barycentric, depths, faces, pixels)
        corners, near, total, covered = found
        dvalue, ddepth = g[0], g[1][:, None]
        if slip != "background":
            dvalue = jnp.where(covered, dvalue, 0)
            ddepth = jnp.where(covered, ddepth, 0)
        share = near / total
        parts = share[:, :, None] * dvalue[:, None]
        vertices = jnp.zeros_like(attributes).at[corners]
        keep = slip == "shared vertices"
        dattributes = vertices.set(parts) if keep else vertices.add(parts)
        dshare = jnp.einsum("pkc,pc->pk", attributes[corners], dvalue)
        mean = (share * dshare).sum(1, keepdims=True)
        dnear = (dshare - mean) / total - ddepth / total**2
        corner = -dnear * near / depths[corners]
        if slip == "depths held":
            corner = ddepth / total**2 * near / depths[corners]
        ddepths = jnp.zeros_like(depths).at[corners].add(corner)
        return dnear / depths[corners], ddepths, dattributes, None, None

    interpolate.defvjp(fwd, bwd)
    return interpolate, interpolate.fun

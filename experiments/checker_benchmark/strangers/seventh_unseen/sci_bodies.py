"""Rigid bodies, rotations, points of cameras and of scans."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


def masses_in_space(rng):
    return draw(positions=(5, 3))(rng)[0] + 1, positive(rng, 5)


@case(
    "centre of mass and inertia of bodies in brax, mdtraj ports",
    "rigid bodies with two outputs",
    masses_in_space,
    Twin(
        "from the origin",
        "term|path|operand",
        "masses",
        "A mass moves the centre by its distance from the origin.",
    ),
    Twin(
        "symmetric cotangent",
        "transpose|cotangent|term",
        "positions",
        "The cotangent of the tensor is taken to be symmetric.",
    ),
    Twin(
        "trace",
        "term|path",
        "positions",
        "The squared length on the diagonal has no gradient.",
    ),
)
def moment_of_inertia(slip):
    def plain(positions, masses):
        centre = masses @ positions / masses.sum()
        d = positions - centre
        spread = jnp.einsum("n,ni,nj->ij", masses, d, d)
        return centre, jnp.trace(spread) * jnp.eye(3, dtype=d.dtype) - spread

    inertia = jax.custom_vjp(plain)

    def fwd(positions, masses):
        centre, tensor = plain(positions, masses)
        return (centre, tensor), (positions, masses, centre)

    def bwd(res, cotangents):
        positions, masses, centre = res
        gc, gi = cotangents
        d = positions - centre
        total, trace = masses.sum(), jnp.trace(gi)
        both = 2 * gi if slip == "symmetric cotangent" else gi + gi.T
        dd = -d @ both.T
        if slip != "trace":
            dd = dd + 2 * trace * d
        dx = masses[:, None] * (dd + gc / total)
        arm = positions if slip == "from the origin" else d
        dm = trace * (d * d).sum(1) - jnp.einsum("ni,ij,nj->n", d, gi, d)
        return dx, dm + arm @ gc / total

    inertia.defvjp(fwd, bwd)
    return inertia, plain


@case(
    "product of batched quaternions in jaxlie, brax",
    "product of rotations",
    draw(left=(4, 1, 4), right=(3, 4)),
    Twin(
        "not conjugated",
        "sign|transpose",
        "left",
        "The cotangent is multiplied by the right factor, not by its conjugate.",
    ),
    Twin(
        "order",
        "swap|transpose|operand",
        "right",
        "The left factor's conjugate is multiplied from the right.",
    ),
)
def quaternion_product(slip):
    signs = (1, -1, -1, -1)

    def times(p, q):
        pw, px, py, pz = jnp.moveaxis(p, -1, 0)
        qw, qx, qy, qz = jnp.moveaxis(q, -1, 0)
        parts = (
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        )
        return jnp.stack(parts, -1)

    def back_to(shape, g):
        g = g.sum(tuple(range(g.ndim - len(shape))))
        ones = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] > 1)
        return g.sum(ones, keepdims=True)

    product = jax.custom_vjp(times)

    def bwd(res, g):
        left, right = res
        conjugate = jnp.asarray(signs, g.dtype)
        turned = right if slip == "not conjugated" else right * conjugate
        dleft = times(g, turned)
        if slip == "order":
            dright = times(g, left * conjugate)
        else:
            dright = times(left * conjugate, g)
        return back_to(left.shape, dleft), back_to(right.shape, dright)

    product.defvjp(lambda p, q: (times(p, q), (p, q)), bwd)
    return product, times


def depth_image(rng):
    camera = {
        "focal": jnp.asarray([5.0, 6.0], jnp.float32),
        "centre": jnp.asarray([2.1, 1.4], jnp.float32),
    }
    turned, _ = jnp.linalg.qr(normal(rng, 3, 3))
    return positive(rng, 4, 5), camera, turned, normal(rng, 3)


@case(
    "points in the world from a map of depths in kornia, nerfstudio ports",
    "camera",
    depth_image,
    Twin(
        "pixels swapped",
        "swap|index|transpose",
        "camera",
        "The focal lengths' cotangents of the two axes are exchanged.",
    ),
    Twin(
        "rotation not turned",
        "transpose",
        "depth camera",
        "The points' cotangent is turned by the rotation instead of its transpose.",
    ),
    Twin(
        "depth along the axis only",
        "term|path",
        "depth",
        "The rays' sideways parts grow with the depth as well: forgotten.",
    ),
    fixed=(2,),
)
def unproject_depth(slip):
    def rays(shape, camera):
        rows, columns = jnp.indices(shape)
        pixels = jnp.stack([columns, rows], -1).astype(camera["focal"].dtype)
        return (pixels - camera["centre"]) / camera["focal"]

    @jax.custom_vjp
    def points(depth, camera, rotation, shift):
        side = rays(depth.shape, camera)
        local = jnp.concatenate([side, jnp.ones_like(side[..., :1])], -1)
        return (depth[..., None] * local) @ rotation.T + shift

    plain = points.fun

    def fwd(depth, camera, rotation, shift):
        return plain(depth, camera, rotation, shift), (depth, camera, rotation)

    def bwd(res, g):
        depth, camera, rotation = res
        side = rays(depth.shape, camera)
        local = jnp.concatenate([side, jnp.ones_like(side[..., :1])], -1)
        dlocal = g @ (rotation.T if slip == "rotation not turned" else rotation)
        drotation = jnp.einsum("hwi,hwj->ij", g, depth[..., None] * local)
        ddepth = dlocal[..., 2]
        if slip != "depth along the axis only":
            ddepth = (dlocal * local).sum(-1)
        dside = dlocal[..., :2] * depth[..., None]
        dfocal = -(dside * side).sum((0, 1)) / camera["focal"]
        if slip == "pixels swapped":
            dfocal = dfocal[::-1]
        dcentre = -dside.sum((0, 1)) / camera["focal"]
        dcamera = {"focal": dfocal, "centre": dcentre}
        return ddepth, dcamera, drotation, g.sum((0, 1))

    points.defvjp(fwd, bwd)
    return points, plain


def two_scans(rng):
    points, near = draw(points=(9, 3), near=(9, 3))(rng)
    weights = jnp.asarray(rng.uniform(0.5, 1.5, 9), jnp.float32)
    return points, points + 0.1 * near, unit_rows(rng, 9, 3), weights, 0.1


@case(
    "point-to-plane step of the iterated closest point in Open3D, gradslam ports",
    "linear solve",
    two_scans,
    Twin(
        "right-hand side only",
        "term|path",
        "points normals weights",
        "The matrix of the normal equations is taken to be constant.",
    ),
    Twin(
        "moment arm",
        "swap|sign|transpose",
        "normals",
        "The cross product with the points is pulled back in the wrong order.",
    ),
    narrow=False,
)
def icp_point_to_plane(slip):
    def system(points, targets, normals, weights, damping):
        rows = jnp.concatenate([jnp.cross(points, normals), normals], -1)
        gaps = ((targets - points) * normals).sum(-1)
        weighted = rows * weights[:, None]
        matrix = weighted.T @ rows + damping * jnp.eye(6, dtype=rows.dtype)
        return rows, gaps, matrix, weighted.T @ gaps

    def plain(points, targets, normals, weights, damping):
        _, _, matrix, right = system(points, targets, normals, weights, damping)
        return jnp.linalg.solve(matrix, right)

    step = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(points, targets, normals, weights, damping):
        twist = plain(points, targets, normals, weights, damping)
        return twist, (points, targets, normals, weights, twist)

    def bwd(damping, res, g):
        points, targets, normals, weights, twist = res
        rows, gaps, matrix, _ = system(points, targets, normals, weights, damping)
        u = jnp.linalg.solve(matrix, g)
        left = gaps - rows @ twist
        drows = weights[:, None] * left[:, None] * u
        dweights = (rows @ u) * left
        if slip == "right-hand side only":
            drows = (weights * gaps)[:, None] * u
            dweights = (rows @ u) * gaps
        else:
            drows = drows - (weights * (rows @ u))[:, None] * twist
        dgaps = (weights * (rows @ u))[:, None]
        arms, direct = drows[:, :3], drows[:, 3:]
        lever = jnp.cross(arms, points)
        if slip == "moment arm":
            lever = -lever
        dpoints = jnp.cross(normals, arms) - dgaps * normals
        dnormals = lever + direct + dgaps * (targets - points)
        return dpoints, dgaps * normals, dnormals, dweights

    step.defvjp(fwd, bwd)
    return step, plain

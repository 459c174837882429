"""Projected points, curves and meshes."""

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


def scene(rng):
    matrix = jnp.eye(4, dtype=jnp.float32) + normal(rng, 4, 4, std=0.1)
    matrix = matrix.at[3].set(jnp.asarray([0.1, -0.1, 1.0, 0.4], jnp.float32))
    points = normal(rng, 7, 3).at[0, 2].set(-2.0).at[1, 2].set(1.5)
    return points, matrix, 0.2


@case(
    "projection to device coordinates in nvdiffrast and pytorch3d ports",
    "camera",
    scene,
    Twin(
        "behind the camera",
        "mask|region|predicate",
        "points matrix",
        "The depth of points before the near plane is clamped, yet gets a gradient.",
    ),
    Twin(
        "depth",
        "term|path",
        "points matrix",
        "The division by the depth is taken as a division by a constant.",
    ),
    Twin(
        "matrix transposed",
        "transpose|swap",
        "matrix",
        "The gradient of the matrix is its transpose.",
    ),
)
def homogeneous_project(slip):
    def lift(points):
        return jnp.concatenate([points, jnp.ones_like(points[:, :1])], 1)

    def plain(points, matrix, near):
        clip = lift(points) @ matrix.T
        return clip[:, :3] / jnp.where(clip[:, 3:] > near, clip[:, 3:], near)

    project = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(points, matrix, near):
        return plain(points, matrix, near), (points, matrix)

    def bwd(near, res, g):
        points, matrix = res
        lifted = lift(points)
        clip = lifted @ matrix.T
        front = clip[:, 3:] > near
        depth = jnp.where(front, clip[:, 3:], near)
        dxyz = g / depth
        ddepth = -(dxyz * clip[:, :3] / depth).sum(1, keepdims=True)
        if slip != "behind the camera":
            ddepth = jnp.where(front, ddepth, 0)
        if slip == "depth":
            ddepth = jnp.zeros_like(ddepth)
        dclip = jnp.concatenate([dxyz, ddepth], 1)
        dmatrix = dclip.T @ lifted
        if slip == "matrix transposed":
            dmatrix = dmatrix.T
        return dclip @ matrix[:, :3], dmatrix

    project.defvjp(fwd, bwd)
    return project, plain


def curve(rng):
    return normal(rng, 4, 2), positive(rng, 6, low=0.05, high=0.95)


@case(
    "Bezier paths by de Casteljau in diffvg",
    "spline",
    curve,
    Twin(
        "last level",
        "term|sum|factor|ratio",
        "t",
        "Only the last level of the triangle tells the parameter's gradient.",
    ),
    Twin(
        "ends swapped",
        "swap|transpose",
        "control t",
        "The left point gets the weight of the right one.",
    ),
    Twin(
        "samples averaged",
        "ratio|sum|factor",
        "control",
        "The control points get the mean over the samples, not the sum.",
    ),
)
def bezier_curve(slip):
    def levels(control, t):
        s = t[:, None, None]
        points = jnp.broadcast_to(control, (len(t), *control.shape))
        every = [points]
        for _ in range(len(control) - 1):
            points = (1 - s) * points[:, :-1] + s * points[:, 1:]
            every.append(points)
        return every

    @jax.custom_vjp
    def evaluate(control, t):
        return levels(control, t)[-1][:, 0]

    def fwd(control, t):
        every = levels(control, t)
        return every[-1][:, 0], (every[:-1], t)

    def bwd(res, g):
        every, t = res
        s = t[:, None, None]
        left, right = (s, 1 - s) if slip == "ends swapped" else (1 - s, s)
        d, dt = g[:, None], jnp.zeros_like(t)
        for level, points in enumerate(reversed(every)):
            if slip != "last level" or level == 0:
                dt = dt + (d * (points[:, 1:] - points[:, :-1])).sum((1, 2))
            down = jnp.pad(left * d, ((0, 0), (0, 1), (0, 0)))
            d = down + jnp.pad(right * d, ((0, 0), (1, 0), (0, 0)))
        dcontrol = d.mean(0) if slip == "samples averaged" else d.sum(0)
        return dcontrol, dt

    evaluate.defvjp(fwd, bwd)
    return evaluate, evaluate.fun


def mesh(rng):
    edges = [[0, 1], [1, 2], [2, 0], [2, 3], [0, 3], [3, 4]]
    return normal(rng, 6, 3), jnp.asarray(edges, jnp.int32)


@case(
    "uniform Laplacian smoothing in pytorch3d and SoftRas",
    "meshes",
    mesh,
    Twin(
        "degree of the other end",
        "transpose|index|factor",
        "vertices",
        "The message back is divided by the degree of who receives it.",
    ),
    Twin(
        "own position",
        "term|path",
        "vertices",
        "The vertex that is compared with its neighbours gets no gradient itself.",
    ),
    Twin(
        "edges overwrite",
        "duplicates|index|sum",
        "vertices",
        "A vertex with several neighbours gets the share of the last one.",
    ),
)
def mesh_laplacian_loss(slip):
    def both_ways(edges):
        there = jnp.concatenate([edges[:, 0], edges[:, 1]])
        return there, jnp.concatenate([edges[:, 1], edges[:, 0]])

    def residual(vertices, edges):
        to, source = both_ways(edges)
        count = jnp.zeros(len(vertices), vertices.dtype).at[to].add(1)[:, None]
        total = jnp.zeros_like(vertices).at[to].add(vertices[source])
        share = 1 / jnp.maximum(count, 1)
        return jnp.where(count > 0, total * share - vertices, 0), share, count > 0

    @jax.custom_vjp
    def loss(vertices, edges):
        off, _, _ = residual(vertices, edges)
        return (off * off).sum(-1).mean()

    def fwd(vertices, edges):
        off, share, used = residual(vertices, edges)
        return (off * off).sum(-1).mean(), (off, share, used, edges)

    def bwd(res, g):
        off, share, used, edges = res
        doff = jnp.where(used, 2 * g * off / len(off), 0)
        to, source = both_ways(edges)
        message = (doff * share)[to]
        if slip == "degree of the other end":
            message = doff[to] * share[source]
        at = jnp.zeros_like(off).at[source]
        dv = at.set(message) if slip == "edges overwrite" else at.add(message)
        if slip != "own position":
            dv = dv - doff
        return dv, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def edges_and_length(rng):
    vertices, edges = mesh(rng)
    return vertices, edges, jnp.float32(0.7)


@case(
    "mesh_edge_loss of pytorch3d",
    "meshes",
    edges_and_length,
    Twin(
        "one end",
        "term|index|sum",
        "vertices",
        "Only the first vertex of each edge is pulled.",
    ),
    Twin(
        "target sign",
        "sign|ratio",
        "target",
        "The gradient of the wanted length has the sign of the length's.",
    ),
    Twin(
        "edges summed",
        "ratio|factor|sum",
        "vertices target",
        "The loss is the mean over edges, the gradient that of the sum.",
    ),
)
def mesh_edge_loss(slip):
    def lengths(vertices, edges):
        along = vertices[edges[:, 0]] - vertices[edges[:, 1]]
        return along, jnp.sqrt((along * along).sum(-1) + 1e-8)

    @jax.custom_vjp
    def loss(vertices, edges, target):
        return jnp.mean((lengths(vertices, edges)[1] - target) ** 2)

    def fwd(vertices, edges, target):
        return loss.fun(vertices, edges, target), (vertices, edges, target)

    def bwd(res, g):
        vertices, edges, target = res
        along, length = lengths(vertices, edges)
        each = 2 * g * (length - target)
        if slip != "edges summed":
            each = each / len(edges)
        pull = along * (each / length)[:, None]
        dv = jnp.zeros_like(vertices).at[edges[:, 0]].add(pull)
        if slip != "one end":
            dv = dv.at[edges[:, 1]].add(-pull)
        dtarget = each.sum() if slip == "target sign" else -each.sum()
        return dv, np.zeros(edges.shape, jax.dtypes.float0), dtarget

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

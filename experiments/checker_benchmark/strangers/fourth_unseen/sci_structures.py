"""Trusses, skins, equivariant layers."""

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


def truss(rng):
    corners = jnp.asarray([[0, 0], [1, 0], [0, 1], [1, 1]], jnp.float32)
    bars = jnp.asarray([[0, 1], [0, 2], [1, 3], [2, 3], [0, 3]], jnp.int32)
    nodes = corners + 0.1 * normal(rng, 4, 2)
    return nodes, 0.1 * normal(rng, 4, 2), jnp.ones(5), bars


@case(
    "jax-fem style assembly of the forces in a truss, for shape optimisation",
    "assembly",
    truss,
    Twin(
        "length held",
        "term|path",
        "nodes",
        "That the bars' lengths depend on the nodes is left out.",
    ),
    Twin(
        "last bar of a node",
        "duplicates|index|sum",
        "nodes displaced",
        "What bars give to a node they share is set, not added.",
    ),
    Twin(
        "reaction",
        "term|path",
        "nodes displaced stiffness",
        "A bar sees the cotangent of its second end only.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(0,),
    narrow=False,
)
def finite_element_residual(slip):
    def along(nodes, displaced, bars):
        d = nodes[bars[:, 1]] - nodes[bars[:, 0]]
        w = displaced[bars[:, 1]] - displaced[bars[:, 0]]
        return d, w, (d * d).sum(-1, keepdims=True), (d * w).sum(-1, keepdims=True)

    def assemble(forces, bars, nodes, to_add=True):
        total = jnp.zeros_like(nodes)
        if to_add:
            return total.at[bars[:, 1]].add(forces).at[bars[:, 0]].add(-forces)
        return total.at[bars[:, 1]].set(forces).at[bars[:, 0]].set(-forces)

    @jax.custom_vjp
    def residual(nodes, displaced, stiffness, bars):
        d, _, squared, stretch = along(nodes, displaced, bars)
        force = stiffness[:, None] * stretch * d / squared**1.5
        return assemble(force, bars, nodes)

    def fwd(nodes, displaced, stiffness, bars):
        known = (nodes, displaced, stiffness, bars)
        return residual.fun(*known), known

    def bwd(res, g):
        nodes, displaced, stiffness, bars = res
        d, w, squared, stretch = along(nodes, displaced, bars)
        dforce = g[bars[:, 1]]
        if slip != "reaction":
            dforce = dforce - g[bars[:, 0]]
        inner = (dforce * d).sum(-1, keepdims=True)
        scale = stiffness[:, None] / squared**1.5
        dd = scale * (inner * w + stretch * dforce)
        if slip != "length held":
            dd = dd - 3 * scale * stretch * inner * d / squared
        dstiffness = (stretch * inner / squared**1.5)[:, 0]
        add = slip != "last bar of a node"
        dnodes = assemble(dd, bars, nodes, add)
        return dnodes, assemble(scale * inner * d, bars, nodes, add), dstiffness, None

    residual.defvjp(fwd, bwd)
    return residual, residual.fun


def skin(rng):
    weights = jax.nn.softmax(normal(rng, 5, 3))
    q, _ = np.linalg.qr(rng.normal(size=(3, 3, 3)))
    bones = {"rotation": jnp.asarray(q, jnp.float32), "pivot": normal(rng, 3, 3)}
    return normal(rng, 5, 3), weights, {**bones, "shift": 0.1 * normal(rng, 3, 3)}


@case(
    "linear blend skinning of SMPL bodies in JAX",
    "rigid transforms",
    skin,
    Twin(
        "rotations not turned back",
        "transpose|operand",
        "points",
        "Cotangents of the points are rotated forwards.",
    ),
    Twin(
        "pivots",
        "term|path",
        "bones",
        "That pivots are added again after the rotation is left out.",
    ),
    Twin(
        "points not relative",
        "term|path|operand",
        "bones",
        "The rotations' gradient has the points, not what they are from the pivots.",
    ),
)
def linear_blend_skinning(slip):
    @jax.custom_vjp
    def pose(points, weights, bones):
        local = points[:, None] - bones["pivot"]
        turned = jnp.einsum("bxy,nby->nbx", bones["rotation"], local)
        return jnp.einsum(
            "nb,nbx->nx", weights, turned + bones["pivot"] + bones["shift"]
        )

    def fwd(points, weights, bones):
        return pose.fun(points, weights, bones), (points, weights, bones)

    def bwd(res, g):
        points, weights, bones = res
        rotation, pivot = bones["rotation"], bones["pivot"]
        local = points[:, None] - pivot
        placed = jnp.einsum("bxy,nby->nbx", rotation, local) + pivot + bones["shift"]
        dplaced = weights[..., None] * g[:, None]
        dlocal = jnp.einsum("bxy,nbx->nby", rotation, dplaced)
        dshift = dplaced.sum(0)
        dpivot = dshift - dlocal.sum(0)
        if slip == "pivots":
            dpivot = -dlocal.sum(0)
        if slip == "rotations not turned back":
            dpoints = jnp.einsum("bxy,nby->nx", rotation, dplaced)
        else:
            dpoints = dlocal.sum(1)
        if slip == "points not relative":
            local = jnp.broadcast_to(points[:, None], local.shape)
        drotation = jnp.einsum("nbx,nby->bxy", dplaced, local)
        dweights = jnp.einsum("nx,nbx->nb", g, placed)
        dbones = {"rotation": drotation, "pivot": dpivot, "shift": dshift}
        return dpoints, dweights, dbones

    pose.defvjp(fwd, bwd)
    return pose, pose.fun


def molecule(rng):
    receivers = jnp.asarray([0, 0, 1, 1, 2, 3, 3], jnp.int32)
    senders = jnp.asarray([1, 2, 0, 3, 0, 1, 2], jnp.int32)
    return normal(rng, 4, 3), normal(rng, 7), senders, receivers


@case(
    "equivariant updates of coordinates (EGNN) on jraph's edges",
    "equivariant layer",
    molecule,
    Twin(
        "length held",
        "term|path",
        "x",
        "That a difference is divided by its length, plus 1, is left out.",
    ),
    Twin(
        "senders",
        "term|path",
        "x",
        "The nodes that are subtracted have no gradient.",
    ),
    Twin(
        "degree of the sender",
        "index|operand|factor",
        "x gate",
        "Backward, a mean is over the edges of the node at the other end.",
    ),
    narrow=False,
)
def equivariant_graph_layer(slip):
    def edges(x, senders, receivers):
        gap = x[receivers] - x[senders]
        squared = (gap * gap).sum(-1, keepdims=True)
        apart = squared > 0
        length = jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1)), 0)
        degree = jnp.zeros(len(x), x.dtype).at[receivers].add(1)
        return gap, length, jnp.maximum(degree, 1)[:, None]

    @jax.custom_vjp
    def update(x, gate, senders, receivers):
        gap, length, degree = edges(x, senders, receivers)
        moved = gate[:, None] * gap / (length + 1)
        return x + jnp.zeros_like(x).at[receivers].add(moved) / degree

    def fwd(x, gate, senders, receivers):
        known = (x, gate, senders, receivers)
        return update.fun(*known), known

    def bwd(res, g):
        x, gate, senders, receivers = res
        gap, length, degree = edges(x, senders, receivers)
        per = degree[senders if slip == "degree of the sender" else receivers]
        dmoved = g[receivers] / per
        inner = (dmoved * gap).sum(-1, keepdims=True)
        dgap = dmoved / (length + 1)
        if slip != "length held":
            safe = jnp.where(length > 0, length, 1)
            dgap = dgap - inner * gap / (safe * (length + 1) ** 2)
        dgap = gate[:, None] * dgap
        dx = g.at[receivers].add(dgap)
        if slip != "senders":
            dx = dx.at[senders].add(-dgap)
        return dx, (inner / (length + 1))[:, 0], None, None

    update.defvjp(fwd, bwd)
    return update, update.fun

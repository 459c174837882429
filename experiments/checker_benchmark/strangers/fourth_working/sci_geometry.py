"""Segments, wave functions' determinants, propagation on graphs."""

import jax
import jax.numpy as jnp
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


def orbitals(weights):
    def args(rng):
        return normal(rng, 3, 4, 4), jnp.asarray(weights, jnp.float32)

    return args


def both_signs(rng):
    x, w = orbitals([1.0, 1.0, 1.0])(rng)
    wanted = jnp.sign(jnp.linalg.det(x)) * jnp.array([1.0, -1.0, 1.0])
    return x.at[:, 0].multiply(wanted[:, None]), w


@case(
    "FermiNet in JAX: logarithm of a weighted sum of Slater determinants",
    "determinants",
    orbitals([1.0, 1.0, 1.0]),
    Twin(
        "not transposed",
        "transpose|operand",
        "x",
        "The inverse stands for the cofactors, which are its transpose.",
    ),
    Twin(
        "weights of the determinants",
        "factor|operand|ratio",
        "x",
        "Each determinant's part is pulled back without its weight.",
        witness=orbitals([0.5, 1.5, -0.7]),
    ),
    Twin(
        "signs dropped",
        "sign|ratio|factor",
        "w",
        "Those of the determinants.",
        witness=both_signs,
    ),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def slater_log_sum(slip):
    """log |sum w det x| and its sign; matrices may be singular."""

    def scaled_determinants(x):
        sign, log = jnp.linalg.slogdet(x)
        most = lax.stop_gradient(jnp.max(log))
        return sign * jnp.exp(log - most), most

    def cofactors(x):
        u, s, vh = jnp.linalg.svd(x)
        kept = ~jnp.eye(s.shape[-1], dtype=bool)
        others = jnp.where(kept, s[..., None, :], 1).prod(-1)
        turned = jnp.linalg.det(u) * jnp.linalg.det(vh)
        found = (u * (turned[..., None] * others)[..., None, :]) @ vh
        return found.mT if slip == "not transposed" else found

    @jax.custom_vjp
    def log_sum(x, w):
        determinants, most = scaled_determinants(x)
        total = w @ determinants
        return jnp.log(jnp.abs(total)) + most, jnp.sign(total)

    def fwd(x, w):
        determinants, most = scaled_determinants(x)
        total = w @ determinants
        out = jnp.log(jnp.abs(total)) + most, jnp.sign(total)
        return out, (x, w, determinants, most, total)

    def bwd(res, g):
        x, w, determinants, most, total = res
        share = g[0] / total
        if slip == "signs dropped":
            dw = share * jnp.abs(determinants)
        else:
            dw = share * determinants
        of_each = jnp.ones_like(w) if slip == "weights of the determinants" else w
        dx = share * of_each[:, None, None] * (cofactors(x) * jnp.exp(-most))
        return dx, dw

    log_sum.defvjp(fwd, bwd)
    return log_sum, log_sum.fun


def outlines(rng):
    return normal(rng, 6, 3), normal(rng, 4, 3), normal(rng, 4, 3)


@case(
    "pytorch3d.loss.point_mesh_edge_distance, as ported to JAX",
    "distance",
    outlines,
    Twin(
        "ends swapped",
        "swap",
        "start end",
        "Each end has the share of the other one.",
    ),
    Twin(
        "beyond the ends",
        "mask|region|predicate|term",
        "points start end",
        "Backward, the nearest point is sought on the line, not on the segment.",
    ),
    Twin(
        "every segment",
        "mask|region|predicate|elements",
        "points start end",
        "Not the nearest one alone is pulled back.",
    ),
    narrow=False,
)
def point_segment_distance(slip):
    """Squared distance of each point from the nearest segment."""

    def nearest(points, start, end, clipped=True):
        along = end - start
        length = jnp.maximum((along * along).sum(-1), 1e-12)
        share = ((points[:, None] - start) * along).sum(-1) / length
        share = jnp.clip(share, 0, 1) if clipped else share
        gap = points[:, None] - start - share[..., None] * along
        return gap, share

    @jax.custom_vjp
    def distance(points, start, end):
        gap, _ = nearest(points, start, end)
        return (gap * gap).sum(-1).min(-1)

    def fwd(points, start, end):
        gap, _ = nearest(points, start, end)
        squared = (gap * gap).sum(-1)
        winner = jnp.argmin(squared, -1)
        return squared.min(-1), (points, start, end, winner)

    def bwd(res, g):
        points, start, end, winner = res
        gap, share = nearest(points, start, end, slip != "beyond the ends")
        won = winner[:, None] == jnp.arange(len(start))
        if slip == "every segment":
            won = jnp.ones_like(won)
        dgap = jnp.where(won[..., None], 2 * g[:, None, None] * gap, 0)
        share = share[..., None]
        if slip == "ends swapped":
            share = 1 - share
        dstart, dend = -(1 - share) * dgap, -share * dgap
        return dgap.sum(1), dstart.sum(0), dend.sum(0)

    distance.defvjp(fwd, bwd)
    return distance, distance.fun


def citations(rng):
    senders = jnp.asarray([0, 1, 2, 3, 3, 4, 0], jnp.int32)
    receivers = jnp.asarray([1, 2, 0, 1, 4, 2, 2], jnp.int32)
    return normal(rng, 5, 3), positive(rng, 7), senders, receivers, 4, 0.2


@case(
    "personalised propagation of predictions (APPNP) on jraph's edges",
    "graph layer",
    citations,
    Twin(
        "first state",
        "term|path",
        "h",
        "That the iteration starts at the features is left out.",
    ),
    Twin(
        "edges not reversed",
        "transpose|index|swap|operand",
        "h weights",
        "Cotangents travel along the edges, not against them.",
    ),
    Twin(
        "later state",
        "residual|operand|index",
        "weights",
        "Weights meet the state after the step, not before it.",
    ),
)
def personalised_propagation(slip):
    def spread(z, weights, senders, receivers):
        moved = weights[:, None] * z[senders]
        return jnp.zeros_like(z).at[receivers].add(moved)

    def plain(h, weights, senders, receivers, steps, restart):
        def step(_, z):
            moved = spread(z, weights, senders, receivers)
            return (1 - restart) * moved + restart * h

        return lax.fori_loop(0, steps, step, h)

    propagate = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(h, weights, senders, receivers, steps, restart):
        def step(z, _):
            moved = spread(z, weights, senders, receivers)
            return (1 - restart) * moved + restart * h, z

        last, states = lax.scan(step, h, None, length=steps)
        if slip == "later state":
            states = jnp.concatenate([states[1:], last[None]])
        return last, (weights, senders, receivers, states)

    def bwd(steps, restart, res, g):
        weights, senders, receivers, states = res
        ends = (senders, receivers)
        if slip != "edges not reversed":
            ends = ends[::-1]

        def step(carry, z):
            dz, dh, dweights = carry
            dh = dh + restart * dz
            dmoved = (1 - restart) * dz
            dweights = dweights + (dmoved[receivers] * z[senders]).sum(-1)
            return (spread(dmoved, weights, *ends), dh, dweights), None

        start = (g, jnp.zeros_like(g), jnp.zeros_like(weights))
        (dz, dh, dweights), _ = lax.scan(step, start, states, reverse=True)
        return dh if slip == "first state" else dh + dz, dweights, None, None

    propagate.defvjp(fwd, bwd)
    return propagate, plain

"""Molecules: angles, filters of distances, reactions and occupations."""

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


def water_box(rng):
    box = jnp.asarray([3.0, 3.0, 3.0], jnp.float32)
    triples = jnp.asarray([[0, 1, 2], [3, 4, 5], [1, 2, 3]], jnp.int32)
    kinds = jnp.asarray([0, 0, 1], jnp.int32)
    force = {"stiffness": positive(rng, 2), "angle": positive(rng, 2, low=1.5, high=2)}
    return positive(rng, 6, 3, low=0, high=3), box, force, triples, kinds


def padded_box(rng):
    positions, box, force, triples, kinds = water_box(rng)
    return positions, box, force, triples.at[2].set(0), kinds


@case(
    "angles of GROMOS force fields in jax-md and DMFF, in a periodic box, padded",
    "energy of particles",
    water_box,
    Twin(
        "force on the middle",
        "term|path|index",
        "positions",
        "The atom in the middle does not get what the outer ones get, reversed.",
    ),
    Twin(
        "angle for its cosine",
        "ratio|factor|function|term",
        "force",
        "The angle at rest gets the gradient of its cosine.",
    ),
    Twin(
        "padded triples",
        "edge|nan|finite",
        "positions",
        "Triples that are padded have arms of no length.",
        witness=padded_box,
    ),
    fixed=(2,),
    narrow=False,
)
def cosine_angle_energy(slip):
    def arms(positions, box, triples):
        ends = positions[triples[:, ::2]] - positions[triples[:, 1]][:, None]
        images = jnp.round(lax.stop_gradient(ends / box))
        ends = ends - box * images
        squared = (ends**2).sum(-1, keepdims=True)
        real = (triples[:, 0] != triples[:, 2])[:, None, None]
        length = jnp.sqrt(jnp.where(real, squared, 1))
        return ends / length, length, images, real[:, 0, 0]

    def bends(units, force, kinds, real):
        cosine = (units[:, 0] * units[:, 1]).sum(-1)
        return cosine, jnp.where(real, cosine - jnp.cos(force["angle"][kinds]), 0)

    @jax.custom_vjp
    def energy(positions, box, force, triples, kinds):
        units, _, _, real = arms(positions, box, triples)
        _, bend = bends(units, force, kinds, real)
        return (force["stiffness"][kinds] * bend**2).sum() / 2

    def fwd(*args):
        return energy.fun(*args), args

    def bwd(args, g):
        positions, box, force, triples, kinds = args
        units, length, images, real = arms(positions, box, triples)
        if slip == "padded triples":
            raw = length * units
            length = jnp.sqrt((raw**2).sum(-1, keepdims=True))
            units = raw / length
        cosine, bend = bends(units, force, kinds, real)
        dcosine = (g * force["stiffness"][kinds] * bend)[:, None, None]
        other = units[:, ::-1]
        dends = dcosine * (other - cosine[:, None, None] * units) / length
        dpositions = jnp.zeros_like(positions).at[triples[:, ::2]].add(dends)
        if slip != "force on the middle":
            dpositions = dpositions.at[triples[:, 1]].add(-dends.sum(1))
        dbox = -(images * dends).sum((0, 1))
        dangle = dcosine[:, 0, 0]
        if slip != "angle for its cosine":
            dangle = dangle * jnp.sin(force["angle"][kinds])
        kind = jnp.zeros_like(force["angle"]).at[kinds]
        dforce = {"stiffness": kind.add(g * bend**2 / 2), "angle": kind.add(dangle)}
        return dpositions, dbox, dforce, None, None

    energy.defvjp(fwd, bwd)
    return energy, energy.fun


def cloud(rng):
    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    senders, receivers = jnp.asarray(np.array(pairs).T, jnp.int32)
    nodes = normal(rng, 5, 4), normal(rng, 5, 3)
    return *nodes, normal(rng, 6, 4, std=0.5), senders, receivers


@case(
    "SchNet on jraph: continuous filters of distances, with a cosine cutoff",
    "graph layer",
    cloud,
    Twin(
        "back to the receivers",
        "swap|index|operand",
        "h",
        "The senders' gradient is added up at the receivers.",
    ),
    Twin(
        "cutoff held",
        "term|path",
        "positions",
        "That the cutoff falls with the distance is not differentiated.",
    ),
    Twin(
        "one end",
        "term|path|sign",
        "positions",
        "A distance moves with both ends; the receiver's is left out.",
    ),
    fixed=(1,),
)
def schnet_filter_conv(slip):
    centres, sharpness, reach = np.linspace(0, 4, 6), 2.0, 4.0

    def filters(positions, senders, receivers):
        gap = positions[senders] - positions[receivers]
        squared = (gap**2).sum(-1, keepdims=True)
        d = jnp.sqrt(jnp.where(squared > 0, squared, 1))
        offset = d - jnp.asarray(centres, d.dtype)
        inside = (squared > 0) & (d < reach)
        fade = jnp.where(inside, (jnp.cos(jnp.pi / reach * d) + 1) / 2, 0)
        return gap / d, d, offset, jnp.exp(-sharpness * offset**2), fade, inside

    @jax.custom_vjp
    def layer(h, positions, weights, senders, receivers):
        *_, basis, fade, _ = filters(positions, senders, receivers)
        messages = h[senders] * (basis @ weights) * fade
        return jax.ops.segment_sum(messages, receivers, h.shape[0])

    def fwd(*args):
        return layer.fun(*args), args

    def bwd(args, g):
        h, positions, weights, senders, receivers = args
        found = filters(positions, senders, receivers)
        unit, d, offset, basis, fade, inside = found
        dmessage = g[receivers]
        dfilter = dmessage * h[senders]
        target = receivers if slip == "back to the receivers" else senders
        parts = dmessage * (basis @ weights) * fade
        dh = jax.ops.segment_sum(parts, target, h.shape[0])
        dbasis = (dfilter * fade) @ weights.T
        dd = (-2 * sharpness * offset * basis * dbasis).sum(-1, keepdims=True)
        if slip != "cutoff held":
            fall = -jnp.pi / (2 * reach) * jnp.sin(jnp.pi / reach * d)
            each = (dfilter * (basis @ weights)).sum(-1, keepdims=True)
            dd = dd + jnp.where(inside, fall, 0) * each
        dpositions = jnp.zeros_like(positions).at[senders].add(dd * unit)
        if slip != "one end":
            dpositions = dpositions.at[receivers].add(-dd * unit)
        return dh, dpositions, basis.T @ (dfilter * fade), None, None

    layer.defvjp(fwd, bwd)
    return layer, layer.fun

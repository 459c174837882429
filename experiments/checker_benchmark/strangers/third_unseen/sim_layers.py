"""Pressure and graphs."""

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


def basin(solid):
    def args(rng):
        fluid = jnp.ones((4, 5), bool)
        if solid:
            fluid = fluid.at[1:3, 2].set(False)
        return normal(rng, 4, 5), normal(rng, 4, 5), fluid, 6, 0.8

    return args


@case(
    "damped Jacobi steps for the pressure in PhiFlow-like solvers in JAX",
    "pressure solve",
    basin(False),
    Twin(
        "last right side",
        "path|term|ratio|sum|factor",
        "divergence",
        "The divergence is pulled back by the last step only.",
    ),
    Twin(
        "open walls",
        "mask|region|index|function|elements",
        "pressure divergence",
        "On the way back the pressure beyond a wall is 0, not that at the wall.",
    ),
    Twin(
        "solid cells",
        "mask|region|predicate",
        "pressure divergence",
        "Cells within obstacles are pulled.",
        witness=basin(True),
    ),
)
def jacobi_pressure(slip):
    def around(p, fluid):
        """The sum of the four neighbours; a wall's is that of the cell itself."""
        total = jnp.zeros_like(p)
        for axis in (0, 1):
            for step in (1, -1):
                near = jnp.roll(p, step, axis)
                wet = jnp.roll(fluid, step, axis)
                end = 0 if step == 1 else p.shape[axis] - 1
                line = jnp.arange(p.shape[axis]) == end
                wet = wet & ~(line[:, None] if axis == 0 else line)
                total = total + jnp.where(wet, near, p)
        return jnp.where(fluid, total, 0)

    def plain(pressure, divergence, fluid, steps, damping):
        def step(_, p):
            p = jnp.where(fluid, p, 0)
            new = (around(p, fluid) - divergence) / 4
            return jnp.where(fluid, p + damping * (new - p), 0)

        return lax.fori_loop(0, steps, step, pressure)

    relax = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(pressure, divergence, fluid, steps, damping):
        return plain(pressure, divergence, fluid, steps, damping), fluid

    def open_around(d, fluid):
        wide = jnp.pad(jnp.where(fluid, d, 0), 1)
        total = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
        return jnp.where(fluid, total, 0)

    def bwd(steps, damping, fluid, g):
        wet = jnp.ones_like(fluid) if slip == "solid cells" else fluid

        def back(_, carry):
            d, total = carry
            d = jnp.where(wet, d, 0)
            total = d if slip == "last right side" else total + d
            near = open_around if slip == "open walls" else around
            return d + damping * (near(d, wet) / 4 - d), total

        start = (g, jnp.zeros_like(g))
        d, total = lax.fori_loop(0, steps, back, start)
        return d, -damping / 4 * total, None

    relax.defvjp(fwd, bwd)
    return relax, plain


def graph(rng):
    senders = jnp.asarray([0, 1, 2, 3, 0, 2], jnp.int32)
    receivers = jnp.asarray([1, 2, 3, 0, 2, 0], jnp.int32)
    return normal(rng, 4, 3), positive(rng, 6), senders, receivers, True


@case(
    "jraph.GraphConvolution with symmetric normalisation and weights of edges",
    "graph layer",
    graph,
    Twin(
        "degrees constant",
        "term|path",
        "weight",
        "That a weight is part of the degrees is left out.",
    ),
    Twin(
        "not transposed",
        "transpose|swap|index",
        "nodes",
        "The nodes' gradient goes along the edges, not against them.",
    ),
    Twin(
        "own loop",
        "term|path",
        "weight nodes",
        "The loop of a node on itself has no gradient.",
    ),
    narrow=False,
    fixed=(1,),
)
def symmetric_graph_conv(slip):
    def scale(weight, receivers, count, loops):
        degree = jnp.full(count, 1.0 if loops else 0.0, weight.dtype)
        degree = degree.at[receivers].add(weight)
        safe = jnp.where(degree > 0, degree, 1)
        return jnp.where(degree > 0, lax.rsqrt(safe), 0)

    def plain(nodes, weight, senders, receivers, loops):
        root = scale(weight, receivers, len(nodes), loops)
        edge = (weight * root[senders] * root[receivers])[:, None]
        out = jax.ops.segment_sum(edge * nodes[senders], receivers, len(nodes))
        return out + root[:, None] ** 2 * nodes if loops else out

    conv = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(nodes, weight, senders, receivers, loops):
        out = plain(nodes, weight, senders, receivers, loops)
        return out, (nodes, weight, senders, receivers)

    def bwd(loops, res, g):
        nodes, weight, senders, receivers = res
        count = len(nodes)
        root = scale(weight, receivers, count, loops)
        ends = root[senders] * root[receivers]
        to, come = senders, receivers
        if slip == "not transposed":
            to, come = receivers, senders
        sent = (weight * ends)[:, None] * g[come]
        dnodes = jax.ops.segment_sum(sent, to, count)
        dedge = (nodes[senders] * g[receivers]).sum(-1)
        pulled = dedge * weight
        droot = jax.ops.segment_sum(pulled * root[receivers], senders, count)
        droot = droot + jax.ops.segment_sum(pulled * root[senders], receivers, count)
        if loops and slip != "own loop":
            dnodes = dnodes + root[:, None] ** 2 * g
            droot = droot + 2 * root * (nodes * g).sum(-1)
        dweight = dedge * ends
        if slip != "degrees constant":
            dweight = dweight - 0.5 * (droot * root**3)[receivers]
        return dnodes, dweight, None, None

    conv.defvjp(fwd, bwd)
    return conv, plain

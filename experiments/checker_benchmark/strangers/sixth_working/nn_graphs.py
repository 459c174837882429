"""Layers of graph networks, as on jraph's edges."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def edges_of_graph(rng):
    params = {
        "left": normal(rng, 5, 4, std=0.45),
        "right": normal(rng, 5, 4, std=0.45),
        "a": normal(rng, 4, std=0.5),
    }
    return normal(rng, 6, 5), params, integers(rng, 6, 14), integers(rng, 6, 14), 0.2


@case(
    "GATv2 on jraph's edges: the leaky unit is inside of the scores",
    "graph network",
    edges_of_graph,
    Twin(
        "scores of the first GAT",
        "factor|function|mask",
        "nodes params",
        "The leaky unit's slope is left out on the way back, as if it came last.",
    ),
    Twin(
        "softmax over all edges",
        "sum|axis|term|index",
        "nodes params",
        "The softmax is pulled back over all edges and not over each receiver's.",
    ),
    Twin(
        "scores of the senders",
        "term|path",
        "nodes params",
        "The senders' projection is reached through the messages only.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def gatv2_attention(slip):
    def forward(nodes, params, senders, receivers, slope):
        count = nodes.shape[0]
        sent = (nodes @ params["left"])[senders]
        z = sent + (nodes @ params["right"])[receivers]
        scores = jax.nn.leaky_relu(z, slope) @ params["a"]
        top = jax.ops.segment_max(scores, receivers, count)[receivers]
        e = jnp.exp(scores - jax.lax.stop_gradient(top))
        p = e / jax.ops.segment_sum(e, receivers, count)[receivers]
        return jax.ops.segment_sum(p[:, None] * sent, receivers, count), (sent, z, p)

    def plain(nodes, params, senders, receivers, slope):
        return forward(nodes, params, senders, receivers, slope)[0]

    layer = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(nodes, params, senders, receivers, slope):
        out, kept = forward(nodes, params, senders, receivers, slope)
        return out, (nodes, params, senders, receivers, kept)

    def bwd(slope, res, g):
        nodes, params, senders, receivers, (sent, z, p) = res
        count = nodes.shape[0]
        there = g[receivers]
        dp = (there * sent).sum(-1)
        inner = jax.ops.segment_sum(p * dp, receivers, count)[receivers]
        if slip == "softmax over all edges":
            inner = (p * dp).sum()
        ds = p * (dp - inner)
        opened = jnp.where(z >= 0, 1, slope).astype(z.dtype)
        if slip == "scores of the first GAT":
            opened = jnp.ones_like(z)
        dz = ds[:, None] * params["a"] * opened
        dsent = p[:, None] * there
        if slip != "scores of the senders":
            dsent = dsent + dz
        dleft = jax.ops.segment_sum(dsent, senders, count)
        dright = jax.ops.segment_sum(dz, receivers, count)
        grads = {
            "left": nodes.T @ dleft,
            "right": nodes.T @ dright,
            "a": ds @ jax.nn.leaky_relu(z, slope),
        }
        dnodes = dleft @ params["left"].T + dright @ params["right"].T
        return dnodes, grads, None, None

    layer.defvjp(fwd, bwd)
    return layer, plain

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


def graph_to_pool(rng):
    upper = jnp.triu(jnp.asarray(rng.random((6, 6)) < 0.5, jnp.float32), 1)
    return normal(rng, 6, 4), upper + upper.T, normal(rng, 6, 3)


@case(
    "differentiable pooling (DiffPool) of graphs in JAX, with both auxiliary losses",
    "graph network",
    graph_to_pool,
    Twin(
        "one side of the adjacency",
        "term|path|factor|transpose",
        "logits",
        "The pooled adjacency is pulled back to the left of its two assignments.",
    ),
    Twin(
        "square of the assignments",
        "factor|ratio",
        "logits",
        "The link loss is pulled back to one of the assignments in their product.",
    ),
    Twin(
        "sum of the entropies",
        "ratio|factor|sum",
        "logits",
        "The entropy's gradient is that of the sum over the nodes, not of the mean.",
    ),
    fixed=(1,),
)
def diff_pool(slip):
    def link(adjacency, s):
        gap = adjacency - s @ s.T
        return gap, jnp.sqrt((gap * gap).sum())

    def entropy(logits, s):
        return -(s * jax.nn.log_softmax(logits)).sum(-1)

    @jax.custom_vjp
    def pool(x, adjacency, logits):
        s = jax.nn.softmax(logits)
        norm = link(adjacency, s)[1] / adjacency.size
        mean = entropy(logits, s).mean()
        return s.T @ x, s.T @ adjacency @ s, norm, mean

    def fwd(x, adjacency, logits):
        return pool.fun(x, adjacency, logits), (x, adjacency, logits)

    def bwd(res, g):
        x, adjacency, logits = res
        dx, dpooled, dnorm, dmean = g
        s = jax.nn.softmax(logits)
        gap, norm = link(adjacency, s)
        dgap = dnorm * gap / (norm * adjacency.size)
        ds = x @ dx.T + adjacency @ s @ dpooled.T
        if slip != "one side of the adjacency":
            ds = ds + adjacency.T @ s @ dpooled
        if slip == "square of the assignments":
            ds = ds - dgap @ s
        else:
            ds = ds - (dgap + dgap.T) @ s
        dlogits = s * (ds - (s * ds).sum(-1, keepdims=True))
        each = entropy(logits, s)[:, None]
        count = 1 if slip == "sum of the entropies" else s.shape[0]
        dentropy = -s * (jax.nn.log_softmax(logits) + each) * dmean / count
        return s @ dx, s @ dpooled @ s.T + dgap, dlogits + dentropy

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def graph_with_edges(rng):
    names = ("out", "from", "to", "edge", "message")
    params = {name: normal(rng, 4, 4, std=0.4) for name in names}
    ends = integers(rng, 5, 9), integers(rng, 5, 9)
    return normal(rng, 5, 4), normal(rng, 9, 4), params, *ends


@case(
    "gated graph convolutions (GatedGCN) on jraph's edges, which are outputs as well",
    "graph network",
    graph_with_edges,
    Twin(
        "sum of the gates",
        "term|path",
        "nodes edges params",
        "The gates' sum at a node is taken for a constant.",
    ),
    Twin(
        "edges that are passed on",
        "cotangent|path|term|zero",
        "nodes edges params",
        "The cotangent of the edges that are passed on is not used.",
    ),
    Twin(
        "ends interchanged",
        "swap|index",
        "nodes",
        "What an edge gives back is scattered to the other one of its ends.",
    ),
)
def gated_gcn_layer(slip):
    eps = 1e-6

    def parts(nodes, edges, params, senders, receivers):
        edge = edges @ params["edge"] + (nodes @ params["from"])[senders]
        edge = edge + (nodes @ params["to"])[receivers]
        gate = jax.nn.sigmoid(edge)
        sent = (nodes @ params["message"])[senders]

        def gathered(values):
            return jax.ops.segment_sum(values, receivers, nodes.shape[0])

        return edge, gate, sent, gathered(gate * sent), gathered(gate) + eps

    @jax.custom_vjp
    def layer(nodes, edges, params, senders, receivers):
        edge, *_, top, total = parts(nodes, edges, params, senders, receivers)
        return nodes @ params["out"] + top / total, edge

    def fwd(nodes, edges, params, senders, receivers):
        out = layer.fun(nodes, edges, params, senders, receivers)
        return out, (nodes, edges, params, senders, receivers)

    def bwd(res, g):
        nodes, edges, params, senders, receivers = res
        dout, dedge = g
        _, gate, sent, top, total = parts(*res)
        dtop = (dout / total)[receivers]
        dgate = dtop * sent
        if slip != "sum of the gates":
            dgate = dgate - dtop * (top / total)[receivers]
        inner = dgate * gate * (1 - gate)
        if slip != "edges that are passed on":
            inner = inner + dedge
        ends = (senders, receivers)
        if slip == "ends interchanged":
            ends = ends[::-1]

        def scattered(values, at):
            return jax.ops.segment_sum(values, at, nodes.shape[0])

        dfrom, dto = (scattered(inner, at) for at in ends)
        dsent = scattered(dtop * gate, senders)
        dnodes = dout @ params["out"].T + dfrom @ params["from"].T
        dnodes = dnodes + dto @ params["to"].T + dsent @ params["message"].T
        grads = {
            "out": nodes.T @ dout,
            "from": nodes.T @ scattered(inner, senders),
            "to": nodes.T @ scattered(inner, receivers),
            "edge": edges.T @ inner,
            "message": nodes.T @ dsent,
        }
        return dnodes, inner @ params["edge"].T, grads, None, None

    layer.defvjp(fwd, bwd)
    return layer, layer.fun

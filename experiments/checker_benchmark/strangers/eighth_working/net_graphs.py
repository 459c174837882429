"""Graph layers: sums of neighbours, relations, edges in attention, norms by graph."""

import jax
import jax.numpy as jnp
from jax.ops import segment_max, segment_sum

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def isomorphism_inputs(rng):
    mlp = {"w1": normal(rng, 3, 5), "b1": normal(rng, 5), "w2": normal(rng, 5, 4)}
    senders, receivers = integers(rng, 6, 9), integers(rng, 6, 9)
    return normal(rng, 6, 3), jnp.float32(0.3), mlp, senders, receivers


@case(
    "GINConv of PyTorch Geometric with train_eps, in jraph",
    "graph layer",
    isomorphism_inputs,
    Twin(
        "along the edges",
        "swap|transpose|index",
        "x",
        "The cotangent goes from senders to receivers as the forward does.",
    ),
    Twin(
        "itself once",
        "factor|term",
        "x",
        "A node's own part has the factor 1, not 1 + eps.",
    ),
    Twin(
        "eps of the sums",
        "operand|function|residual",
        "eps",
        "The gradient of eps is taken with the sums, not with the nodes.",
    ),
)
def gin_layer(slip):
    def hidden(x, eps, mlp, senders, receivers):
        summed = (1 + eps) * x + segment_sum(x[senders], receivers, len(x))
        return summed, summed @ mlp["w1"] + mlp["b1"]

    @jax.custom_vjp
    def layer(x, eps, mlp, senders, receivers):
        return jax.nn.relu(hidden(x, eps, mlp, senders, receivers)[1]) @ mlp["w2"]

    def fwd(x, eps, mlp, senders, receivers):
        summed, z = hidden(x, eps, mlp, senders, receivers)
        res = (x, eps, mlp, senders, receivers, summed, z)
        return jax.nn.relu(z) @ mlp["w2"], res

    def bwd(res, g):
        x, eps, mlp, senders, receivers, summed, z = res
        dz = jnp.where(z > 0, g @ mlp["w2"].T, 0)
        dsum = dz @ mlp["w1"].T
        came, went = (receivers, senders)
        if slip == "along the edges":
            came, went = went, came
        dx = segment_sum(dsum[came], went, len(x))
        dx = dx + (dsum if slip == "itself once" else (1 + eps) * dsum)
        deps = (dsum * (summed if slip == "eps of the sums" else x)).sum()
        dmlp = {"w1": summed.T @ dz, "b1": dz.sum(0), "w2": jax.nn.relu(z).T @ g}
        return dx, deps, dmlp, None, None

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def relational_inputs(rng):
    x, basis, own = draw(x=(5, 3), basis=(2, 3, 4), own=(3, 4))(rng)
    edges = (integers(rng, 5, 10), integers(rng, 5, 10), integers(rng, 3, 10))
    return x, basis, normal(rng, 3, 2), own, edges


@case(
    "RGCNConv with bases, in DGL and PyTorch Geometric",
    "graph layer with relations",
    relational_inputs,
    Twin(
        "sum of the messages",
        "ratio|factor|sum",
        "x basis shares",
        "The backward has messages added, the forward has them averaged.",
    ),
    Twin(
        "last edge of a relation",
        "duplicates|index|sum",
        "shares",
        "A relation's shares get the gradient of one of its edges.",
    ),
    Twin(
        "own weight",
        "term|path",
        "x",
        "The path through the nodes' own weight is left out.",
    ),
)
def rgcn_basis(slip):
    def norms(x, shares, edges):
        _, receivers, kinds = edges
        pair = receivers * len(shares) + kinds
        ones = jnp.ones(pair.shape, x.dtype)
        counts = segment_sum(ones, pair, len(x) * len(shares))
        return 1 / counts[pair][:, None]

    @jax.custom_vjp
    def layer(x, basis, shares, own, edges):
        senders, receivers, kinds = edges
        bases = jnp.einsum("ei,bio->ebo", x[senders], basis)
        messages = jnp.einsum("eb,ebo->eo", shares[kinds], bases)
        return x @ own + segment_sum(
            messages * norms(x, shares, edges), receivers, len(x)
        )

    def fwd(x, basis, shares, own, edges):
        return layer.fun(x, basis, shares, own, edges), (x, basis, shares, own, edges)

    def bwd(res, g):
        x, basis, shares, own, edges = res
        senders, receivers, kinds = edges
        dm = g[receivers]
        if slip != "sum of the messages":
            dm = dm * norms(x, shares, edges)
        share = shares[kinds]
        dsenders = jnp.einsum("eb,bio,eo->ei", share, basis, dm)
        dx = segment_sum(dsenders, senders, len(x))
        if slip != "own weight":
            dx = dx + g @ own.T
        dbasis = jnp.einsum("eb,ei,eo->bio", share, x[senders], dm)
        dshare = jnp.einsum("ei,bio,eo->eb", x[senders], basis, dm)
        slots = jnp.zeros_like(shares).at[kinds]
        lost = slip == "last edge of a relation"
        dshares = slots.set(dshare) if lost else slots.add(dshare)
        return dx, dbasis, dshares, x.T @ g, (None, None, None)

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


def attentive_edges(rng):
    q, k, v, e = draw(q=(5, 2, 3), k=(5, 2, 3), v=(5, 2, 3), e=(9, 2, 3))(rng)
    return q, k, v, e, integers(rng, 5, 9), integers(rng, 4, 9)


@case(
    "TransformerConv with edge features, in PyTorch Geometric",
    "graph attention",
    attentive_edges,
    Twin(
        "edges as keys",
        "term|path",
        "edge",
        "An edge's features have a gradient as values only.",
    ),
    Twin(
        "groups of senders",
        "index|sum|swap",
        "q k edge",
        "The row term of the softmax is summed by sender, not by receiver.",
    ),
    Twin(
        "keys without scale",
        "factor|ratio",
        "k edge",
        "Keys get the gradient of the scores without 1/sqrt(d).",
    ),
)
def transformer_conv(slip):
    def weights(q, k, edge, senders, receivers):
        s = (q[receivers] * (k[senders] + edge)).sum(-1) * q.shape[-1] ** -0.5
        top = segment_max(s, receivers, len(q))[receivers]
        e = jnp.exp(s - jax.lax.stop_gradient(top))
        return e / segment_sum(e, receivers, len(q))[receivers]

    @jax.custom_vjp
    def attend(q, k, v, edge, senders, receivers):
        a = weights(q, k, edge, senders, receivers)
        return segment_sum(a[..., None] * (v[senders] + edge), receivers, len(q))

    def fwd(q, k, v, edge, senders, receivers):
        y = attend.fun(q, k, v, edge, senders, receivers)
        return y, (q, k, v, edge, senders, receivers)

    def bwd(res, g):
        q, k, v, edge, senders, receivers = res
        a = weights(q, k, edge, senders, receivers)
        scale = q.shape[-1] ** -0.5
        dvalue = a[..., None] * g[receivers]
        da = (g[receivers] * (v[senders] + edge)).sum(-1)
        group = senders if slip == "groups of senders" else receivers
        ds = a * (da - segment_sum(a * da, group, len(q))[group])
        ds = ds[..., None]
        dkey = ds * q[receivers]
        if slip != "keys without scale":
            dkey = dkey * scale
        dq = segment_sum(ds * (k[senders] + edge) * scale, receivers, len(q))
        dk, dv = (segment_sum(d, senders, len(q)) for d in (dkey, dvalue))
        dedge = dvalue if slip == "edges as keys" else dvalue + dkey
        return dq, dk, dv, dedge, None, None

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


def graphs_of_nodes(rng):
    return normal(rng, 8, 3), jnp.array([0, 0, 0, 1, 1, 1, 1, 2], jnp.int32), 1.5, 3


@case(
    "PairNorm of PyTorch Geometric",
    "normalisation by graph",
    graphs_of_nodes,
    Twin(
        "centre is constant",
        "term|path",
        "x",
        "The mean of the graph is not differentiated.",
    ),
    Twin(
        "mean over entries",
        "ratio|factor|sum",
        "x",
        "The variance's term is divided by nodes times features, not by nodes.",
    ),
    Twin(
        "term over all graphs",
        "index|sum",
        "x",
        "The variance's term is summed over the whole batch of graphs.",
    ),
)
def pair_norm(slip):
    def parts(x, graph, graphs):
        ones = jnp.ones(graph.shape, x.dtype)
        count = jnp.maximum(segment_sum(ones, graph, graphs), 1)
        mean = segment_sum(x, graph, graphs) / count[:, None]
        centred = x - mean[graph]
        power = segment_sum((centred * centred).sum(-1), graph, graphs) / count
        return centred, jax.lax.rsqrt(power + 1e-5)[graph][:, None], count

    def plain(x, graph, scale, graphs):
        centred, root, _ = parts(x, graph, graphs)
        return scale * centred * root

    norm = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, graph, scale, graphs):
        centred, root, count = parts(x, graph, graphs)
        return scale * centred * root, (centred, root, count, graph)

    def bwd(scale, graphs, res, g):
        centred, root, count, graph = res
        inner = (g * centred).sum(-1)
        if slip == "term over all graphs":
            total = jnp.full_like(count, inner.sum())
        else:
            total = segment_sum(inner, graph, graphs)
        nodes = count * g.shape[-1] if slip == "mean over entries" else count
        dc = scale * root * (g - centred * root**2 * (total / nodes)[graph][:, None])
        if slip != "centre is constant":
            mean = segment_sum(dc, graph, graphs) / count[:, None]
            dc = dc - mean[graph]
        return dc, None

    norm.defvjp(fwd, bwd)
    return norm, plain

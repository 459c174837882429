"""Bugs of layers with their threads: experts over shards, norms of images, pairs."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def over_shards(rng):
    """Two experts on two shards: rows by shard, then by expert; four tokens, top 2."""
    order = jnp.arange(8).reshape(2, 2, 2).transpose(1, 0, 2).reshape(-1)
    rows = jnp.asarray(rng.permutation(8).reshape(4, 2), jnp.int32)
    gates = jax.nn.softmax(normal(rng, 4, 2))
    return normal(rng, 2, 4, 5), gates, order, rows


@case(
    "NVIDIA/TransformerEngine#2912",
    "mixture of experts",
    over_shards,
    Twin(
        "as reported",
        "residual|operand|index|transpose",
        "gates",
        "The outputs are kept as they leave the experts, before they are reordered.",
    ),
    kind="bug",
    name="expert_combine TransformerEngine#2912",
)
def expert_combine(slip):
    @jax.custom_vjp
    def combine(outputs, gates, order, rows):
        everything = outputs.reshape(-1, outputs.shape[-1])[order]
        return jnp.einsum("tk,tkd->td", gates, everything[rows])

    def fwd(outputs, gates, order, rows):
        flat = outputs.reshape(-1, outputs.shape[-1])
        kept = flat if slip else flat[order]
        shape = jnp.zeros((*outputs.shape[:2], 0), outputs.dtype)
        return combine.fun(outputs, gates, order, rows), (
            kept,
            shape,
            gates,
            order,
            rows,
        )

    def bwd(res, g):
        kept, like, gates, order, rows = res
        dgates = jnp.einsum("td,tkd->tk", g, kept[rows])
        drows = gates[..., None] * g[:, None]
        dall = jnp.zeros_like(kept).at[rows].add(drows)
        dflat = jnp.zeros_like(kept).at[order].add(dall)
        return dflat.reshape(*like.shape[:2], -1), dgates, None, None

    combine.defvjp(fwd, bwd)
    return combine, combine.fun


@case(
    "linkedin/Liger-Kernel#1376",
    "normalisation",
    lambda rng: (normal(rng, 2, 4, 3, 5), jnp.ones(4), jnp.zeros(4), 2),
    Twin(
        "as reported",
        "sum|ratio|factor|region|axis|constant",
        "x gain bias",
        "The width is taken for the size of the planes: sums are over first rows.",
    ),
    kind="bug",
    name="group_norm Liger-Kernel#1376",
)
def group_norm(slip):
    def normed(x, groups):
        rows = x.reshape(x.shape[0], groups, -1)
        centred = rows - rows.mean(-1, keepdims=True)
        square = (centred * centred).mean(-1, keepdims=True)
        inverse = jax.lax.rsqrt(square + 1e-5)
        return (centred * inverse).reshape(x.shape), inverse[..., None]

    def channels(gain, x):
        return gain.reshape(-1, *[1] * (x.ndim - 2))

    def plain(x, gain, bias, groups):
        return normed(x, groups)[0] * channels(gain, x) + channels(bias, x)

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, gain, bias, groups):
        return plain(x, gain, bias, groups), (x, gain)

    def bwd(groups, res, g):
        x, gain = res
        n, inverse = normed(x, groups)
        size = x.shape[-1] if slip else x[0, 0].size
        flat = [a.reshape(*x.shape[:2], -1) for a in (g, n)]
        g_rows, n_rows = (a[..., :size] for a in flat)
        dgain, dbias = (g_rows * n_rows).sum((0, 2)), g_rows.sum((0, 2))

        def grouped(a):
            return a.reshape(x.shape[0], groups, -1, a.shape[-1])

        dn = grouped(g_rows * gain[:, None])
        count = size * x.shape[1] // groups
        mean = dn.sum((2, 3), keepdims=True) / count
        along = (dn * grouped(n_rows)).sum((2, 3), keepdims=True) / count
        every = grouped(flat[0] * gain[:, None])
        dx = inverse * (every - mean - grouped(flat[1]) * along)
        return dx.reshape(x.shape), dgain, dbias

    norm.defvjp(fwd, bwd)
    return norm, plain


@case(
    "modelscope/ms-swift#10081",
    "contrastive loss",
    lambda rng: (normal(rng, 2, 3, 6, std=0.4), normal(rng, 2, 3, 6, std=0.4), 0.1),
    Twin(
        "as reported",
        "ratio|factor",
        "queries keys",
        "The mean over devices divides gradients that belong to one device each.",
    ),
    kind="bug",
    name="distributed_info_nce ms-swift#10081",
    scales=(0.1, 1.0, 3.0),
)
def distributed_info_nce(slip):
    def scores(queries, keys, temperature):
        flat = (a.reshape(-1, a.shape[-1]) for a in (queries, keys))
        q, k = flat
        return q, k, q @ k.T / temperature

    def plain(queries, keys, temperature):
        *_, s = scores(queries, keys, temperature)
        return -jnp.diagonal(jax.nn.log_softmax(s)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(queries, keys, temperature):
        return plain(queries, keys, temperature), (queries, keys)

    def bwd(temperature, res, g):
        queries, keys = res
        q, k, s = scores(queries, keys, temperature)
        ds = jax.nn.softmax(s) - jnp.eye(s.shape[0], dtype=s.dtype)
        ds = g * ds / (s.shape[0] * temperature)
        if slip:
            ds = ds / queries.shape[0]
        return (ds @ k).reshape(queries.shape), (ds.T @ q).reshape(keys.shape)

    loss.defvjp(fwd, bwd)
    return loss, plain

"""Bugs of layers with their threads: windows, counts, thresholds, gates, statistics."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "ahrefs/ocannl#512",
    "pooling",
    lambda rng: (normal(rng, 2, 7), jnp.zeros(2), 1),
    Twin(
        "as reported",
        "index|region|mask|duplicates|residual",
        "x",
        "Who won is kept by input; of windows that overlap the last one tells.",
    ),
    kind="bug",
    name="max_window ocannl#512",
    fixed=(1,),
)
def max_window(slip):
    def windows(x, kernel, stride):
        count = (x.shape[-1] - len(kernel)) // stride + 1
        place = jnp.arange(count)[:, None] * stride + jnp.arange(len(kernel))
        moved = x[..., place] + kernel
        return place, moved, jnp.argmax(moved, -1)

    def plain(x, kernel, stride):
        _, moved, best = windows(x, kernel, stride)
        return jnp.take_along_axis(moved, best[..., None], -1)[..., 0]

    pool = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, kernel, stride):
        return plain(x, kernel, stride), (x, kernel)

    def bwd(stride, res, g):
        x, kernel = res
        place, _, best = windows(x, kernel, stride)
        won = best[..., None] == jnp.arange(len(kernel))
        dkernel = jnp.where(won, g[..., None], 0)
        if slip:
            gate = jnp.zeros(x.shape, bool)
            for window in range(len(place)):
                gate = gate.at[..., place[window]].set(won[..., window, :])
            won = gate[..., place]
        dx = jnp.zeros_like(x).at[..., place].add(jnp.where(won, g[..., None], 0))
        return dx, dkernel.sum(tuple(range(dkernel.ndim - 1)))

    pool.defvjp(fwd, bwd)
    return pool, plain


def by_frequency(args, dy):
    """Gradients of a row divided by how often it is read."""
    table, ids = args
    hot = jax.nn.one_hot(ids, len(table), dtype=dy.dtype)
    count = hot.sum((0, 1))
    total = jnp.einsum("blv,bd->vd", hot, dy)
    return total / jnp.maximum(count, 1)[:, None], None


@case(
    "pytorch/pytorch#190063",
    "embedding",
    lambda rng: (normal(rng, 4, 3), jnp.array([[1, 1, 3]], jnp.int32)),
    Twin(
        "as reported",
        "index|operand|factor|ratio|duplicates",
        "table",
        "The count is looked up at the number of the group, not at its row.",
    ),
    kind="bug",
    name="frequency_scaled_bag pytorch#190063",
    options=lambda plain: {"surrogate": by_frequency},
)
def frequency_scaled_bag(slip):
    @jax.custom_vjp
    def bag(table, ids):
        return table[ids].sum(1)

    def fwd(table, ids):
        return bag.fun(table, ids), (ids, jnp.zeros((len(table), 0), table.dtype))

    def bwd(res, g):
        ids, like = res
        rows, flat = len(like), ids.ravel()
        counts = jnp.zeros(rows, int).at[flat].add(1)
        own = counts
        if slip:
            group = jnp.cumsum(counts > 0) - 1
            own = counts[jnp.sort(flat)[jnp.maximum(group, 0)]]
        share = 1 / jnp.maximum(own, 1)[ids].astype(like.dtype)
        each = share[..., None] * g[:, None]
        dtable = jnp.zeros((rows, g.shape[-1]), like.dtype)
        return dtable.at[ids].add(each), None

    bag.defvjp(fwd, bwd)
    return bag, bag.fun


@case(
    "pytorch/pytorch#55587",
    "activation with options",
    lambda rng: (normal(rng, 4, 8), 1.0, 1.0),
    Twin(
        "as reported",
        "mask|region|predicate|operand|residual",
        "x",
        "The backward compares the output with the threshold, the forward the input.",
    ),
    kind="bug",
    name="softplus pytorch#55587",
)
def softplus(slip):
    def plain(x, beta, threshold):
        soft = jnp.logaddexp(beta * x, 0) / beta
        return jnp.where(beta * x > threshold, x, soft)

    act = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, beta, threshold):
        y = plain(x, beta, threshold)
        return y, (x, y)

    def bwd(beta, threshold, res, g):
        x, y = res
        linear = beta * (y if slip else x) > threshold
        return (jnp.where(linear, g, g * jax.nn.sigmoid(beta * x)),)

    act.defvjp(fwd, bwd)
    return act, plain


def gated_args(rng):
    k, v = draw(k=(6, 2, 3), v=(6, 2, 4))(rng)
    return k, v, -positive(rng, 6, 2, 3, low=0.02, high=0.3), 2


@case(
    "fla-org/flash-linear-attention#1115",
    "delta rule",
    gated_args,
    Twin(
        "as reported",
        "index|operand|region|residual",
        "k v gate",
        "The gates of the first head decay the cotangents of every head's state.",
    ),
    kind="bug",
    name="gated_delta_states flash-linear-attention#1115",
    fixed=(2,),
)
def gated_delta_states(slip):
    def chunks(x, size):
        return x.reshape(-1, size, *x.shape[1:])

    def plain(k, v, gate, size):
        def step(state, chunk):
            k, v, kept = chunk
            decayed = k * jnp.exp(kept[-1] - kept)
            add = jnp.einsum("thk,thv->hkv", decayed, v)
            return jnp.exp(kept[-1])[..., None] * state + add, state

        kept = jnp.cumsum(chunks(gate, size), 1)
        start = jnp.zeros((k.shape[1], k.shape[2], v.shape[2]), k.dtype)
        last, states = lax.scan(step, start, (chunks(k, size), chunks(v, size), kept))
        return states, last

    scan = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(k, v, gate, size):
        states, last = plain(k, v, gate, size)
        return (states, last), (k, v, gate, states)

    def bwd(size, res, g):
        k, v, gate, states = res
        dstates, dlast = g
        kept = jnp.cumsum(chunks(gate, size), 1)

        def step(dnew, chunk):
            k, v, kept, state, dstate = chunk
            decay = jnp.exp(kept[-1])
            since = jnp.exp(kept[-1] - kept)
            dk = jnp.einsum("hkv,thv->thk", dnew, v) * since
            dv = jnp.einsum("hkv,thk->thv", dnew, k * since)
            dkept = -dk * k
            at_end = (dk * k).sum(0) + (dnew * state).sum(-1) * decay
            dgate = lax.cumsum(dkept.at[-1].add(at_end), reverse=True)
            if slip:
                decay = decay[:1]
            return decay[..., None] * dnew + dstate, (dk, dv, dgate)

        parts = (chunks(k, size), chunks(v, size), kept, states, dstates)
        grads = lax.scan(step, dlast, parts, reverse=True)[1]
        return tuple(d.reshape(-1, *d.shape[2:]) for d in grads)

    scan.defvjp(fwd, bwd)
    return scan, plain


def frozen_args(rng):
    statistics = {"mean": 0.3 * normal(rng, 5), "var": positive(rng, 5)}
    return normal(rng, 4, 5, 3), statistics, jnp.ones(5), jnp.zeros(5), 1e-5


@case(
    "pytorch/xla#913",
    "normalisation with running statistics",
    frozen_args,
    Twin(
        "as reported",
        "term|function|path|sum",
        "x",
        "In evaluation dx is what it is in training, less means over the batch.",
    ),
    kind="bug",
    name="frozen_batchnorm xla#913",
    options=lambda plain: {"nondiff": ("statistics",)},
    fixed=(1, 2, 3),
)
def frozen_batchnorm(slip):
    def broad(a):
        return a[None, :, None]

    def plain(x, statistics, gain, bias, eps):
        root = lax.rsqrt(statistics["var"] + eps)
        normed = (x - broad(statistics["mean"])) * broad(root)
        return normed * broad(gain) + broad(bias)

    norm = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, statistics, gain, bias, eps):
        return plain(x, statistics, gain, bias, eps), (x, statistics, gain)

    def bwd(eps, res, g):
        x, statistics, gain = res
        root = broad(lax.rsqrt(statistics["var"] + eps))
        normed = (x - broad(statistics["mean"])) * root
        dnormed = g * broad(gain)
        if slip:
            along = normed * (dnormed * normed).mean((0, 2), keepdims=True)
            dnormed = dnormed - dnormed.mean((0, 2), keepdims=True) - along
        still = jax.tree.map(jnp.zeros_like, statistics)
        return dnormed * root, still, (g * normed).sum((0, 2)), g.sum((0, 2))

    norm.defvjp(fwd, bwd)
    return norm, plain

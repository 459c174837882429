"""Layers over graphs, masks and lists of neighbours."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def batched_graphs(rng):
    ones = jnp.ones(3, jnp.float32)
    params = {"shift": ones, "scale": ones, "bias": 0 * ones}
    segments = jnp.array([0, 0, 1, 1, 1, 2, 2], jnp.int32)
    return params, normal(rng, 7, 3), segments, 3


@case(
    "GraphNorm over jraph's batched graphs",
    "normalisation within segments",
    batched_graphs,
    Twin(
        "mean of the graph",
        "term|path",
        "x",
        "The mean that is taken away is held fixed.",
    ),
    Twin(
        "one size for all graphs",
        "ratio|factor|operand|sum",
        "x",
        "Sums over graphs are divided by the average number of nodes.",
    ),
    Twin("sign of the shift", "sign", "params", "The learned share of the mean."),
)
def graph_norm(slip):
    eps = 1e-5

    def mean(x, segments, count, slip=""):
        sums = jax.ops.segment_sum(x, segments, count)
        sizes = jax.ops.segment_sum(jnp.ones_like(segments), segments, count)
        sizes = jnp.maximum(sizes, 1).astype(x.dtype)[:, None]
        if slip == "one size for all graphs":
            sizes = len(x) / count
        return (sums / sizes)[segments]

    def normalised(params, x, segments, count):
        mu = mean(x, segments, count)
        out = x - params["shift"] * mu
        inverse = lax.rsqrt(mean(out * out, segments, count) + eps)
        return mu, inverse, out * inverse

    def plain(params, x, segments, count):
        h = normalised(params, x, segments, count)[2]
        return params["scale"] * h + params["bias"]

    norm = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, x, segments, count):
        mu, inverse, h = normalised(params, x, segments, count)
        y = params["scale"] * h + params["bias"]
        return y, (params, segments, mu, inverse, h)

    def bwd(count, res, g):
        params, segments, mu, inverse, h = res
        dh = g * params["scale"]
        dout = inverse * (dh - h * mean(dh * h, segments, count, slip))
        dx = dout
        if slip != "mean of the graph":
            dx = dx - params["shift"] * mean(dout, segments, count, slip)
        dshift = (dout * mu).sum(0)
        dshift = dshift if slip == "sign of the shift" else -dshift
        grads = {"shift": dshift, "scale": (g * h).sum(0), "bias": g.sum(0)}
        return grads, dx, None

    norm.defvjp(fwd, bwd)
    return norm, plain


def advantages(padding, shift):
    def args(rng):
        mask = jnp.ones((3, 4), bool).at[:, 4 - padding :].set(False)
        return normal(rng, 3, 4), mask, shift

    return args


@case(
    "whitening of masked advantages in RLHF trainers",
    "normalisation with a mask",
    advantages(0, True),
    Twin(
        "size for count",
        "ratio|factor|operand|sum",
        "x",
        "Sums over the mask are divided by the size of the array.",
        witness=advantages(2, True),
    ),
    Twin(
        "padding",
        "mask|region|predicate",
        "x",
        "The gradient is not masked.",
        witness=advantages(2, True),
    ),
    Twin(
        "mean added back",
        "option|term|path",
        "x",
        "Where the mean is kept, its gradient is not.",
        witness=advantages(0, False),
    ),
    narrow=False,
)
def masked_whiten(slip):
    def moments(x, mask):
        m = mask.astype(x.dtype)
        count = jnp.maximum(m.sum(), 1)
        mean = (m * x).sum() / count
        var = (m * (x - mean) ** 2).sum() / count
        return m, count, mean, lax.rsqrt(var + 1e-8)

    def plain(x, mask, shift_mean):
        m, _, mean, inverse = moments(x, mask)
        return m * ((x - mean) * inverse + (0 if shift_mean else mean))

    whiten = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, mask, shift_mean):
        return plain(x, mask, shift_mean), (x, mask)

    def bwd(shift_mean, res, g):
        x, mask = res
        m, count, mean, inverse = moments(x, mask)
        if slip == "size for count":
            count = x.size
        dy = g if slip == "padding" else m * g
        h = m * (x - mean) * inverse
        level = dy.sum() / count
        dx = inverse * (dy - level - h * (dy * h).sum() / count)
        if not shift_mean and slip != "mean added back":
            dx = dx + level
        return dx if slip == "padding" else m * dx, None

    whiten.defvjp(fwd, bwd)
    return whiten, plain


def neighbours(padded):
    def args(rng):
        ids = integers(rng, 5, 5, 3)
        return normal(rng, 5, 2), ids.at[1:4, 3 - padded :].set(-1)

    return args


@case(
    "means over lists of neighbours that are padded with -1, in jax-md style models",
    "gather of neighbours",
    neighbours(0),
    Twin(
        "set for add",
        "duplicates|index|sum",
        "x",
        "A node that is in several lists keeps one list's gradient.",
    ),
    Twin(
        "padding is the last node",
        "mask|region|predicate|index|edge",
        "x",
        "-1 counts from the end: the last node gets the padding's gradient.",
        witness=neighbours(1),
    ),
    Twin(
        "length of the lists",
        "ratio|factor|operand",
        "x",
        "Divided by the room for neighbours, not by their number.",
        witness=neighbours(2),
    ),
)
def padded_neighbour_mean(slip):
    def counts(ids, dtype):
        valid = ids >= 0
        return valid, jnp.maximum(valid.sum(1), 1).astype(dtype)[:, None]

    @jax.custom_vjp
    def mean(x, ids):
        valid, count = counts(ids, x.dtype)
        rows = jnp.where(valid[..., None], x[jnp.maximum(ids, 0)], 0)
        return rows.sum(1) / count

    def fwd(x, ids):
        return mean.fun(x, ids), (len(x), ids)

    def bwd(res, g):
        length, ids = res
        valid, count = counts(ids, g.dtype)
        if slip == "length of the lists":
            count = ids.shape[1]
        rows = jnp.broadcast_to((g / count)[:, None], (*ids.shape, g.shape[1]))
        if slip != "padding is the last node":
            rows = jnp.where(valid[..., None], rows, 0)
            ids = jnp.maximum(ids, 0)
        none = jnp.zeros((length, g.shape[1]), g.dtype).at[ids]
        return none.set(rows) if slip == "set for add" else none.add(rows), None

    mean.defvjp(fwd, bwd)
    return mean, mean.fun

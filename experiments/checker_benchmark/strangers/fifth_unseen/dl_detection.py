"""Matching and detection, and adapters that are chosen for each request."""

import math

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def requests(ids):
    def args(rng):
        adapters = {
            "a": normal(rng, 3, 5, 2, std=0.4),
            "b": normal(rng, 3, 2, 4, std=0.4),
            "scale": jnp.array([2.0, 2.0, 1.0]),
        }
        return normal(rng, 5, 5), jnp.array(ids), normal(rng, 5, 4, std=0.4), adapters

    return args


@case(
    "adapters chosen for each request (S-LoRA, Punica) in JAX serving, tuned together",
    "low-rank adapter",
    requests([0, 2, 1, 0, 2]),
    Twin(
        "same adapter twice",
        "duplicates|index",
        "adapters",
        "An adapter that several requests use keeps the gradient of the last.",
    ),
    Twin(
        "requests without adapter",
        "mask|region|predicate|index",
        "adapters x",
        "A request without adapter, -1, is pulled back through the last one.",
        witness=requests([0, -1, 1, 0, 2]),
    ),
    Twin(
        "scale of the first matrix",
        "ratio|factor",
        "adapters",
        "The first matrix gets its gradient without the adapter's scale.",
    ),
)
def multi_adapter_dense(slip):
    def chosen(ids, adapters):
        a, b, scale = (adapters[name][ids] for name in ("a", "b", "scale"))
        return a, b, jnp.where(ids >= 0, scale, 0)

    @jax.custom_vjp
    def dense(x, ids, base, adapters):
        def one(row, a, b, scale):
            return scale * (row @ a @ b)

        return x @ base + jax.vmap(one)(x, *chosen(ids, adapters))

    def fwd(x, ids, base, adapters):
        return dense.fun(x, ids, base, adapters), (x, ids, base, adapters)

    def bwd(res, g):
        x, ids, base, adapters = res
        a, b, scale = chosen(ids, adapters)
        used = ids >= 0
        if slip == "requests without adapter":
            scale, used = adapters["scale"][ids], jnp.ones_like(used)

        def one(row, dy, a, b, scale, used):
            inner = row @ a
            dinner = dy @ b.T
            dscale = jnp.where(used, inner @ dinner, 0)
            first = dinner if slip == "scale of the first matrix" else scale * dinner
            da, db = jnp.outer(row, first), jnp.outer(inner, scale * dy)
            return scale * dinner @ a.T, {"a": da, "b": db, "scale": dscale}

        dx, each = jax.vmap(one)(x, g, a, b, scale, used)

        def scatter(like, rows):
            at = jnp.zeros_like(like).at[ids]
            return at.set(rows) if slip == "same adapter twice" else at.add(rows)

        grads = jax.tree.map(scatter, adapters, each)
        return dx + g @ base.T, None, x.T @ g, grads

    dense.defvjp(fwd, bwd)
    return dense, dense.fun


@case(
    "correlation volumes of FlowNet and PWC-Net in JAX ports, over displacements",
    "matching",
    lambda rng: (normal(rng, 4, 5, 3), normal(rng, 4, 5, 3), 1),
    Twin(
        "displacement",
        "index|sign|region|transpose",
        "second",
        "The second features' cotangents are moved the way the forward moves them.",
    ),
    Twin(
        "channels",
        "ratio|factor|constant",
        "first second",
        "The mean over the channels is pulled back as a sum.",
    ),
    Twin(
        "border",
        "region|mask|edge|predicate|index",
        "first second",
        "Features beyond the border come in again from the other side.",
    ),
)
def correlation_volume(slip):
    def moved(x, dy, dx):
        """x at (row + dy, column + dx), zeros outside."""
        h, w, _ = x.shape
        if slip == "border":
            return jnp.roll(x, (-dy, -dx), (0, 1))
        reach = max(abs(dy), abs(dx))
        padded = jnp.pad(x, ((reach, reach), (reach, reach), (0, 0)))
        top, left = reach + dy, reach + dx
        return padded[top : top + h, left : left + w]

    def shifts(reach):
        span = range(-reach, reach + 1)
        return [(dy, dx) for dy in span for dx in span]

    def plain(first, second, reach):
        h, w, _ = second.shape
        padded = jnp.pad(second, ((reach, reach), (reach, reach), (0, 0)))

        def at(dy, dx):
            top, left = reach + dy, reach + dx
            return (first * padded[top : top + h, left : left + w]).mean(-1)

        return jnp.stack([at(*shift) for shift in shifts(reach)], -1)

    correlate = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(first, second, reach):
        return plain(first, second, reach), (first, second)

    def bwd(reach, res, g):
        first, second = res
        if slip != "channels":
            g = g / first.shape[-1]
        dfirst, dsecond = jnp.zeros_like(first), jnp.zeros_like(second)
        for i, (dy, dx) in enumerate(shifts(reach)):
            each = g[..., i, None]
            dfirst = dfirst + each * moved(second, dy, dx)
            way = 1 if slip == "displacement" else -1
            dsecond = dsecond + moved(each * first, way * dy, way * dx)
        return dfirst, dsecond

    correlate.defvjp(fwd, bwd)
    return correlate, plain


def boxes(scale):
    def args(rng):
        corner, size = positive(rng, 5, 2), positive(rng, 5, 2)
        anchors = jnp.concatenate([corner, corner + size], -1)
        return normal(rng, 5, 4, std=scale), anchors, (10.0, 10.0, 5.0, 5.0)

    return args


@case(
    "torchvision's BoxCoder in JAX detectors: boxes from anchors and deltas",
    "detection",
    boxes(1.0),
    Twin(
        "clamped sizes",
        "mask|region|predicate",
        "deltas",
        "Deltas of sizes beyond the limit get gradients as if they were there.",
        witness=boxes(40.0),
    ),
    Twin(
        "weights of the deltas",
        "ratio|factor|option",
        "deltas",
        "The weights that divide the deltas are left out.",
    ),
    Twin(
        "half a side",
        "ratio|factor|constant",
        "deltas",
        "A corner is taken to move by a whole side where it moves by half.",
    ),
    options=lambda plain: {"nondiff": ("anchors",)},
    fixed=(1,),
)
def box_decode(slip):
    limit = math.log(1000 / 16)

    def parts(deltas, anchors, weights):
        low, high = jnp.split(anchors, 2, -1)
        moves, sizes = jnp.split(deltas / jnp.asarray(weights, deltas.dtype), 2, -1)
        return low, high - low, moves, sizes

    def plain(deltas, anchors, weights):
        low, size, moves, sizes = parts(deltas, anchors, weights)
        centre = low + size / 2 + moves * size
        half = size * jnp.exp(jnp.minimum(sizes, limit)) / 2
        return jnp.concatenate([centre - half, centre + half], -1)

    decode = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(deltas, anchors, weights):
        return plain(deltas, anchors, weights), (deltas, anchors)

    def bwd(weights, res, g):
        deltas, anchors = res
        _, size, _, sizes = parts(deltas, anchors, weights)
        dlow, dhigh = jnp.split(g, 2, -1)
        grown = size * jnp.exp(jnp.minimum(sizes, limit))
        dsizes = (dhigh - dlow) * grown
        if slip != "half a side":
            dsizes = dsizes / 2
        if slip != "clamped sizes":
            dsizes = jnp.where(sizes < limit, dsizes, 0)
        grads = jnp.concatenate([(dlow + dhigh) * size, dsizes], -1)
        if slip != "weights of the deltas":
            grads = grads / jnp.asarray(weights, grads.dtype)
        return grads, jnp.zeros_like(anchors)

    decode.defvjp(fwd, bwd)
    return decode, plain

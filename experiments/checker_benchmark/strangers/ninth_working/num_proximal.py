"""Proximal maps and projections with learned levels."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "firm thresholding of wavelet coefficients in JAX imaging (scico)",
    "shrinkage with two levels",
    draw(x=(6, 3), raw_level=(3,), raw_gap=(3,)),
    Twin(
        "slope of the middle",
        "factor|ratio|region",
        "x",
        "Between the levels the slope is 1, as in soft thresholding.",
    ),
    Twin(
        "upper level",
        "term|path",
        "raw_level",
        "The upper level moves with the lower one, which is left out.",
    ),
    Twin(
        "gap's square",
        "power|quotient|factor",
        "raw_gap",
        "The quotient rule divides by the gap once.",
    ),
)
def firm_threshold(slip):
    def levels(raw_level, raw_gap):
        return jax.nn.softplus(raw_level), jax.nn.softplus(raw_gap) + 0.05

    def plain(x, raw_level, raw_gap):
        level, gap = levels(raw_level, raw_gap)
        size = jnp.abs(x)
        middle = jnp.sign(x) * jax.nn.relu(size - level) * (level + gap) / gap
        return jnp.where(size > level + gap, x, middle)

    shrink = jax.custom_vjp(plain)

    def fwd(x, raw_level, raw_gap):
        return plain(x, raw_level, raw_gap), (x, raw_level, raw_gap)

    def bwd(res, g):
        x, raw_level, raw_gap = res
        level, gap = levels(raw_level, raw_gap)
        size = jnp.abs(x)
        inside = (size > level) & (size <= level + gap)
        steep = 1.0 if slip == "slope of the middle" else (level + gap) / gap
        dx = jnp.where(size > level + gap, g, jnp.where(inside, g * steep, 0))
        signed = jnp.where(inside, g * jnp.sign(x), 0)
        over = size - level
        dlevel = -signed * (level + gap) / gap
        if slip != "upper level":
            dlevel = dlevel + signed * over / gap
        below = gap if slip == "gap's square" else gap * gap
        dgap = -signed * over * level / below
        dlevel, dgap = (a.reshape(-1, *level.shape).sum(0) for a in (dlevel, dgap))
        up, wide = jax.nn.sigmoid(raw_level), jax.nn.sigmoid(raw_gap)
        return dx, dlevel * up, dgap * wide

    shrink.defvjp(fwd, bwd)
    return shrink, plain


def rows_and_step(rng):
    return normal(rng, 4, 5), jnp.asarray([0.7, 1.5, 0.2, 40.0], jnp.float32)


@case(
    "prox of the largest absolute value in proximal libraries (pyproximal, jaxopt)",
    "proximal operator by rows",
    rows_and_step,
    Twin(
        "signs of the largest",
        "sign",
        "x step",
        "The bound's cotangent is summed without the entries' signs.",
    ),
    Twin(
        "bound held",
        "term|path|zero",
        "x step",
        "The entries at the bound get nothing, as if the bound did not move.",
    ),
    Twin(
        "shared by all",
        "ratio|factor|index",
        "x",
        "The bound's cotangent is divided by the row's length.",
    ),
)
def linf_prox(slip):
    def bound(x, step):
        sizes = -jnp.sort(-jnp.abs(x), -1)
        over = jnp.cumsum(sizes, -1) - step[..., None]
        k = jnp.arange(1, x.shape[-1] + 1)
        count = jnp.maximum((sizes * k > over).sum(-1, keepdims=True), 1)
        return jnp.take_along_axis(over, count - 1, -1) / count.astype(x.dtype)

    def plain(x, step):
        most = bound(x, step)
        clipped = jnp.where(most > 0, jnp.clip(x, -most, most), 0)
        return jnp.where(step[..., None] > 0, clipped, x)

    prox = jax.custom_vjp(plain)

    def fwd(x, step):
        return plain(x, step), (x, bound(x, step), step > 0)

    def bwd(res, g):
        x, most, moves = res
        top = (jnp.abs(x) > most) & (most > 0)
        way = jnp.ones_like(x) if slip == "signs of the largest" else jnp.sign(x)
        dmost = jnp.where(top, g * way, 0).sum(-1, keepdims=True)
        number = jnp.maximum(top.sum(-1, keepdims=True), 1).astype(x.dtype)
        if slip == "bound held":
            dmost = jnp.zeros_like(dmost)
        share = dmost / (x.shape[-1] if slip == "shared by all" else number)
        dx = jnp.where(top, share * jnp.sign(x), jnp.where(most > 0, g, 0))
        dstep = jnp.where(moves, -(dmost / number)[..., 0], 0)
        return jnp.where(moves[..., None], dx, g), dstep

    prox.defvjp(fwd, bwd)
    return prox, plain


def grouped(rng):
    groups = jnp.asarray([0, 1, 0, 2, 1, 3, 0, 3], jnp.int32)
    x = 2 * normal(rng, 8)
    return x, groups, {"one": normal(rng, mean=-1), "two": normal(rng, mean=-1)}, 4


@case(
    "sparse group lasso's proximal operator in jaxopt-style solvers",
    "proximal operator with groups",
    grouped,
    Twin(
        "length of the group",
        "term|path",
        "x levels",
        "The shrinking factor of a group is held.",
    ),
    Twin(
        "entries at zero",
        "mask|region",
        "x",
        "Entries that the first threshold set to zero pass the gradient.",
    ),
    Twin(
        "second level by entries",
        "factor|ratio|sum",
        "levels",
        "The second level's gradient lacks the division by the group's length.",
    ),
)
def sparse_group_lasso_prox(slip):
    def pieces(x, groups, levels, count):
        one, two = (jax.nn.softplus(levels[k]) for k in ("one", "two"))
        s = jnp.sign(x) * jax.nn.relu(jnp.abs(x) - one)
        square = jax.ops.segment_sum(s * s, groups, count)
        length = jnp.sqrt(jnp.where(square > 0, square, 1))
        live = (square > 0) & (length > two)
        known = (groups >= 0) & (groups < count)
        return s, one, two, live[groups] & known, length[groups]

    def plain(x, groups, levels, count):
        s, _, two, live, length = pieces(x, groups, levels, count)
        return jnp.where(live, s * (1 - two / length), 0)

    prox = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, groups, levels, count):
        return plain(x, groups, levels, count), (x, groups, levels)

    def bwd(count, res, g):
        x, groups, levels = res
        s, one, two, live, length = pieces(x, groups, levels, count)
        g = jnp.where(live, g, 0)
        unit = s / length
        along = jax.ops.segment_sum(g * unit, groups, count)[groups]
        ds = g * (1 - two / length)
        if slip != "length of the group":
            ds = ds + jnp.where(live, two / length * unit * along, 0)
        by = s if slip == "second level by entries" else unit
        dtwo = -(g * by).sum()
        kept = jnp.abs(x) > one
        dx = jnp.where(kept, ds, 0)
        done = -(dx * jnp.sign(x)).sum()
        dlevels = {
            "one": done * jax.nn.sigmoid(levels["one"]),
            "two": dtwo * jax.nn.sigmoid(levels["two"]),
        }
        return (ds if slip == "entries at zero" else dx), None, dlevels

    prox.defvjp(fwd, bwd)
    return prox, plain


@case(
    "projection onto a weighted simplex in jaxopt-style budget problems",
    "projection",
    draw(x=(3, 5), raw=(5,)),
    Twin(
        "weights once",
        "term|factor|path",
        "raw",
        "The multiplier's dependence on the weights is left out.",
    ),
    Twin(
        "plain simplex",
        "factor|operand|ratio",
        "x",
        "The mean of the active cotangents is subtracted, without the weights.",
    ),
    Twin(
        "inactive entries",
        "mask|region",
        "x raw",
        "Entries that are at zero take part in the backward pass.",
    ),
)
def weighted_simplex_projection(slip):
    def multiplier(x, w):
        order = jnp.argsort(-x / w, -1)
        xs = jnp.take_along_axis(x, order, -1)
        ws = jnp.take_along_axis(jnp.broadcast_to(w, x.shape), order, -1)
        theta = (jnp.cumsum(ws * xs, -1) - 1) / jnp.cumsum(ws * ws, -1)
        last = (xs > theta * ws).sum(-1, keepdims=True) - 1
        return jnp.take_along_axis(theta, last, -1)

    def plain(x, raw):
        w = jax.nn.softplus(raw) + 0.1
        return jax.nn.relu(x - multiplier(x, w) * w)

    project = jax.custom_vjp(plain)

    def fwd(x, raw):
        y = plain(x, raw)
        return y, (x, raw, y > 0)

    def bwd(res, g):
        x, raw, active = res
        w = jax.nn.softplus(raw) + 0.1
        theta = multiplier(x, w)
        if slip == "inactive entries":
            active = jnp.ones_like(active)
        g = jnp.where(active, g, 0)
        square = jnp.where(active, w * w, 0).sum(-1, keepdims=True)
        dtheta = -(g * w).sum(-1, keepdims=True) / square
        dx = g + jnp.where(active, dtheta * w, 0)
        if slip == "plain simplex":
            mean = g.sum(-1, keepdims=True) / active.sum(-1, keepdims=True)
            dx = jnp.where(active, g - mean, 0)
        dw = -theta * g
        if slip != "weights once":
            dw = dw + jnp.where(active, dtheta * (x - 2 * theta * w), 0)
        return dx, dw.reshape(-1, *raw.shape).sum(0) * jax.nn.sigmoid(raw)

    project.defvjp(fwd, bwd)
    return project, plain

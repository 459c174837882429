"""Attention's walks over blocks of scores: the sums of attention.py, added up in place.

A block is of some keys s and some queries t. Forward, along a row of blocks, lse is not
known before a query's last key: so m = max z is carried, as it is so far, and with it
the sums of e^(z - m) and v e^(z - m), which shrink by e^(m - new m) where m grows:

    y[t] = sum_s v e^(z - m) / sum_s e^(z - m)       log_sum[t] = log sum_s e^(z - m)

Backward, along a column of blocks, each block of p is made again and adds its part:

    p = e^(z - m - log_sum)           dz = p (v dy.T - sum dy y)          w = slope dz
    dv += p dy        dk += w q        dq.T += k.T w        dbias += dz

Blocks are held as [s, t], and what belongs to queries as columns, q.T and dy.T: then no
product of the backward pass sums over the rows of a matrix, which is slow on a CPU, and
both passes, doing alike, round a score alike.

Which blocks there are, and how they are cut out, is blocks.py's.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from jaxninja.rule import in_one_program, on_auto_axes, sharding, wide, wide_type
from jaxninja.rules.sequence.blocks import cut


def forward(q, k, v, bias, options):
    """y [B, T, H, E], m and log_sum [B, T, H, 1]."""
    grid = cut(q, k, options.causal, options.window)
    where = (sharding(q, 3),) * 3
    return on_auto_axes(_forward, where, q, k, v, bias, options=options, grid=grid)


def backward(res, dy, options):
    """dq, dk, dv and dbias, shaped as these are; None if bias is None or a mask."""
    q, k, v, bias, *_ = res
    grid = cut(q, k, options.causal, options.window)
    where = [None if zero_sum(a) is None else sharding(a) for a in (q, k, v, bias)]
    return on_auto_axes(_backward, tuple(where), res, dy, options=options, grid=grid)


def move(res, tangents, options):
    """dy [B, T, H, E] for moves of q, k, v and bias."""
    grid, where = cut(res.q, res.k, options.causal, options.window), sharding(res.y)
    return on_auto_axes(_move, where, res, tangents, options=options, grid=grid)


@in_one_program("options", "grid")
def _forward(q, k, v, bias, options, grid):
    """y, m and log_sum, along one row of blocks after the other."""
    zeros, E = partial(jnp.zeros_like, q, dtype=wide_type(q)), v.shape[-1]
    least = float(jnp.finfo(wide_type(q)).min)  # not -inf: -inf - -inf would be NaN
    m, total, weighted = (zeros(shape=grid.block_of(n)) for n in (1, 1, E))
    nothing = m + least, total, weighted

    def here(kept, place):
        qT, vT = grid.query_columns(q, place), grid.key_columns(v, place)
        k_rows = grid.key_rows(k, place)

        def step(state, at):
            softmax, *rows = state
            softmax = jax.tree.map(partial(jnp.where, at.new == 1), nothing, softmax)
            tile, seen = grid.tile(bias, place, at), grid.seen(at)
            k_s, qT_t = grid.keys(k_rows, at, -2), grid.queries(qT, at, -1)
            z, _ = scores(k_s, qT_t, tile, seen, options)
            softmax = m, total, weighted = extended(softmax, z, grid.keys(vT, at, -1))
            some = jnp.where(total > 0, total, 1)
            done = weighted / some, m, jnp.log(some)
            put = map(partial(grid.put_columns, at=at), rows, done)
            return softmax, *put  # after each block: what a row's last one puts stays

        rows = (zeros(shape=grid.columns_of(n)) for n in (E, 1, 1))
        _, *rows = grid.walk("row", step, (nothing, *rows))
        return [*map(partial(grid.put_queries, place=place), kept, rows)]

    y, *kept = (zeros(shape=(*q.shape[:3], n)) for n in (E, 1, 1))
    return tuple(grid.everywhere(here, [y.astype(q.dtype), *kept]))


def extended(softmax, z, vT):
    """m = max z, sum e^(z - m) and sum v e^(z - m) for each t, over more keys s now."""
    m, total, weighted = softmax
    top = jnp.maximum(m, z.max(-2, keepdims=True))
    p, shrink = jnp.exp(z - top), jnp.exp(m - top)
    total = shrink * total + p.sum(-2, keepdims=True)
    return top, total, shrink * weighted + product(vT, p)


@in_one_program("options", "grid")
def _backward(res, dy, options, grid):
    """dq, dk, dv and dbias, along one column of blocks [s, t] after the other."""
    q, k, v, bias, y, m, log_sum = res

    def here(state, place):
        of_queries = q, dy, y, m, log_sum
        qT, dyT, yT, *of_t = (grid.query_columns(a, place) for a in of_queries)
        dy_y = wide(dyT) * wide(yT)
        of_t.append(dy_y.sum(2, keepdims=True))
        q_rows, dy_rows = grid.query_rows(q, place), grid.query_rows(dy, place)
        k_rows, v_rows = grid.key_rows(k, place), grid.key_rows(v, place)
        kT = grid.key_columns(k, place)

        def step(state, at):
            dqT, dk, dv, dbias = state
            k_s, v_s = grid.keys(k_rows, at, -2), grid.keys(v_rows, at, -2)
            q_t, dy_t = grid.queries(q_rows, at, -2), grid.queries(dy_rows, at, -2)
            qT_t, dyT_t, *rows = (grid.queries(a, at, -1) for a in (qT, dyT, *of_t))
            m, log_sum, dy_y = rows
            tile, seen = grid.tile(bias, place, at), grid.seen(at, once=True)
            z, slope = scores(k_s, qT_t, tile, seen, options)
            p = jnp.exp(z - m - log_sum)
            dz = p * (product(v_s, dyT_t) - dy_y)
            w = slope * dz
            dqT = grid.add_columns(dqT, product(grid.keys(kT, at, -1), w), at)
            dk = grid.add_keys(dk, product(w, q_t), at)
            dv = grid.add_keys(dv, product(p, dy_t), at)
            return dqT, dk, dv, grid.add_tile(dbias, dz, place, at)

        *d, dbias = state
        start = *map(zero_sum, (qT, k_rows, v_rows)), dbias
        *sums, dbias = grid.walk("column", step, start)
        put = grid.put_queries, grid.put_keys, grid.put_keys
        return *(f(*a, place) for f, *a in zip(put, d, sums, strict=True)), dbias

    state = *map(jnp.zeros_like, (q, k, v)), zero_sum(bias)
    *d, dbias = grid.everywhere(here, state)
    return *d, None if dbias is None else dbias.astype(bias.dtype)


@in_one_program("options", "grid")
def _move(res, tangents, options, grid):
    """dy for moves of q, k, v and bias, along one row of blocks after the other."""
    q, k, v, bias, y, m, log_sum = res
    dq, dk, dv, dbias = tangents

    def here(moved, place):
        of_t = [grid.query_columns(a, place) for a in (q, dq, m, log_sum)]
        k_rows, dk_rows = grid.key_rows(k, place), grid.key_rows(dk, place)
        vT, dvT = grid.key_columns(v, place), grid.key_columns(dv, place)
        yT = grid.query_columns(y, place).astype(wide_type(y))

        def step(state, at):
            mean_dz, dyT = state
            qT_t, dqT_t, m, log_sum = (grid.queries(a, at, -1) for a in of_t)
            k_s, dk_s = grid.keys(k_rows, at, -2), grid.keys(dk_rows, at, -2)
            tile, seen = grid.tile(bias, place, at), grid.seen(at, once=True)
            z, slope = scores(k_s, qT_t, tile, seen, options)
            p = jnp.exp(z - m - log_sum)
            dz = slope * (product(dk_s, qT_t) + product(k_s, dqT_t))
            if dbias is not None:
                dz += grid.tile(dbias, place, at).astype(dz.dtype)
            p_dz = p * dz
            mean_dz = grid.add_columns(mean_dz, p_dz.sum(-2, keepdims=True), at)
            more = product(grid.keys(vT, at, -1), p_dz)
            more += product(grid.keys(dvT, at, -1), p)
            return mean_dz, grid.add_columns(dyT, more, at)

        start = zero_sum(of_t[-1]), zero_sum(yT)
        mean_dz, dyT = grid.walk("row", step, start)
        return grid.put_queries(moved, dyT - yT * mean_dz, place)

    return grid.everywhere(here, jnp.zeros_like(y))


def scores(k, qT, bias, seen, options):
    """z [..., s, t] of k [..., s, D] and q.T [..., D, t], and its slope dz / d(k.q)."""
    scale = 1 / math.sqrt(k.shape[-1]) if options.scale is None else options.scale
    z, slope, cap = scale * product(k, qT), scale, options.softcap
    if cap is not None:
        z = cap * jnp.tanh(z / cap)
        slope = scale * (1 - (z / cap) ** 2)
    if bias is not None and bias.dtype == bool:
        seen = seen & bias
    elif bias is not None:
        z += bias.astype(z.dtype)
    return jnp.where(seen, z, -jnp.inf), slope


def product(a, b):
    """a @ b in the narrower type of the two, summed in float32 or better."""
    narrow = min(a.dtype, b.dtype, key=lambda dtype: dtype.itemsize)
    a, b = a.astype(narrow), b.astype(narrow)
    return jnp.matmul(a, b, preferred_element_type=wide_type(a))


def zero_sum(x):
    """Zeros to add up a gradient of x; None where there is none."""
    if x is None or not jnp.issubdtype(x.dtype, jnp.floating):
        return None
    return jnp.zeros_like(x, dtype=wide_type(x))

"""Attention: every query's mean of the values, weighted by its match with their keys.

    z[t, s] = scale q[t] . k[s]         or cap tanh(that / cap); -inf where t sees not s
    p[t, s] = e^(z[t, s] - lse[t])      lse[t] = log sum_s e^z[t, s] = m[t] + log_sum[t]
    y[t] = sum_s p[t, s] v[s]

Perturb. A row of p sums to 1, so lse moves by the mean of dz under p:

    dp[t, s] = p[t, s] (dz[t, s] - sum_s p dz)
    dy[t] = sum_s p (dz[t, s] v[s] + dv[s]) - y[t] sum_s p dz

Transpose, with dy a cotangent now: v[s] and z[t, s] receive what stands beside them,

    dv[s] = sum_t p dy[t]               dz[t, s] = p (dy[t] . v[s] - dy[t] . y[t])
    dq[t] = sum_s w k[s]                dk[s] = sum_t w q[t]

with w = scale dz, times the slope 1 - (z / cap)^2 of a cap; where several heads of q
share one of k and v, dk and dv are sums over these too. Each is a sum over t or s, and
given lse any block of p is made again: so the T x S numbers are never held, a walk
over blocks adds them up (blocks.py). lse needs a whole row: the forward pass carries
m = max z so far, and sums that shrink by e^(m - new m). Blocks are held as [s, t]: then
no product of the backward pass sums over the rows of a matrix, which is slow on a CPU,
and both passes, doing alike, round a score alike.

Check: a single key has p = 1, dz = 0, dv = dy. A row that sees no key has y = 0.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule, on_auto_axes, sharding, wide, wide_type
from jaxninja.rules.sequence.blocks import cut
from jaxninja.rules.sequence.definition import Options, check_arguments, defined


class Residuals(NamedTuple):
    q: jax.Array  # [B, T, H, D]
    k: jax.Array  # [B, S, K, D]
    v: jax.Array  # [B, S, K, E]
    bias: jax.Array | None  # that of attention_bias
    y: jax.Array  # [B, T, H, E]
    m: jax.Array  # [B, T, H, 1] max z; z and p, T x S numbers a head, are not kept
    log_sum: jax.Array  # [B, T, H, 1] log sum e^(z - m): m + log_sum would lose digits


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5, 6))
def attention(
    q: Float[Array, "B T H D"],
    k: Float[Array, "B S K D"],
    v: Float[Array, "B S K E"],
    causal: bool = True,
    window: int | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> Float[Array, "B T H E"]:
    """y = softmax(scale q . k) v, in memory that grows with T + S and not with T x S.

    Args:
        q: [B, T, H, D] queries.
        k: [B, S, K, D] keys. Each of the K heads serves H / K successive heads of
            queries: K = H is multi-head, K = 1 multi-query attention.
        v: [B, S, K, E] values.
        causal: query t sees the keys s <= t only, counted from 0 where T and S differ.
        window: query t sees the keys with |t - s| < window; None: at any distance.
        scale: of the scores; None: 1 / sqrt(D).
        softcap: scores become softcap tanh(scores / softcap); None leaves them.

    Returns:
        [B, T, H, E] in the type of q; 0 for a query that sees no key, which has no
        gradient. Smooth everywhere. Products are taken in the type of q, their sums and
        the exponentials in float32 or better.

    Raises:
        ValueError: shapes or types do not fit, or an option is out of its range.

    Source: Vaswani et al. 2017, arXiv:1706.03762; in blocks: Rabe, Staats 2021,
    arXiv:2112.05682, and Dao et al. 2022, arXiv:2205.14135; grouped queries: Ainslie
    et al. 2023, arXiv:2305.13245; soft cap: Gemma Team 2024, arXiv:2408.00118.
    """
    return attention_fwd(q, k, v, causal, window, scale, softcap)[0]


def attention_fwd(q, k, v, *static):
    options = Options(*static)
    check_arguments("attention", q, k, v, options)
    return forward(q, k, v, None, options)


def attention_bwd(causal, window, scale, softcap, res, dy):
    """Returns dq [B, T, H, D], dk [B, S, K, D], dv [B, S, K, E]."""
    options = Options(causal, window, scale, softcap)
    return backward(res, dy, options)[:3]


attention.defvjp(attention_fwd, attention_bwd)


def attention_jvp(causal, window, scale, softcap, primals, tangents):
    """Returns y and its move dy [B, T, H, E] for moves of q, k and v."""
    options = Options(causal, window, scale, softcap)
    y, res = attention_fwd(*primals, *options)
    return y, move(res, (*tangents, None), options)


def forward(q, k, v, bias, options):
    """y [B, T, H, E] and Residuals."""
    grid = cut(q, k, options.causal, options.window)
    walk = partial(_forward, options=options, grid=grid)
    y, m, log_sum = on_auto_axes(walk, (sharding(q, 3),) * 3, q, k, v, bias)
    return y, Residuals(q, k, v, bias, y, m, log_sum)


def backward(res, dy, options):
    """dq, dk, dv and dbias."""
    grid = cut(res.q, res.k, options.causal, options.window)
    walk = partial(_backward, options=options, grid=grid)
    q, k, v, bias, *_ = res
    where = [None if zero_sum(a) is None else sharding(a) for a in (q, k, v, bias)]
    return on_auto_axes(walk, tuple(where), res, dy)


def move(res, tangents, options):
    """dy for moves of q, k, v and bias."""
    grid = cut(res.q, res.k, options.causal, options.window)
    walk = partial(_move, options=options, grid=grid)
    return on_auto_axes(walk, sharding(res.y), res, tangents)


def in_one_program(walk):
    """Else each call outside jit would compile its loop anew."""
    return jax.jit(walk, static_argnames=("options", "grid"))


@in_one_program
def _forward(q, k, v, bias, options, grid):
    """y, m and log_sum, along one row of blocks after the other."""
    zeros, E = partial(jnp.zeros_like, q, dtype=wide_type(q)), v.shape[-1]
    least = float(jnp.finfo(wide_type(q)).min)  # not -inf: -inf - -inf would be NaN
    m, total, weighted = (zeros(shape=grid.block_of(n)) for n in (1, 1, E))
    nothing = m + least, total, weighted

    def here(kept, place):
        qT, k_rows, vT = (
            grid.query_columns(q, place),
            grid.key_rows(k, place),
            grid.key_columns(v, place),
        )

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


@in_one_program
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


@in_one_program
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


def plain(q, k, v, *static):
    """The plain form, which holds all scores: `jax.grad` of it judges the rule."""
    check_arguments("attention", q, k, v, Options(*static))
    return defined(q, k, v, None, Options(*static))


def example(key, B, T, S, K, G, D):
    keys = jax.random.split(key, 3)
    q = 1.5 * jax.random.normal(keys[0], (B, T, K * G, D))
    k, v = (0.3 + jax.random.normal(key, (B, S, K, D)) for key in keys[1:])
    return q, k, v


def sizes(*numbers):
    return dict(zip("BTSKGD", numbers, strict=True))


rule = Rule(
    op=attention,
    fwd=attention_fwd,
    bwd=attention_bwd,
    jvp=attention_jvp,
    example=example,
    reference=plain,
    cases=(
        Case(sizes(2, 7, 5, 1, 3, 4), (True, None, None, None)),
        Case(sizes(1, 129, 129, 2, 1, 3), (True, 50, None, None)),
        Case(sizes(2, 4, 9, 3, 2, 5), (False, 3, 0.7, 2.5)),
        Case(sizes(1, 1, 131, 1, 2, 2), (False, None, None, None)),
        Case(sizes(3, 6, 1, 1, 1, 1), (True, 2, None, 5.0)),
        Case(sizes(4, 4, 4, 4, 4, 4), (True, None, 0.5, None)),
    ),
    bench=Case(sizes(1, 1024, 1024, 4, 1, 64), (True, None, None, None)),
    source="Dao et al. 2022, arXiv:2205.14135",
)

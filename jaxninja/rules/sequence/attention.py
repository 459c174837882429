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

with w = scale dz, times the slope 1 - (z / cap)^2 of a cap. Each is a sum over t or s,
and given lse any block of p is made again: so the T x S numbers are never held, a walk
over blocks adds them up (blocks.py). lse needs a whole row: the forward pass carries
m = max z so far, and sums that shrink by e^(m - new m). Blocks are held as [s, t]: then
no product of the backward pass sums over the rows of a matrix, which is slow on a CPU,
and both passes, doing alike, round a score alike.

Check: a single key has p = 1, dz = 0, dv = dy. A row that sees no key has y = 0.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.sequence.blocks import cut
from jaxninja.rules.sequence.definition import Options, check_arguments, defined, wide


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
    return forward(q, k, v, None, options, cut(q, k, *static[:2]))


def attention_bwd(causal, window, scale, softcap, res, dy):
    """Returns dq [B, T, H, D], dk [B, S, K, D], dv [B, S, K, E]."""
    options = Options(causal, window, scale, softcap)
    return backward(res, dy, options, cut(res.q, res.k, causal, window))[:3]


attention.defvjp(attention_fwd, attention_bwd)


def attention_jvp(causal, window, scale, softcap, primals, tangents):
    """Returns y and its move dy [B, T, H, E] for moves of q, k and v."""
    options = Options(causal, window, scale, softcap)
    y, res = attention_fwd(*primals, *options)
    grid = cut(res.q, res.k, causal, window)
    return y, move(res, (*tangents, None), options, grid)


@partial(jax.jit, static_argnums=(4, 5))  # else each call outside jit compiles its loop
def forward(q, k, v, bias, options, grid):
    """y [B, T, H, E] and Residuals, along one row of blocks after the other."""
    zeros = partial(jnp.zeros_like, q, dtype=wide(q))
    least = float(jnp.finfo(wide(q)).min)  # not -inf: -inf - -inf would be NaN
    m, total, weighted = (
        turned(zeros(shape=grid.rows_of(n))) for n in (1, 1, v.shape[-1])
    )
    nothing = m + least, total, weighted

    def step(state, at):
        softmax, y, *kept = state
        softmax = jax.tree.map(partial(jnp.where, at.new), nothing, softmax)
        q_t, k_s, v_s = grid.queries(q, at), grid.keys(k, at), grid.keys(v, at)
        bias_st, seen = turned(grid.tile(bias, at)), turned(grid.seen(at))
        z, _ = scores(k_s, q_t, bias_st, seen, options)
        softmax = m, total, weighted = extended(softmax, z, turned(v_s))
        some = jnp.where(total > 0, total, 1)
        rows = (turned(a) for a in (weighted / some, m, jnp.log(some)))
        put = map(partial(grid.put_queries, at=at), (y, *kept), rows)
        return softmax, *put  # again after each block: what a row's last one puts stays

    y = jnp.zeros_like(q, shape=(*q.shape[:3], v.shape[-1]))
    kept = (zeros(shape=(*q.shape[:3], 1)),) * 2
    _, y, *kept = grid.walk("row", step, (nothing, y, *kept))
    return y, Residuals(q, k, v, bias, y, *kept)


def extended(softmax, z, v):
    """m = max z, sum e^(z - m) and sum v e^(z - m) for each t, over more keys s now."""
    m, total, weighted = softmax
    top = jnp.maximum(m, z.max(-2, keepdims=True))
    p, shrink = jnp.exp(z - top), jnp.exp(m - top)
    total = shrink * total + p.sum(-2, keepdims=True)
    return top, total, shrink * weighted + product(v, p)


@partial(jax.jit, static_argnums=(2, 3))
def backward(res, dy, options, grid):
    """dq, dk, dv and dbias, along one column of blocks [s, t] after the other."""
    q, k, v, bias, y, m, log_sum = res
    dy_y = (dy.astype(wide(q)) * y.astype(wide(q))).sum(-1, keepdims=True)

    def step(state, at):
        dq, dk, dv, dbias = state
        q_t, dy_t, *of_t = (grid.queries(a, at) for a in (q, dy, m, log_sum, dy_y))
        m_t, log_sum_t, dy_y_t = map(turned, of_t)
        k_s, v_s = grid.keys(k, at), grid.keys(v, at)
        bias_st, seen = turned(grid.tile(bias, at)), turned(grid.seen(at, once=True))
        z, slope = scores(k_s, q_t, bias_st, seen, options)
        p = jnp.exp(z - m_t - log_sum_t)
        dz = p * (product(v_s, turned(dy_t)) - dy_y_t)
        w = slope * dz
        dq = grid.add_queries(dq, turned(product(turned(k_s), w)), at)
        dk = grid.add_keys(dk, product(w, q_t), at)
        dv = grid.add_keys(dv, product(p, dy_t), at)
        return dq, dk, dv, grid.add_tile(dbias, turned(dz), at)

    args = res[:4]
    sums = grid.walk("column", step, tuple(map(zero_sum, args)))
    pairs = zip(sums, args, strict=True)
    return [None if d is None else d.astype(a.dtype) for d, a in pairs]


@partial(jax.jit, static_argnums=(2, 3))
def move(res, tangents, options, grid):
    """dy for moves of q, k, v and bias, along one row of blocks after the other."""
    q, k, v, bias, y, m, log_sum = res
    dq, dk, dv, dbias = tangents

    def step(state, at):
        mean_dz, moved = state
        q_t, dq_t, *of_t = (grid.queries(a, at) for a in (q, dq, m, log_sum))
        m_t, log_sum_t = map(turned, of_t)
        k_s, dk_s, v_s, dv_s = (grid.keys(a, at) for a in (k, dk, v, dv))
        bias_st, seen = turned(grid.tile(bias, at)), turned(grid.seen(at, once=True))
        z, slope = scores(k_s, q_t, bias_st, seen, options)
        p = jnp.exp(z - m_t - log_sum_t)
        dz = slope * (product(dk_s, turned(q_t)) + product(k_s, turned(dq_t)))
        if dbias is not None:
            dz += turned(grid.tile(dbias, at)).astype(dz.dtype)
        p_dz = p * dz
        mean_dz = grid.add_queries(mean_dz, turned(p_dz.sum(-2, keepdims=True)), at)
        dy = product(turned(v_s), p_dz) + product(turned(dv_s), p)
        return mean_dz, grid.add_queries(moved, turned(dy), at)

    mean_dz, moved = grid.walk("row", step, (zero_sum(m), zero_sum(y)))
    return (moved - y.astype(wide(y)) * mean_dz).astype(y.dtype)


def scores(a, b, bias, seen, options):
    """z of each of a [..., D] with each of b [..., D], and its slope dz / d(a . b)."""
    scale = 1 / math.sqrt(a.shape[-1]) if options.scale is None else options.scale
    z, slope, cap = scale * product(a, turned(b)), scale, options.softcap
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
    return jnp.matmul(a, b, preferred_element_type=wide(a))


def turned(a) -> Any:
    """Each matrix of [..., t, s] as [..., s, t]."""
    return None if a is None else a.swapaxes(-1, -2)


def zero_sum(x):
    """Zeros to add up a gradient of x; None where there is none."""
    if x is None or not jnp.issubdtype(x.dtype, jnp.floating):
        return None
    return jnp.zeros_like(x, dtype=wide(x))


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

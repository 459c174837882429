"""Attention: every query's mean of the values, weighted by its match with their keys.

    z[t, s] = scale q[t] . k[s]     or cap tanh(that / cap); -inf where t does not see s
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
given lse any block of p is made again: so the T x S numbers are never held, walks over
blocks of them add these sums up (walks.py).

Check: a single key has p = 1, dz = 0, dv = dy. A row that sees no key has y = 0.
"""

from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.sequence.definition import Options, check_arguments, defined
from jaxninja.rules.sequence.walks import backward, forward, move


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
    y, m, log_sum = forward(q, k, v, None, options)
    return y, Residuals(q, k, v, None, y, m, log_sum)


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

"""Attention and its neighbours: products of projections, masks and rotations."""

import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.bank.record import normal, record, sizes
from experiments.checker_benchmark.bank.softmax import softmax


def causal_attention(q, k, v):
    """q, k, v [H, T, D] -> [H, T, D]; time t sees the times up to t."""
    return causal_attention_fwd(q, k, v)[0]


def causal_attention_fwd(q, k, v):
    scale = q.shape[-1] ** -0.5
    scores = scale * jnp.einsum("htd,hsd->hts", q, k)
    T = q.shape[1]
    seen = jnp.arange(T)[:, None] >= jnp.arange(T)
    p = softmax(jnp.where(seen, scores, -1e30))
    return jnp.einsum("hts,hsd->htd", p, v), (q, k, v, p)


def causal_attention_bwd(res, dy):
    q, k, v, p = res
    scale = q.shape[-1] ** -0.5
    dv = jnp.einsum("hts,htd->hsd", p, dy)
    dp = jnp.einsum("htd,hsd->hts", dy, v)
    dscores = scale * p * (dp - (dp * p).sum(-1, keepdims=True))
    dq = jnp.einsum("hts,hsd->htd", dscores, k)
    return dq, jnp.einsum("hts,htd->hsd", dscores, q), dv


def linear_attention(q, k, v):
    """q (k^T v), no softmax and no mask."""
    return q @ (k.T @ v)


def linear_attention_fwd(q, k, v):
    state = k.T @ v
    return q @ state, (q, k, v, state)


def linear_attention_bwd(res, dy):
    q, k, v, state = res
    dstate = q.T @ dy
    return dy @ state.T, v @ dstate.T, k @ dstate


def swiglu(x, w, v):
    """silu(x w) (x v)."""
    return swiglu_fwd(x, w, v)[0]


def swiglu_fwd(x, w, v):
    a, b = x @ w, x @ v
    return a * lax.logistic(a) * b, (x, w, v, a, b)


def swiglu_bwd(res, dy):
    x, w, v, a, b = res
    s = lax.logistic(a)
    da = dy * b * s * (1 + a * (1 - s))
    db = dy * a * s
    return da @ w.T + db @ v.T, x.T @ da, x.T @ db


def glu(x):
    """The first half of the features gated by the sigmoid of the second."""
    a, b = jnp.split(x, 2, -1)
    return a * lax.logistic(b)


def glu_fwd(x):
    a, b = jnp.split(x, 2, -1)
    s = lax.logistic(b)
    return a * s, (a, s)


def glu_bwd(res, dy):
    a, s = res
    return (jnp.concatenate([dy * s, dy * a * s * (1 - s)], -1),)


def rotary(x, base):
    """x [T, D]: feature pairs (d, d + D/2) turn by the angle t base^(-2d/D)."""
    cos, sin = _angles(x, base)
    return _rotate(x, cos, sin)


def _angles(x, base):
    T, D = x.shape
    rates = base ** (-2 * jnp.arange(D // 2, dtype=x.dtype) / D)
    angle = jnp.arange(T, dtype=x.dtype)[:, None] * rates
    return jnp.cos(angle), jnp.sin(angle)


def _rotate(x, cos, sin):
    a, b = jnp.split(x, 2, -1)
    return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)


def rotary_fwd(x, base):
    cos, sin = _angles(x, base)
    return _rotate(x, cos, sin), (cos, sin)


def rotary_bwd(base, res, dy):
    cos, sin = res
    return (_rotate(dy, cos, -sin),)


def relu_squared_ffn(x, w, v):
    """relu(x w)^2 v."""
    return relu_squared_ffn_fwd(x, w, v)[0]


def relu_squared_ffn_fwd(x, w, v):
    h = x @ w
    r = jnp.where(h > 0, h, 0)
    return (r * r) @ v, (x, w, v, r)


def relu_squared_ffn_bwd(res, dy):
    x, w, v, r = res
    dh = 2 * r * (dy @ v.T)
    return dh @ w.T, x.T @ dh, (r * r).T @ dy


QKV = normal("H T D", "H T D", "H T D", mean=0.1, std=0.9)
GATED = (sizes("N=5 D=3 H=4"), sizes("N=3 D=3 H=3"))

RULES = (
    record(
        causal_attention,
        causal_attention_fwd,
        causal_attention_bwd,
        QKV,
        sizes("H=2 T=5 D=3"),
        sizes("H=1 T=4 D=4"),
        source="Vaswani et al. 2017, arXiv:1706.03762",
    ),
    record(
        linear_attention,
        linear_attention_fwd,
        linear_attention_bwd,
        normal("T D", "S D", "S H", std=0.9),
        sizes("T=5 S=7 D=3 H=4"),
        sizes("T=4 S=4 D=4 H=4"),
        source="Katharopoulos et al. 2020, arXiv:2006.16236",
    ),
    record(
        swiglu,
        swiglu_fwd,
        swiglu_bwd,
        normal("N D", "D H", "D H", std=0.9),
        *GATED,
        source="Shazeer 2020, arXiv:2002.05202",
    ),
    record(
        glu,
        glu_fwd,
        glu_bwd,
        normal("N D"),
        sizes("N=5 D=6"),
        sizes("N=4 D=4"),
        source="Dauphin et al. 2016, arXiv:1612.08083",
    ),
    record(
        rotary,
        rotary_fwd,
        rotary_bwd,
        normal("T D"),
        sizes("T=5 D=6", 100.0),
        sizes("T=4 D=4", 10.0),
        static=1,
        source="Su et al. 2021, arXiv:2104.09864",
    ),
    record(
        relu_squared_ffn,
        relu_squared_ffn_fwd,
        relu_squared_ffn_bwd,
        normal("N D", "D H", "H O", std=0.9),
        sizes("N=5 D=3 H=7 O=4"),
        sizes("N=3 D=3 H=3 O=3"),
        source="So et al. 2021, arXiv:2109.08668",
    ),
)

"""Bugs of attention and of experts, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
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
    "XunhaoLai/native-sparse-attention-triton#27",
    "attention with groups",
    draw(q=(4, 4, 3), k=(4, 2, 3), v=(4, 2, 3)),
    Twin(
        "as reported",
        "index|sum|path|operand",
        "k v",
        "Query heads are taken modulo the share, not modulo the key heads.",
        witness=draw(q=(4, 6, 3), k=(4, 2, 3), v=(4, 2, 3)),
    ),
    kind="bug",
    name="interleaved_heads native-sparse-attention-triton#27",
)
def interleaved_heads(slip):
    def scores(q, k, head):
        return jnp.einsum("qhd,khd->hqk", q, k[:, head]) * q.shape[-1] ** -0.5

    @jax.custom_vjp
    def attend(q, k, v):
        head = np.arange(q.shape[1]) % k.shape[1]
        return jnp.einsum(
            "hqk,khd->qhd", jax.nn.softmax(scores(q, k, head)), v[:, head]
        )

    def fwd(q, k, v):
        return attend.fun(q, k, v), (q, k, v)

    def bwd(res, do):
        q, k, v = res
        H, n = q.shape[1], k.shape[1]
        head = np.arange(H) % n
        p = jax.nn.softmax(scores(q, k, head))
        dp = jnp.einsum("qhd,khd->hqk", do, v[:, head])
        ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * q.shape[-1] ** -0.5
        dq = jnp.einsum("hqk,khd->qhd", ds, k[:, head])
        home = np.arange(H) % (H // n) if slip else head
        dk = jnp.einsum("hqk,qhd->khd", ds, q)
        dv = jnp.einsum("hqk,qhd->khd", p, do)
        zero = jnp.zeros_like(k).at[:, home]
        return dq, zero.add(dk), jnp.zeros_like(v).at[:, home].add(dv)

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "XunhaoLai/native-sparse-attention-triton#27",
    "attention",
    draw(q=(4, 3), k=(5, 3), v=(5, 3)),
    Twin(
        "as reported",
        "index|region|sum|operand",
        "q k",
        "The product of do and v runs over the width of q, not of v.",
        witness=draw(q=(4, 3), k=(5, 3), v=(5, 4)),
    ),
    kind="bug",
    name="varlen_value_width native-sparse-attention-triton#27",
)
def varlen_value_width(slip):
    @jax.custom_vjp
    def attend(q, k, v):
        return jax.nn.softmax(q @ k.T) @ v

    def fwd(q, k, v):
        p = jax.nn.softmax(q @ k.T)
        return p @ v, (q, k, v, p)

    def bwd(res, do):
        q, k, v, p = res
        width = q.shape[1] if slip else v.shape[1]
        dp = do[:, :width] @ v[:, :width].T
        ds = p * (dp - (p * dp).sum(-1, keepdims=True))
        return ds @ k, ds.T @ q, p.T @ do

    attend.defvjp(fwd, bwd)
    return attend, attend.fun


@case(
    "huggingface/transformers#48689",
    "mixture of experts",
    lambda rng: (
        normal(rng, 6, 3),
        positive(rng, 6),
        jnp.array([True, True, False, True, False, True]),
    ),
    Twin(
        "as reported",
        "mask|region",
        "weights",
        "Slots that this rank does not serve still send the router a gradient.",
    ),
    kind="bug",
    name="sentinel_router transformers#48689",
    fixed=(1,),
)
def sentinel_router(slip):
    @jax.custom_vjp
    def combine(outputs, weights, served):
        return jnp.where(served, weights, 0)[:, None] * outputs

    def fwd(outputs, weights, served):
        return combine.fun(outputs, weights, served), (outputs, weights, served)

    def bwd(res, g):
        outputs, weights, served = res
        dweights = (g * outputs).sum(-1)
        if not slip:
            dweights = jnp.where(served, dweights, 0)
        return jnp.where(served, weights, 0)[:, None] * g, dweights, None

    combine.defvjp(fwd, bwd)
    return combine, combine.fun


@case(
    "ByteDance-Seed/Triton-distributed#185",
    "gated layer",
    draw(gate=(3, 4), up=(3, 4)),
    Twin(
        "as reported",
        "index|region|zero",
        "gate up",
        "All rows are written to row 0; the others stay empty.",
    ),
    kind="bug",
    name="swiglu_rows Triton-distributed#185",
)
def swiglu_rows(slip):
    @jax.custom_vjp
    def swiglu(gate, up):
        return jax.nn.silu(gate) * up

    def fwd(gate, up):
        return jax.nn.silu(gate) * up, (gate, up)

    def bwd(res, g):
        gate, up = res
        s = jax.nn.sigmoid(gate)
        dgate = g * up * (s + gate * s * (1 - s))
        dup = g * gate * s
        if slip:
            zero = jnp.zeros_like(gate)
            return zero.at[0].set(dgate[-1]), zero.at[0].set(dup[-1])
        return dgate, dup

    swiglu.defvjp(fwd, bwd)
    return swiglu, swiglu.fun


@case(
    "PaddlePaddle/Paddle#74716",
    "rotation",
    lambda rng: (
        normal(rng, 4, 6),
        *(jnp.tile(f(normal(rng, 4, 3)), 2) for f in (jnp.cos, jnp.sin)),
    ),
    Twin(
        "as reported",
        "operand|function|index|transpose|swap",
        "x",
        "dy is turned first and multiplied by the sine after.",
        witness=draw(x=(4, 6), cos=(4, 6), sin=(4, 6)),
    ),
    kind="bug",
    name="rotate_half Paddle#74716",
    options=lambda plain: {"nondiff": ("cos", "sin")},
    fixed=(1, 2),
)
def rotate_half(slip):
    def turned(x):
        a, b = jnp.split(x, 2, -1)
        return jnp.concatenate([-b, a], -1)

    @jax.custom_vjp
    def rope(x, cos, sin):
        cos, sin = lax.stop_gradient((cos, sin))
        return x * cos + turned(x) * sin

    def fwd(x, cos, sin):
        return rope.fun(x, cos, sin), (cos, sin)

    def bwd(res, g):
        cos, sin = res
        back = turned(g) * sin if slip else turned(g * sin)
        return g * cos - back, None, None

    rope.defvjp(fwd, bwd)
    return rope, rope.fun


@case(
    "linkedin/Liger-Kernel#1088",
    "policy loss",
    lambda rng: (normal(rng, 6, std=0.2), normal(rng, 6), jnp.ones(6)),
    Twin(
        "as reported",
        "factor|operand|path",
        "logp",
        "The importance ratio of the sampler does not reach the gradient.",
        witness=lambda rng: (normal(rng, 6, std=0.2), normal(rng, 6), positive(rng, 6)),
    ),
    kind="bug",
    name="importance_weighted_policy Liger-Kernel#1088",
    options=lambda plain: {"nondiff": ("advantage", "ratio")},
    fixed=(2,),
)
def importance_weighted_policy(slip):
    @jax.custom_vjp
    def loss(logp, advantage, ratio):
        advantage, ratio = lax.stop_gradient((advantage, ratio))
        return -(jnp.exp(logp) * advantage * ratio).mean()

    def fwd(logp, advantage, ratio):
        return loss.fun(logp, advantage, ratio), (logp, advantage, ratio)

    def bwd(res, g):
        logp, advantage, ratio = res
        d = -g / len(logp) * jnp.exp(logp) * advantage
        return d if slip else d * ratio, None, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

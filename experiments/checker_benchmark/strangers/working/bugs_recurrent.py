"""Bugs of state spaces and of linear attention, with their threads."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "fla-org/flash-linear-attention#6",
    "linear attention",
    lambda rng: (*draw(q=(5, 3), k=(5, 3), v=(5, 2))(rng), 0.9),
    Twin(
        "as reported",
        "transpose|mask|operand|function|index",
        "v",
        "dv is wrong in the form without a gate.",
        witness=lambda rng: (*draw(q=(5, 3), k=(5, 3), v=(5, 2))(rng), None),
    ),
    kind="bug",
    name="ungated_linear_attention flash-linear-attention#6",
)
def ungated_linear_attention(slip):
    def decay(T, gate):
        ago = np.arange(T)[:, None] - np.arange(T)
        past = np.tril(np.ones((T, T)))
        return past if gate is None else past * gate ** np.maximum(ago, 0)

    def plain(q, k, v, gate):
        return (q @ k.T * decay(len(q), gate).astype(q.dtype)) @ v

    attend = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, k, v, gate):
        return plain(q, k, v, gate), (q, k, v)

    def bwd(gate, res, do):
        q, k, v = res
        d = decay(len(q), gate).astype(q.dtype)
        da = do @ v.T * d
        a = q @ k.T * d
        if slip and gate is None:
            a = q @ k.T
        return da @ k, da.T @ q, a.T @ do

    attend.defvjp(fwd, bwd)
    return attend, plain


@case(
    "tile-ai/TileOPs#632",
    "delta rule",
    lambda rng: (
        normal(rng, 5, 3),
        unit_rows(rng, 5, 3),
        normal(rng, 5, 2),
        positive(rng, 5, low=0.2, high=0.9),
    ),
    Twin(
        "as reported",
        "path|term|factor",
        "k v beta",
        "The state's cotangent is passed on as it is, not by (I - beta k k^T).",
    ),
    kind="bug",
    name="delta_rule_state TileOPs#632",
    options=by_reference,
    fixed=(1, 3),
)
def delta_rule_state(slip):
    def run(q, k, v, beta):
        def step(S, x):
            q, k, v, b = x
            new = S + b * jnp.outer(k, v - k @ S)
            return new, (q @ new, S)

        zero = jnp.zeros((k.shape[1], v.shape[1]), q.dtype)
        return lax.scan(step, zero, (q, k, v, beta))[1]

    def plain(q, k, v, beta):
        return run(q, k, v, beta)[0]

    @jax.custom_vjp
    def delta(q, k, v, beta):
        return run(q, k, v, beta)[0]

    def fwd(q, k, v, beta):
        o, before = run(q, k, v, beta)
        return o, (q, k, v, beta, before)

    def bwd(res, do):
        def step(dS, x):
            q, k, v, b, S, do = x
            e = v - k @ S
            dS = dS + jnp.outer(q, do)
            dq = (S + b * jnp.outer(k, e)) @ do
            de = b * (k @ dS)
            dk = b * (dS @ e) - S @ de
            db = k @ dS @ e
            return dS if slip else dS - jnp.outer(k, de), (dq, dk, de, db)

        q, k, v, beta, before = res
        xs = (q, k, v, beta, before, do)
        return lax.scan(step, jnp.zeros_like(before[0]), xs, reverse=True)[1]

    delta.defvjp(fwd, bwd)
    return delta, plain


@case(
    "CaptainE/RNN-LSTM-in-numpy#2",
    "recurrent layer",
    draw(pre=(2, 12), cell=(2, 3)),
    Twin(
        "as reported",
        "factor|path|operand|function|term",
        "pre",
        "The forget gate's slope is missing.",
    ),
    kind="bug",
    name="lstm_forget RNN-LSTM-in-numpy#2",
)
def lstm_forget(slip):
    def gates(pre):
        i, f, o, c = jnp.split(pre, 4, -1)
        s = jax.nn.sigmoid
        return s(i), s(f), s(o), jnp.tanh(c)

    @jax.custom_vjp
    def lstm(pre, cell):
        i, f, o, c = gates(pre)
        new = f * cell + i * c
        return o * jnp.tanh(new), new

    def fwd(pre, cell):
        hidden, new = lstm.fun(pre, cell)
        return (hidden, new), (*gates(pre), cell, jnp.tanh(new))

    def bwd(res, g):
        i, f, o, c, cell, t = res
        dh, dnew = g
        dnew = dnew + dh * o * (1 - t * t)
        df = dnew * cell
        parts = (
            dnew * c * i * (1 - i),
            df if slip else df * f * (1 - f),
            dh * t * o * (1 - o),
            dnew * i * (1 - c * c),
        )
        return jnp.concatenate(parts, -1), dnew * f

    lstm.defvjp(fwd, bwd)
    return lstm, lstm.fun

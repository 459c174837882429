"""Recurrences with gates: peepholes, resets, exponential gates, light cells."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def peephole_args(rng):
    params = {
        "w": 0.4 * normal(rng, 5, 8),
        "b": jnp.zeros(8),
        "peep": {name: 0.4 * normal(rng, 2) for name in "ifo"},
    }
    return params, normal(rng, 4, 3), (jnp.zeros(2), jnp.zeros(2))


def warm_peephole_args(rng):
    params, x, _ = peephole_args(rng)
    return params, x, (normal(rng, 2), normal(rng, 2))


@case(
    "LSTM cells with peepholes, scanned as in haiku's dynamic_unroll",
    "recurrence",
    peephole_args,
    Twin(
        "output gate's cell",
        "operand|residual|index",
        "params",
        "The output's peephole looks at the new cell, its gradient takes the old one.",
    ),
    Twin(
        "peepholes into the cell",
        "term|path",
        "params x",
        "The cell has no cotangent from the gates that look at it.",
    ),
    Twin(
        "first state's gradient",
        "zero|term|path",
        "state",
        "The first hidden state is taken for a constant.",
    ),
)
def peephole_lstm(slip):
    def cell(params, state, x):
        h, c = state
        peep = params["peep"]
        z = jnp.concatenate([x, h]) @ params["w"] + params["b"]
        i, f, u, o = jnp.split(z, 4)
        i = jax.nn.sigmoid(i + peep["i"] * c)
        f = jax.nn.sigmoid(f + peep["f"] * c)
        u = jnp.tanh(u)
        new = f * c + i * u
        o = jax.nn.sigmoid(o + peep["o"] * new)
        return (o * jnp.tanh(new), new), (i, f, u, o)

    def plain(params, x, state):
        def step(state, x):
            state, _ = cell(params, state, x)
            return state, state[0]

        return lax.scan(step, state, x)[1]

    unroll = jax.custom_vjp(plain)

    def fwd(params, x, state):
        def step(state, x):
            new, gates = cell(params, state, x)
            return new, (new[0], (state, x, new[1], gates))

        _, (hs, kept) = lax.scan(step, state, x)
        return hs, (params, kept)

    def bwd(res, g):
        params, kept = res
        peep = params["peep"]

        def back(carry, step):
            dh, dc, grads = carry
            dy, ((h, c), x, new, (i, f, u, o)) = step
            dh = dh + dy
            tanh = jnp.tanh(new)
            do = dh * tanh * o * (1 - o)
            dc = dc + dh * o * (1 - tanh**2)
            looks = 0 if slip == "peepholes into the cell" else 1
            dc = dc + looks * do * peep["o"]
            di, df = dc * u * i * (1 - i), dc * c * f * (1 - f)
            dz = jnp.concatenate([di, df, dc * i * (1 - u**2), do])
            seen = c if slip == "output gate's cell" else new
            here = {
                "w": jnp.outer(jnp.concatenate([x, h]), dz),
                "b": dz,
                "peep": {"i": di * c, "f": df * c, "o": do * seen},
            }
            dxh = params["w"] @ dz
            dc = dc * f + looks * (di * peep["i"] + df * peep["f"])
            grads = jax.tree.map(jnp.add, grads, here)
            return (dxh[len(x) :], dc, grads), dxh[: len(x)]

        zero = jnp.zeros_like(kept[2][0])
        start = (zero, zero, jax.tree.map(jnp.zeros_like, params))
        (dh, dc, grads), dx = lax.scan(back, start, (g, kept), reverse=True)
        if slip == "first state's gradient":
            dh = jnp.zeros_like(dh)
        return grads, dx, (dh, dc)

    unroll.defvjp(fwd, bwd)
    return unroll, plain

"""Sequences: gated pooling and cells, alignments, positions, large vocabularies."""

import jax
import jax.numpy as jnp
from jax import lax

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
    "quasi-recurrent networks: pooling with forget and output gates, in flax ports",
    "recurrence",
    draw(z=(5, 2, 3), f=(5, 2, 3), o=(5, 2, 3), start=(2, 3)),
    Twin(
        "candidate and state",
        "operand|term|residual",
        "f",
        "The forget gate weighs the state less the candidate; the state alone is used.",
    ),
    Twin(
        "state after the step",
        "index|residual|operand",
        "f",
        "The forget gate's gradient takes the new state for the old one.",
    ),
    Twin(
        "final state",
        "term|path|cotangent",
        "z f start",
        "The cotangent of the final state is not used.",
    ),
)
def qrnn_fo_pool(slip):
    def states(z, f, start):
        def step(c, item):
            z, f = item
            c = f * c + (1 - f) * z
            return c, c

        return lax.scan(step, start, (jnp.tanh(z), jax.nn.sigmoid(f)))[1]

    @jax.custom_vjp
    def pool(z, f, o, start):
        c = states(z, f, start)
        return jax.nn.sigmoid(o) * c, c[-1]

    def fwd(z, f, o, start):
        c = states(z, f, start)
        return (jax.nn.sigmoid(o) * c, c[-1]), (z, f, o, start, c)

    def bwd(res, g):
        z, f, o, start, c = res
        gh, gend = g
        candidate, keep, shown = jnp.tanh(z), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
        before = jnp.concatenate([start[None], c[:-1]])

        def step(dc, item):
            keep, down = item
            dc = dc + down
            return keep * dc, dc

        last = jnp.zeros_like(gend) if slip == "final state" else gend
        dstart, dc = lax.scan(step, last, (keep, gh * shown), reverse=True)
        dz = dc * (1 - keep) * (1 - candidate) * (1 + candidate)
        old = c if slip == "state after the step" else before
        gap = old if slip == "candidate and state" else old - candidate
        df = dc * gap * keep * jax.nn.sigmoid(-f)
        do = gh * c * shown * jax.nn.sigmoid(-o)
        return dz, df, do, dstart

    pool.defvjp(fwd, bwd)
    return pool, pool.fun


def projected(lengths):
    def args(rng):
        params = {
            "x": normal(rng, 3, 16, std=0.5),
            "r": normal(rng, 2, 16, std=0.5),
            "b": jnp.zeros(16),
            "proj": normal(rng, 4, 2, std=0.5),
        }
        zeros = jnp.zeros((2, 4)), jnp.zeros((2, 2))
        return normal(rng, 5, 2, 3), jnp.array(lengths), params, zeros

    return args


@case(
    "LSTM with a recurrent projection and lengths, for speech, scanned in haiku",
    "recurrence",
    projected([5, 5]),
    Twin(
        "recurrent projection",
        "term|path",
        "x params state",
        "The projected output does not carry a gradient to the step before.",
    ),
    Twin(
        "steps beyond the end",
        "mask|region|predicate|term",
        "state x params",
        "Beyond a sequence's end, where the state is carried on, its gradient is not.",
        witness=projected([5, 3]),
    ),
    Twin(
        "cell through its tanh",
        "function|factor|term",
        "x params state",
        "The output's tanh is pulled back as the identity.",
    ),
)
def projected_lstm(slip):
    def gates(x, r, params):
        z = x @ params["x"] + r @ params["r"] + params["b"]
        i, f, u, o = jnp.split(z, 4, -1)
        return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(u), jax.nn.sigmoid(o)

    def run(x, lengths, params, state):
        def step(state, item):
            t, x = item
            c, r = state
            i, f, u, o = gates(x, r, params)
            new = f * c + i * u
            out = (o * jnp.tanh(new)) @ params["proj"]
            on = (t < lengths)[:, None]
            after = jnp.where(on, new, c), jnp.where(on, out, r)
            return after, (jnp.where(on, out, 0), state)

        end, (y, states) = lax.scan(step, state, (jnp.arange(len(x)), x))
        return (y, end), states

    @jax.custom_vjp
    def lstm(x, lengths, params, state):
        return run(x, lengths, params, state)[0]

    def fwd(x, lengths, params, state):
        out, states = run(x, lengths, params, state)
        return out, (x, lengths, params, states)

    def bwd(res, g):
        x, lengths, params, states = res
        gy, gend = g

        def step(carry, item):
            (dc, dr), total = carry
            t, x, (c, r), gy = item
            i, f, u, o = gates(x, r, params)
            squashed = jnp.tanh(f * c + i * u)
            on = (t < lengths)[:, None]
            dout = jnp.where(on, gy + dr, 0)
            dh = dout @ params["proj"].T
            inner = 1 if slip == "cell through its tanh" else 1 - squashed**2
            dnew = jnp.where(on, dc, 0) + dh * o * inner
            parts = (
                dnew * u * i * (1 - i),
                dnew * c * f * (1 - f),
                dnew * i * (1 - u * u),
                dh * squashed * o * (1 - o),
            )
            dz = jnp.concatenate(parts, -1)
            grads = {
                "x": x.T @ dz,
                "r": r.T @ dz,
                "b": dz.sum(0),
                "proj": (o * squashed).T @ dout,
            }
            past = jnp.where(on, 0, dc), jnp.where(on, 0, dr)
            if slip == "steps beyond the end":
                past = jax.tree.map(jnp.zeros_like, past)
            back = dz @ params["r"].T
            if slip == "recurrent projection":
                back = jnp.zeros_like(back)
            total = jax.tree.map(jnp.add, total, grads)
            return ((dnew * f + past[0], back + past[1]), total), dz @ params["x"].T

        none = jax.tree.map(jnp.zeros_like, params)
        items = jnp.arange(len(x)), x, states, gy
        (dstate, total), dx = lax.scan(step, (gend, none), items, reverse=True)
        return dx, None, total, dstate

    lstm.defvjp(fwd, bwd)
    return lstm, lstm.fun

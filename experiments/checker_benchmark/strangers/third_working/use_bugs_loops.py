"""Bugs of loops, cells and steps, with their threads."""

import jax
import jax.numpy as jnp
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


def gated_tokens(rng):
    q, k, v = draw(q=(2, 4, 3), k=(2, 4, 3), v=(2, 4, 3))(rng)
    return q, k, v, positive(rng, 2, 4, low=0.5, high=1.0), positive(rng, 2, 4)


@case(
    "unslothai/unsloth-zoo#776",
    "delta rule",
    gated_tokens,
    Twin(
        "as reported",
        "index|region|elements|mask|operand|sum|axis",
        "q k v decay beta",
        "Steps are written with a wrong stride: each sequence gets the first one's.",
    ),
    kind="bug",
    name="gated_delta_step unsloth-zoo#776",
)
def gated_delta_step(slip):
    def step(state, item):
        q, k, v, decay, beta = item
        state = decay[:, None, None] * state
        seen = jnp.einsum("bk,bkv->bv", k, state)
        wrong = beta[:, None] * (v - seen)
        state = state + k[:, :, None] * wrong[:, None]
        return state, jnp.einsum("bk,bkv->bv", q, state)

    def time_first(args):
        return tuple(jnp.moveaxis(a, 1, 0) for a in args)

    def start(k, v):
        return jnp.zeros((k.shape[0], k.shape[2], v.shape[2]), v.dtype)

    @jax.custom_vjp
    def layer(q, k, v, decay, beta):
        items = time_first((q, k, v, decay, beta))
        return jnp.moveaxis(lax.scan(step, start(k, v), items)[1], 0, 1)

    def fwd(q, k, v, decay, beta):
        items = time_first((q, k, v, decay, beta))

        def keep(state, item):
            after, y = step(state, item)
            return after, (y, state)

        y, states = lax.scan(keep, start(k, v), items)[1]
        return jnp.moveaxis(y, 0, 1), (items, states)

    def bwd(res, g):
        items, states = res

        def back(dstate, item):
            state, inputs, dy = item
            pull = jax.vjp(step, state, inputs)[1]
            return pull((dstate, dy))

        given = (states, items, jnp.moveaxis(g, 1, 0))
        none = jnp.zeros_like(states[0])
        grads = lax.scan(back, none, given, reverse=True)[1]
        if slip:
            grads = [jnp.broadcast_to(d[:, :1], d.shape) for d in grads]
        return tuple(jnp.moveaxis(d, 0, 1) for d in grads)

    layer.defvjp(fwd, bwd)
    return layer, layer.fun


@case(
    "NVIDIA/warp#1294",
    "time stepping in place",
    lambda rng: (normal(rng, 5), positive(rng, 5), 0.1, 3),
    Twin(
        "as reported",
        "ratio|factor|term|path|cotangent|sum|function",
        "u rate",
        "The array is input and output: what is pulled back is added to what came.",
    ),
    kind="bug",
    name="in_place_step warp#1294",
)
def in_place_step(slip):
    def plain(u, rate, dt, steps):
        return lax.fori_loop(0, steps, lambda _, u: u - dt * rate * u, u)

    march = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(u, rate, dt, steps):
        def keep(u, _):
            return u - dt * rate * u, u

        u, states = lax.scan(keep, u, None, length=steps)
        return u, (states, rate)

    def bwd(dt, steps, res, g):
        states, rate = res

        def back(carry, u):
            adjoint, drate = carry
            drate = drate - dt * u * adjoint
            before = adjoint - dt * rate * adjoint
            return (adjoint + before if slip else before, drate), None

        carry = g, jnp.zeros_like(rate)
        return lax.scan(back, carry, states, reverse=True)[0]

    march.defvjp(fwd, bwd)
    return march, plain


@case(
    "ooples/AiDotNet#1048",
    "recurrent cell",
    lambda rng: (*draw(x=(4, 3), h=(4, 2), w=(3, 6), u=(2, 6))(rng), jnp.zeros(6)),
    Twin(
        "as reported",
        "operand|residual|swap",
        "x h w u b",
        "The reset gate meets the new hidden state instead of the old one.",
    ),
    kind="bug",
    name="gru_cell AiDotNet#1048",
)
def gru_cell(slip):
    def gates(x, h, w, u, b):
        of_x, (uz, ur, un) = x @ w + b, jnp.split(u, 3, 1)
        az, ar, an = jnp.split(of_x, 3, 1)
        z, r = jax.nn.sigmoid(az + h @ uz), jax.nn.sigmoid(ar + h @ ur)
        return z, r, jnp.tanh(an + (r * h) @ un)

    @jax.custom_vjp
    def cell(x, h, w, u, b):
        z, _, n = gates(x, h, w, u, b)
        return z * h + (1 - z) * n

    def fwd(x, h, w, u, b):
        z, r, n = gates(x, h, w, u, b)
        new = z * h + (1 - z) * n
        return new, (x, h, w, u, z, r, n, new)

    def bwd(res, g):
        x, h, w, u, z, r, n, new = res
        uz, ur, un = jnp.split(u, 3, 1)
        dn = g * (1 - z) * (1 - n) * (1 + n)
        dz = g * (h - n) * z * (1 - z)
        drh = dn @ un.T
        dr = drh * (new if slip else h) * r * (1 - r)
        d = jnp.concatenate([dz, dr, dn], 1)
        dh = g * z + drh * r + dz @ uz.T + dr @ ur.T
        du = jnp.concatenate([h.T @ dz, h.T @ dr, (r * h).T @ dn], 1)
        return d @ w.T, dh, x.T @ d, du, d.sum(0)

    cell.defvjp(fwd, bwd)
    return cell, cell.fun


@case(
    "EnzymeAD/Reactant.jl#3119",
    "loop with checkpoints",
    lambda rng: (jnp.float32(0.7), normal(rng, 2, 6), jnp.ones(3, jnp.float32), 3),
    Twin(
        "as reported",
        "index|residual|operand|swap|axis",
        "a x",
        "Between checkpoints the recomputing loop counts down: columns are reversed.",
    ),
    kind="bug",
    name="checkpointed_loop Reactant.jl#3119",
)
def checkpointed_loop(slip):
    def plain(a, ys, x, every):
        def step(x, y):
            x = a * x + 0.1
            return x, y.sum() * x.sum()

        return lax.scan(step, x, ys.T)[1].sum()

    loop = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(a, ys, x, every):
        columns = ys.T.reshape(-1, every, ys.shape[0])

        def segment(x, columns):
            def step(carry, y):
                x = a * carry[0] + 0.1
                return (x, carry[1] + y.sum() * x.sum()), None

            (after, part), _ = lax.scan(step, (x, jnp.zeros_like(a)), columns)
            return after, (part, x)

        parts, starts = lax.scan(segment, x, columns)[1]
        return parts.sum(), (a, columns, starts)

    def bwd(every, res, g):
        a, columns, starts = res

        def segment(carry, item):
            start, columns = item
            places = jnp.arange(every)[::-1] if slip else jnp.arange(every)

            def recompute(x, place):
                after = a * x + 0.1
                return after, (x, after, columns[place].sum())

            kept = lax.scan(recompute, start, places)[1]

            def back(carry, item):
                dx, da = carry
                before, after, y = item
                dx = dx + g * y
                dy = jnp.full(columns.shape[1:], g * after.sum())
                return (a * dx, da + (before * dx).sum()), dy

            return lax.scan(back, carry, kept, reverse=True)

        none = jnp.zeros_like(starts[0]), jnp.zeros_like(a)
        (dx, da), dys = lax.scan(segment, none, (starts, columns), reverse=True)
        return da, dys.reshape(-1, columns.shape[2]).T, dx

    loop.defvjp(fwd, bwd)
    return loop, plain

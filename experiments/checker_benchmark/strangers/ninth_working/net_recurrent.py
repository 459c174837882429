"""Recurrent cells and scans with gates of several kinds."""

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


def gru(rng):
    params = {
        "wx": normal(rng, 3, 12, std=0.5),
        "wh": normal(rng, 4, 12, std=0.5),
        "bx": normal(rng, 12, std=0.3),
        "bh": normal(rng, 4, std=0.3),
    }
    return params, normal(rng, 2, 4), normal(rng, 2, 3)


@case(
    "GRU with the reset after the product, as in CuDNN and flax.linen.GRUCell",
    "recurrent cell",
    gru,
    Twin(
        "reset before",
        "factor|operand|term",
        "params",
        "The hidden part's cotangent is that before the reset gate.",
    ),
    Twin(
        "old state kept",
        "term|path",
        "h",
        "The share of the old state that is kept gives no gradient.",
    ),
    Twin(
        "update gate's sign",
        "sign",
        "params h x",
        "The update gate is pulled back as if it let the new state in.",
    ),
)
def reset_after_gru(slip):
    def gates(params, h, x):
        a = x @ params["wx"] + params["bx"]
        b = h @ params["wh"]
        size = h.shape[-1]
        rz = jax.nn.sigmoid((a + b)[..., : 2 * size])
        inner = b[..., 2 * size :] + params["bh"]
        n = jnp.tanh(a[..., 2 * size :] + rz[..., :size] * inner)
        return rz[..., :size], rz[..., size:], n, inner

    @jax.custom_vjp
    def cell(params, h, x):
        _, z, n, _ = gates(params, h, x)
        return (1 - z) * n + z * h

    def fwd(params, h, x):
        r, z, n, inner = gates(params, h, x)
        return (1 - z) * n + z * h, (params, h, x, r, z, n, inner)

    def bwd(res, g):
        params, h, x, r, z, n, inner = res
        dn = g * (1 - z) * (1 + n) * (1 - n)
        dz = g * (h - n) * z * (1 - z)
        if slip == "update gate's sign":
            dz = -dz
        dr = dn * inner * r * (1 - r)
        dinner = dn if slip == "reset before" else dn * r
        da = jnp.concatenate([dr, dz, dn], -1)
        db = jnp.concatenate([dr, dz, dinner], -1)
        dparams = {
            "wx": x.T @ da,
            "wh": h.T @ db,
            "bx": da.sum(0),
            "bh": dinner.sum(0),
        }
        kept = jnp.zeros_like(h) if slip == "old state kept" else g * z
        return dparams, kept + db @ params["wh"].T, da @ params["wx"].T

    cell.defvjp(fwd, bwd)
    return cell, cell.fun


def long_memory(rng):
    params = {
        "state": {"w": normal(rng, 3, 9, std=0.6), "b": normal(rng, 9, std=0.3)},
        "memory": {"w": normal(rng, 3, 3, std=0.6), "b": normal(rng, 3, std=0.3)},
    }
    return params, normal(rng, 3), normal(rng, 3), normal(rng, 9, std=0.5), 0.7


@case(
    "long expressive memory (Rusch et al.), one step with its inputs projected",
    "recurrent cell with two states",
    long_memory,
    Twin(
        "memory before the step",
        "residual",
        "params",
        "The output's weights are paired with the memory before the step.",
    ),
    Twin(
        "step size once",
        "factor|option|ratio",
        "params y z drive",
        "The time steps' gates are pulled back without the largest step.",
    ),
    Twin(
        "memory seen by the output",
        "term|path",
        "params y z drive",
        "The new memory's gradient through the output is left out.",
    ),
)
def lem_cell(slip):
    def pieces(params, y, z, drive, dt):
        a = y @ params["state"]["w"] + params["state"]["b"] + drive
        s1, s2, lin = jnp.split(a, 3)
        t1, t2 = dt * jax.nn.sigmoid(s1), dt * jax.nn.sigmoid(s2)
        c = jnp.tanh(lin)
        znew = (1 - t1) * z + t1 * c
        u = jnp.tanh(znew @ params["memory"]["w"] + params["memory"]["b"])
        return s1, s2, t1, t2, c, znew, u

    def plain(params, y, z, drive, dt):
        _, _, _, t2, _, znew, u = pieces(params, y, z, drive, dt)
        return (1 - t2) * y + t2 * u, znew

    cell = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(params, y, z, drive, dt):
        return plain(params, y, z, drive, dt), (params, y, z, drive)

    def bwd(dt, res, g):
        params, y, z, drive = res
        s1, s2, t1, t2, c, znew, u = pieces(params, y, z, drive, dt)
        du = g[0] * t2 * (1 + u) * (1 - u)
        dz = g[1]
        if slip != "memory seen by the output":
            dz = dz + params["memory"]["w"] @ du
        size = 1 if slip == "step size once" else dt

        def gate(s):
            return size * jax.nn.sigmoid(s) * jax.nn.sigmoid(-s)

        d1, d2 = dz * (c - z) * gate(s1), g[0] * (u - y) * gate(s2)
        da = jnp.concatenate([d1, d2, dz * t1 * (1 + c) * (1 - c)])
        dy = g[0] * (1 - t2) + params["state"]["w"] @ da
        memory = z if slip == "memory before the step" else znew
        dparams = {
            "state": {"w": jnp.outer(y, da), "b": da},
            "memory": {"w": jnp.outer(memory, du), "b": du},
        }
        return dparams, dy, dz * (1 - t1), da

    cell.defvjp(fwd, bwd)
    return cell, plain


def update_gates(rng):
    params = (normal(rng, 3, 8, std=0.5), normal(rng, 4, 8, std=0.5), normal(rng, 8))
    lengths = jnp.asarray([5, 2, 4], jnp.int32)
    return params, normal(rng, 3, 4), normal(rng, 5, 3, 3), lengths


@case(
    "UGRNN cells of tf.contrib and Sonnet, over padded sequences",
    "recurrence with lengths",
    update_gates,
    Twin(
        "padding steps",
        "mask|index|residual",
        "params h xs",
        "Steps after a sequence's end are pulled back as if they were made.",
    ),
    Twin(
        "gate constant",
        "term|path",
        "params h xs",
        "The update gate's own gradient is left out.",
    ),
    Twin(
        "outputs' cotangent",
        "cotangent|term",
        "params h xs",
        "The cotangent of the states along the way is ignored.",
    ),
)
def ugrnn_scan(slip):
    def halves(params, h, x):
        wx, wh, b = params
        gate, new = jnp.split(x @ wx + h @ wh + b, 2, axis=-1)
        return jax.nn.sigmoid(gate + 1), jnp.tanh(new)

    def run(params, h, xs, lengths):
        def step(h, at):
            t, x = at
            gate, new = halves(params, h, x)
            moved = gate * h + (1 - gate) * new
            out = jnp.where((t < lengths)[:, None], moved, h)
            return out, (h, out)

        last, (before, outs) = lax.scan(step, h, (jnp.arange(len(xs)), xs))
        return (outs, last), before

    @jax.custom_vjp
    def scan(params, h, xs, lengths):
        return run(params, h, xs, lengths)[0]

    def fwd(params, h, xs, lengths):
        out, before = run(params, h, xs, lengths)
        return out, (params, before, xs, lengths)

    def bwd(res, cot):
        params, before, xs, lengths = res
        wx, wh, _ = params

        def step(carry, at):
            dh, dparams = carry
            t, x, h, dout = at
            if slip != "outputs' cotangent":
                dh = dh + dout
            gate, new = halves(params, h, x)
            seen = (t < lengths)[:, None]
            if slip == "padding steps":
                seen = jnp.ones_like(seen)
            d = jnp.where(seen, dh, 0)
            dgate = d * (h - new) * gate * (1 - gate)
            if slip == "gate constant":
                dgate = 0 * dgate
            dnew = d * (1 - gate) * (1 + new) * (1 - new)
            da = jnp.concatenate([dgate, dnew], -1)
            add = (x.T @ da, h.T @ da, da.sum(0))
            dparams = jax.tree.map(jnp.add, dparams, add)
            back = jnp.where(seen, d * gate + da @ wh.T, dh)
            return (back, dparams), da @ wx.T

        start = (cot[1], jax.tree.map(jnp.zeros_like, params))
        steps = (jnp.arange(len(xs)), xs, before, cot[0])
        (dh, dparams), dxs = lax.scan(step, start, steps, reverse=True)
        return dparams, dh, dxs, None

    scan.defvjp(fwd, bwd)
    return scan, scan.fun

"""Recurrent layers and scans over time."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def tokens_and_decays(rng):
    r, k, v = (normal(rng, 7, 4) for _ in range(3))
    return r, k, v, normal(rng, 7, 4, mean=-0.5, std=0.5), normal(rng, 4, std=0.3)


@case(
    "RWKV-6 in JAX: matrix states, a decay for each token, a bonus for the present",
    "recurrence",
    tokens_and_decays,
    Twin(
        "state of the receptance",
        "index|residual|operand",
        "r",
        "The receptance is multiplied by the state after the token.",
    ),
    Twin(
        "double exponential",
        "factor|function",
        "w",
        "The decay is pulled back through one of its two exponentials.",
    ),
    Twin(
        "bonus of the keys",
        "term|path",
        "k",
        "The present token's bonus is missing from the gradient of its key.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def rwkv6_recurrence(slip):
    def step(state, inputs, u):
        r, k, v, w = inputs
        outer = k[:, None] * v
        y = r @ (state + u[:, None] * outer)
        return jnp.exp(-jnp.exp(w))[:, None] * state + outer, (y, state)

    def scanned(r, k, v, w, u):
        start = jnp.zeros((k.shape[-1], v.shape[-1]), k.dtype)
        return jax.lax.scan(lambda s, x: step(s, x, u), start, (r, k, v, w))

    @jax.custom_vjp
    def wkv(r, k, v, w, u):
        return scanned(r, k, v, w, u)[1][0]

    def fwd(r, k, v, w, u):
        last, (y, states) = scanned(r, k, v, w, u)
        return y, (r, k, v, w, u, states, last)

    def bwd(res, g):
        r, k, v, w, u, states, last = res
        after = jnp.concatenate([states[1:], last[None]])

        def back(carry, inputs):
            dstate, du = carry
            r, k, v, w, state, later, g = inputs
            outer = k[:, None] * v
            bonus = u * r * (v @ g)
            seen = later if slip == "state of the receptance" else state
            dr = (seen + u[:, None] * outer) @ g
            dk = dstate @ v
            if slip != "bonus of the keys":
                dk = dk + bonus
            dv = k @ dstate + (r * u * k).sum() * g
            decay = jnp.exp(-jnp.exp(w))
            dw = -decay * (dstate * state).sum(-1)
            if slip != "double exponential":
                dw = dw * jnp.exp(w)
            du = du + r * k * (v @ g)
            dstate = decay[:, None] * dstate + r[:, None] * g
            return (dstate, du), (dr, dk, dv, dw)

        inputs = (r, k, v, w, states, after, g)
        zero = (jnp.zeros_like(last), jnp.zeros_like(u))
        (_, du), grads = jax.lax.scan(back, zero, inputs, reverse=True)
        return *grads, du

    wkv.defvjp(fwd, bwd)
    return wkv, wkv.fun


def head_and_memory(rng):
    controls = {
        "key": normal(rng, 4),
        "strength": normal(rng),
        "gate": normal(rng),
        "shift": normal(rng, 3),
        "sharpen": normal(rng),
    }
    previous = jax.nn.softmax(normal(rng, 7))
    return controls, normal(rng, 7, 4), previous


@case(
    "addressing of neural Turing machines in haiku: content, gate, shift, sharpening",
    "memory",
    head_and_memory,
    Twin(
        "direction of the shift",
        "index|sign|transpose|function",
        "controls memory previous",
        "The weights are pulled back through a shift in the direction of the forward.",
    ),
    Twin(
        "gate of the previous",
        "swap|operand|factor|ratio",
        "previous",
        "The previous weights are given the share of the content's.",
    ),
    Twin(
        "length of the key",
        "term|path",
        "controls",
        "The key's length is taken for a constant in the cosines.",
    ),
    fixed=(2,),
    narrow=False,
    scales=(0.1, 1.0, 3.0),
)
def ntm_addressing(slip):
    eps = 1e-8

    def norm(a):
        return jnp.sqrt((a * a).sum(-1) + eps)

    def parts(controls, memory, previous):
        key = controls["key"]
        cosine = memory @ key / (norm(memory) * norm(key))
        strength = jax.nn.softplus(controls["strength"])
        content = jax.nn.softmax(strength * cosine)
        gate = jax.nn.sigmoid(controls["gate"])
        gated = gate * content + (1 - gate) * previous
        shift = jax.nn.softmax(controls["shift"])
        moved = sum(shift[j] * jnp.roll(gated, j - 1) for j in range(3))
        logs = jnp.log(moved + eps)
        gamma = 1 + jax.nn.softplus(controls["sharpen"])
        w = jax.nn.softmax(gamma * logs)
        return w, (cosine, strength, content, gate, gated, shift, moved, logs, gamma)

    @jax.custom_vjp
    def address(controls, memory, previous):
        return parts(controls, memory, previous)[0]

    def fwd(controls, memory, previous):
        w, kept = parts(controls, memory, previous)
        return w, (controls, memory, previous, w, kept)

    def pull(p, dp):
        return p * (dp - (p * dp).sum())

    def bwd(res, g):
        controls, memory, previous, w, kept = res
        cosine, strength, content, gate, gated, shift, moved, logs, gamma = kept
        dlogits = pull(w, g)
        dmoved = dlogits * gamma / (moved + eps)
        back = 1 if slip == "direction of the shift" else -1
        dgated = sum(shift[j] * jnp.roll(dmoved, back * (j - 1)) for j in range(3))
        dshift = [(dmoved * jnp.roll(gated, j - 1)).sum() for j in range(3)]
        share = gate if slip == "gate of the previous" else 1 - gate
        dscores = pull(content, gate * dgated)
        dcosine = strength * dscores
        key, rows = controls["key"], norm(memory)
        dkey = (dcosine / rows) @ memory / norm(key)
        if slip != "length of the key":
            dkey = dkey - (dcosine * cosine).sum() * key / norm(key) ** 2
        along = dcosine[:, None] * (
            key / (rows * norm(key))[:, None] - (cosine / rows**2)[:, None] * memory
        )
        dgate = (dgated * (content - previous)).sum() * gate * (1 - gate)
        grads = {
            "key": dkey,
            "strength": (dscores * cosine).sum() * sigmoid(controls["strength"]),
            "gate": dgate,
            "shift": pull(shift, jnp.stack(dshift)),
            "sharpen": (dlogits * logs).sum() * sigmoid(controls["sharpen"]),
        }
        return grads, along, share * dgated

    sigmoid = jax.nn.sigmoid
    address.defvjp(fwd, bwd)
    return address, address.fun

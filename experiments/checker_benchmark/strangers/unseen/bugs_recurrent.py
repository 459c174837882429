"""Bugs of recurrences, with their threads."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "state-spaces/mamba#342",
    "state space",
    lambda rng: (
        normal(rng, 5, 2),
        normal(rng, 5, 2),
        positive(rng, 2, low=0.2, high=0.9),
    ),
    Twin(
        "as reported", "zero", "z", "The gate's gradient is computed and not returned."
    ),
    kind="bug",
    name="gated_scan_output mamba#342",
    options=by_reference,
    fixed=(2,),
)
def gated_scan_output(slip):
    def states(x, decay):
        def step(h, x):
            new = decay * h + x
            return new, (new, h)

        return lax.scan(step, jnp.zeros_like(decay), x)[1]

    def plain(x, z, decay):
        return states(x, decay)[0] * jax.nn.silu(z)

    @jax.custom_vjp
    def mix(x, z, decay):
        return plain(x, z, decay)

    def fwd(x, z, decay):
        return plain(x, z, decay), (x, z, decay)

    def bwd(res, g):
        x, z, decay = res
        h, before = states(x, decay)
        s = jax.nn.sigmoid(z)
        dz = g * h * (s + z * s * (1 - s))

        def step(dh, g):
            dh = dh + g
            return decay * dh, dh

        _, dh = lax.scan(step, jnp.zeros_like(decay), g * z * s, reverse=True)
        return dh, jnp.zeros_like(z) if slip else dz, (dh * before).sum(0)

    mix.defvjp(fwd, bwd)
    return mix, plain


def complex_steps(rng):
    def draw_complex(size):
        z = rng.normal(size=(8, 2)) + 1j * rng.normal(size=(8, 2))
        return jnp.asarray(size * z, jnp.complex64)

    return draw_complex(0.5), draw_complex(1.0), 4


@case(
    "proger/accelerated-scan#15",
    "linear recurrence",
    complex_steps,
    Twin(
        "as reported",
        "index|region|factor|operand|path|term",
        "gates tokens",
        "Between blocks the local sum is scaled, not the carry.",
    ),
    kind="bug",
    name="blocked_complex_scan accelerated-scan#15",
    options=by_reference,
    fixed=(0,),
    narrow=False,
)
def blocked_complex_scan(slip):
    def plain(gates, tokens, block):
        def step(h, t):
            a, x = t
            new = a * h + x
            return new, new

        return lax.scan(step, jnp.zeros_like(tokens[0]), (gates, tokens))[1]

    scan = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(gates, tokens, block):
        h = plain(gates, tokens, block)
        return h, (gates, h)

    def bwd(block, res, g):
        gates, h = res
        T = len(g)
        after = jnp.concatenate([gates[1:], jnp.zeros_like(gates[:1])])
        carry, parts = jnp.zeros_like(g[0]), []
        for end in range(T, 0, -block):
            start = max(0, end - block)
            local, total = jnp.zeros_like(carry), jnp.ones_like(carry)
            part = []
            for t in reversed(range(start, end)):
                local, total = g[t] + after[t] * local * (t < end - 1), total * after[t]
                whole = local * total + carry if slip else local + total * carry
                part.append(whole)
            carry = part[-1]
            parts = part[::-1] + parts
        dh = jnp.stack(parts)
        before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
        return dh * before, dh

    scan.defvjp(fwd, bwd)
    return scan, plain


@case(
    "tile-ai/TileOPs#633",
    "delta rule",
    lambda rng: (
        normal(rng, 5, 3),
        unit_rows(rng, 5, 3),
        normal(rng, 5, 2),
        positive(rng, 5, low=0.2, high=0.9),
    ),
    Twin(
        "as reported",
        "path|term",
        "k",
        "The key's part in what is read from the state has no gradient.",
    ),
    kind="bug",
    name="delta_rule_write TileOPs#633",
    options=by_reference,
    fixed=(1, 3),
)
def delta_rule_write(slip):
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
            new = S + b * jnp.outer(k, e)
            dS = dS + jnp.outer(q, do)
            de = b * (k @ dS)
            dk = b * (dS @ e)
            if not slip:
                dk = dk - S @ de
            return dS - jnp.outer(k, de), (new @ do, dk, de, k @ dS @ e)

        q, k, v, beta, before = res
        xs = (q, k, v, beta, before, do)
        return lax.scan(step, jnp.zeros_like(before[0]), xs, reverse=True)[1]

    delta.defvjp(fwd, bwd)
    return delta, plain


@case(
    "ooples/AiDotNet#722",
    "recurrent layer",
    lambda rng: (normal(rng, 4, 3), normal(rng, 3, 3), normal(rng, 3)),
    Twin(
        "as reported",
        "path|term",
        "x w h",
        "The hidden state's cotangent is set to 0 between the steps.",
    ),
    kind="bug",
    name="lstm_bptt AiDotNet#722",
    options=by_reference,
)
def lstm_bptt(slip):
    def run(x, w, h):
        def step(h, x):
            new = jnp.tanh(x + h @ w)
            return new, (new, h)

        return lax.scan(step, h, x)[1]

    def plain(x, w, h):
        return run(x, w, h)[0]

    @jax.custom_vjp
    def rnn(x, w, h):
        return run(x, w, h)[0]

    def fwd(x, w, h):
        hs, before = run(x, w, h)
        return hs, (hs, before, w)

    def bwd(res, g):
        hs, before, w = res

        def step(state, t):
            dh, dw = state
            h, old, g = t
            dz = (dh + g) * (1 - h * h)
            past = dz @ w.T
            return (0 * past if slip else past, dw + jnp.outer(old, dz)), dz

        start = (jnp.zeros_like(hs[0]), jnp.zeros_like(w))
        (dh, dw), dx = lax.scan(step, start, (hs, before, g), reverse=True)
        return dx, dw, dh

    rnn.defvjp(fwd, bwd)
    return rnn, plain

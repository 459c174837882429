"""Bugs of scans in state spaces, with their threads."""

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
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "state-spaces/mamba#368",
    "state space",
    lambda rng: (normal(rng, 8, 2), normal(rng, 8, 2), -positive(rng, 2), 4),
    Twin(
        "as reported",
        "index|region|mask|edge",
        "x delta decay",
        "In an incomplete last chunk the steps after the end decay too.",
        witness=lambda rng: (
            normal(rng, 6, 2),
            normal(rng, 6, 2),
            -positive(rng, 2),
            4,
        ),
    ),
    kind="bug",
    name="padded_chunk_scan mamba#368",
    options=by_reference,
    fixed=(2,),
)
def padded_chunk_scan(slip):
    def run(x, delta, decay):
        dt = jax.nn.softplus(delta)

        def step(h, part):
            x, dt = part
            new = jnp.exp(dt * decay) * h + dt * x
            return new, (new, h)

        return lax.scan(step, jnp.zeros_like(decay), (x, dt))[1]

    def plain(x, delta, decay, chunk):
        return run(x, delta, decay)[0]

    scan = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, delta, decay, chunk):
        hs, before = run(x, delta, decay)
        return hs, (x, delta, decay, before)

    def bwd(chunk, res, g):
        x, delta, decay, before = res
        T = len(x)
        more = -T % chunk
        dt = jax.nn.softplus(delta)
        a = jnp.exp(dt * decay)
        if slip and more:
            # the scan from the right starts in the padding, whose decay is not 1
            a = a.at[-1].mul(jnp.exp(jnp.log(2.0) * decay * more).astype(a.dtype))

        def step(dh, part):
            a, g = part
            dh = dh + g
            return a * dh, dh

        _, dh = lax.scan(step, jnp.zeros_like(decay), (a, g), reverse=True)
        da = dh * before * a
        ddt = da * decay + dh * x
        return dh * dt, ddt * jax.nn.sigmoid(delta), (da * dt).sum(0)

    scan.defvjp(fwd, bwd)
    return scan, plain


def bc_args(rng):
    return normal(rng, 6), normal(rng, 6, 3), normal(rng, 6, 3), jnp.ones(3)


@case(
    "state-spaces/mamba#919",
    "state space",
    bc_args,
    Twin(
        "as reported",
        "operand|residual|function|factor",
        "x b c",
        "What was saved after its norm is normalised once more.",
        witness=lambda rng: (*bc_args(rng)[:3], positive(rng, 3)),
    ),
    kind="bug",
    name="normalised_bc_scan mamba#919",
    options=by_reference,
    fixed=(3,),
)
def normalised_bc_scan(slip):
    def rms(b, gain):
        return gain * b * lax.rsqrt((b * b).mean(-1, keepdims=True) + 1e-5)

    def scan(x, b, c):
        def step(h, part):
            x, b, c = part
            new = 0.8 * h + x * b
            return new, (new @ c, new)

        return lax.scan(step, jnp.zeros_like(b[0]), (x, b, c))[1]

    def plain(x, b, c, gain):
        return scan(x, rms(b, gain), c)[0]

    @jax.custom_vjp
    def mix(x, b, c, gain):
        return plain(x, b, c, gain)

    def fwd(x, b, c, gain):
        normed = rms(b, gain)
        y, states = scan(x, normed, c)
        return y, (x, b, c, gain, normed, states)

    def bwd(res, g):
        x, b, c, gain, normed, states = res
        if slip:
            normed = rms(normed, gain)
            states = scan(x, normed, c)[1]

        def step(dh, part):
            x, b, c, g = part
            dh = dh + g * c
            return 0.8 * dh, (dh @ b, x * dh)

        zero = jnp.zeros_like(b[0])
        _, (dx, dn) = lax.scan(step, zero, (x, normed, c, g), reverse=True)
        db, dgain = jax.vjp(rms, b, gain)[1](dn)
        return dx, db, g[:, None] * states, dgain

    mix.defvjp(fwd, bwd)
    return mix, plain


@case(
    "state-spaces/mamba#537",
    "state space",
    lambda rng: (normal(rng, 8, std=0.3), normal(rng, 8), 4),
    Twin(
        "as reported",
        "index|region|sum|mask",
        "log_decay",
        "The pointer of the sum overshoots: each block's last entry stays 0.",
    ),
    kind="bug",
    name="stable_segments mamba#537",
)
def stable_segments(slip):
    def weights(log_decay):
        total = jnp.cumsum(log_decay)
        past = jnp.tril(jnp.ones((len(total), len(total)), bool))
        return jnp.exp(jnp.where(past, total[:, None] - total, -1e30))

    def plain(log_decay, x, block):
        return weights(log_decay) @ x

    segments = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(log_decay, x, block):
        return plain(log_decay, x, block), (log_decay, x)

    def bwd(block, res, g):
        log_decay, x = res
        w = weights(log_decay)
        moved = w * g[:, None] * x
        dtotal = moved.sum(1) - moved.sum(0)
        dlog = jnp.cumsum(dtotal[::-1])[::-1]
        if slip:
            dlog = dlog.at[block - 1 :: block].set(0)
        return dlog, w.T @ g

    segments.defvjp(fwd, bwd)
    return segments, plain

"""Recurrences, scans, spectra, densities."""

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
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "S5 and LRU: complex diagonal state spaces",
    "linear recurrence",
    lambda rng: (
        positive(rng, 3, low=0.3, high=0.9),
        normal(rng, 3),
        normal(rng, 6, 3),
    ),
    Twin(
        "not conjugated",
        "sign|transpose|function|operand",
        "decay angle x",
        "The adjoint recurrence turns the same way.",
    ),
    Twin(
        "state of the step",
        "index|residual|operand",
        "decay angle",
        "The state after the step, not before it.",
    ),
    options=by_reference,
    fixed=(0,),
    narrow=False,
)
def diagonal_ssm(slip):
    def plain(decay, angle, x):
        a = decay * jnp.exp(1j * angle)

        def step(h, u):
            h = a * h + u
            return h, h.real

        return lax.scan(step, jnp.zeros_like(a), x)[1]

    def states(a, x):
        def combine(left, right):
            return left[0] * right[0], right[0] * left[1] + right[1]

        many = jnp.broadcast_to(a, x.shape)
        return lax.associative_scan(combine, (many, x.astype(a.dtype)))[1]

    @jax.custom_vjp
    def ssm(decay, angle, x):
        return states(decay * jnp.exp(1j * angle), x).real

    def fwd(decay, angle, x):
        h = states(decay * jnp.exp(1j * angle), x)
        return h.real, (decay, angle, h)

    def bwd(res, g):
        decay, angle, h = res
        turn = jnp.exp(1j * angle)
        a = decay * turn
        back = a if slip == "not conjugated" else a.conj()
        dh = states(back, g[::-1])[::-1]
        before = jnp.concatenate([jnp.zeros_like(h[:1]), h[:-1]])
        da = (dh * (h if slip == "state of the step" else before).conj()).sum(0)
        ddecay = (da * turn.conj()).real
        dangle = (da * (1j * a).conj()).real
        return ddecay, dangle, dh.real

    ssm.defvjp(fwd, bwd)
    return ssm, plain


@case(
    "minimal GRUs in equinox, unrolled by scan",
    "recurrent layer",
    lambda rng: (
        normal(rng, 5, 3),
        normal(rng, 3, 3),
        normal(rng, 3, 3),
        normal(rng, 3),
    ),
    Twin(
        "gate's path to the past",
        "path|term",
        "x wz wh h0",
        "The gate's dependence on the state is cut.",
    ),
    Twin(
        "carry kept",
        "factor|operand|function",
        "x wz wh h0",
        "The carry's cotangent is times z, not 1 - z.",
    ),
    options=by_reference,
)
def gru_scan(slip):
    def gates(x, h, wz, wh):
        return jax.nn.sigmoid(x + h @ wz), jnp.tanh(x + h @ wh)

    def run(xs, wz, wh, h0):
        def step(h, x):
            z, c = gates(x, h, wz, wh)
            new = (1 - z) * h + z * c
            return new, (new, h)

        return lax.scan(step, h0, xs)[1]

    def plain(xs, wz, wh, h0):
        return run(xs, wz, wh, h0)[0]

    @jax.custom_vjp
    def gru(xs, wz, wh, h0):
        return run(xs, wz, wh, h0)[0]

    def fwd(xs, wz, wh, h0):
        hs, before = run(xs, wz, wh, h0)
        return hs, (xs, wz, wh, before)

    def bwd(res, g):
        xs, wz, wh, before = res

        def back(state, part):
            dh, dwz, dwh = state
            x, h, gi = part
            z, c = gates(x, h, wz, wh)
            dh = dh + gi
            dz = dh * (c - h) * z * (1 - z)
            dc = dh * z * (1 - c * c)
            past = dh * (z if slip == "carry kept" else 1 - z) + dc @ wh.T
            if slip != "gate's path to the past":
                past = past + dz @ wz.T
            return (past, dwz + jnp.outer(h, dz), dwh + jnp.outer(h, dc)), dz + dc

        start = (jnp.zeros_like(before[0]), jnp.zeros_like(wz), jnp.zeros_like(wh))
        (dh0, dwz, dwh), dx = lax.scan(back, start, (xs, before, g), reverse=True)
        return dx, dwz, dwh, dh0

    gru.defvjp(fwd, bwd)
    return gru, plain


@case(
    "lax.cumlogsumexp written by hand",
    "scan",
    lambda rng: (normal(rng, 3, 6), -1),
    Twin("forward sum", "index|function|transpose|operand", "x", "From the left."),
    Twin(
        "last axis always",
        "axis|option|sum",
        "x",
        "The axis is not heeded.",
        witness=lambda rng: (normal(rng, 3, 6), 0),
    ),
)
def logcumsumexp(slip):
    def plain(x, axis):
        top = lax.stop_gradient(x).max(axis, keepdims=True)
        return jnp.log(jnp.cumsum(jnp.exp(x - top), axis)) + top

    running = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axis):
        y = plain(x, axis)
        return y, (x, y)

    def bwd(axis, res, g):
        x, y = res
        axis = -1 if slip == "last axis always" else axis
        # exp(x - y) of a later y may overflow alone, so both are taken from the top
        top = x.max(axis, keepdims=True)
        scaled = g * jnp.exp(top - y)
        if slip == "forward sum":
            total = jnp.cumsum(scaled, axis)
        else:
            total = jnp.flip(jnp.cumsum(jnp.flip(scaled, axis), axis), axis)
        return (jnp.exp(x - top) * total,)

    running.defvjp(fwd, bwd)
    return running, plain


@case(
    "multi-scale spectral losses of DDSP",
    "spectrum",
    draw(x=(16,)),
    Twin("window forgotten", "factor|operand", "x", "The window is not applied again."),
    Twin(
        "frames overwrite",
        "duplicates|sum|index",
        "x",
        "Frames that overlap are not added.",
    ),
    narrow=False,
)
def stft_magnitude(slip):
    size, hop = 8, 4
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    places = np.arange(0, 9, hop)[:, None] + np.arange(size)

    @jax.custom_vjp
    def magnitude(x):
        return jnp.abs(jnp.fft.rfft(x[places] * window, axis=-1))

    def fwd(x):
        spectrum = jnp.fft.rfft(x[places] * window, axis=-1)
        return jnp.abs(spectrum), (spectrum, jnp.zeros_like(x))

    def bwd(res, g):
        spectrum, zero = res
        size_of = jnp.abs(spectrum)
        unit = jnp.where(size_of > 0, spectrum / jnp.where(size_of > 0, size_of, 1), 0)
        full = jnp.pad(g * unit, ((0, 0), (0, size - g.shape[-1])))
        frames = jnp.fft.ifft(full, axis=-1).real * size
        if slip != "window forgotten":
            frames = frames * window
        frames = frames.astype(zero.dtype)
        if slip == "frames overwrite":
            return (zero.at[places].set(frames),)
        return (zero.at[places].add(frames),)

    magnitude.defvjp(fwd, bwd)
    return magnitude, magnitude.fun

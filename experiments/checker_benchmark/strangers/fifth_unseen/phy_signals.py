"""Sounds and pictures: frames, filters, oscillators, blurs and colours."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def sine_frames(rng):
    window = np.sin(np.pi * (np.arange(8) + 0.5) / 8)
    return normal(rng, 2, 20), jnp.asarray(window, jnp.float32), 4


@case(
    "MDCT of neural audio codecs in JAX: halves overlap, the window is learned",
    "spectrum",
    sine_frames,
    Twin(
        "halves overwritten",
        "duplicates|index",
        "x",
        "Frames overlap, but their cotangents are written and not added.",
    ),
    Twin(
        "window of the synthesis",
        "operand|factor|function|term",
        "x",
        "The frames' cotangents are not windowed on the way back.",
    ),
    Twin(
        "mean over the frames",
        "ratio|sum|factor",
        "window",
        "The window, of all frames, gets a mean over them.",
    ),
)
def mdct_frames(slip):
    def basis(hop, dtype):
        n, k = np.arange(2 * hop)[:, None], np.arange(hop)
        turns = np.cos(np.pi / hop * (n + 0.5 + hop / 2) * (k + 0.5))
        return jnp.asarray(np.sqrt(2 / hop) * turns, dtype)

    def places(length, hop):
        count = length // hop - 1
        return hop * np.arange(count)[:, None] + np.arange(2 * hop)

    def plain(x, window, hop):
        frames = x[:, places(x.shape[1], hop)]
        return (window * frames) @ basis(hop, x.dtype)

    transform = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(x, window, hop):
        return plain(x, window, hop), (x, window)

    def bwd(hop, res, g):
        x, window = res
        at = places(x.shape[1], hop)
        dframes = g @ basis(hop, x.dtype).T
        per_frame = (dframes * x[:, at]).sum(0)
        mean = slip == "mean over the frames"
        dwindow = per_frame.mean(0) if mean else per_frame.sum(0)
        if slip != "window of the synthesis":
            dframes = window * dframes
        target = jnp.zeros_like(x).at[:, at]
        if slip == "halves overwritten":
            return target.set(dframes), dwindow
        return target.add(dframes), dwindow

    transform.defvjp(fwd, bwd)
    return transform, plain


@case(
    "torchlpc, ported to JAX: all-pole filters with coefficients for every sample",
    "recursive filter",
    lambda rng: (normal(rng, 2, 12), normal(rng, 2, 12, 3, std=0.3), jnp.zeros((2, 3))),
    Twin(
        "coefficients of the sample",
        "index|transpose|operand|residual",
        "x a start",
        "Backwards each sample is filtered by its own coefficients, not by those of "
        "the samples that it fed.",
    ),
    Twin(
        "inputs in place of outputs",
        "residual|operand",
        "a",
        "The coefficients' gradient has the past inputs.",
    ),
    Twin(
        "start held",
        "zero|path|term",
        "start",
        "The samples before the first have no gradient.",
    ),
    fixed=(1,),
)
def time_varying_allpole(slip):
    def run(x, a, start):
        def step(past, item):
            x, a = item
            y = x - (a * past).sum(-1)
            moved = jnp.concatenate([y[:, None], past[:, :-1]], 1)
            return moved, (y, past)

        items = (jnp.moveaxis(x, 1, 0), jnp.moveaxis(a, 1, 0))
        ys, pasts = lax.scan(step, start, items)[1]
        return jnp.moveaxis(ys, 0, 1), pasts

    @jax.custom_vjp
    def synthesise(x, a, start):
        return run(x, a, start)[0]

    def fwd(x, a, start):
        y, pasts = run(x, a, start)
        return y, (x, a, start, pasts)

    def bwd(res, g):
        x, a, start, pasts = res
        coefficients = jnp.moveaxis(a, 1, 0)
        if slip == "inputs in place of outputs":
            history = jnp.concatenate([start[:, ::-1], x], 1)
            lags = [history[:, 2 - k : 2 - k + x.shape[1]] for k in range(3)]
            pasts = jnp.moveaxis(jnp.stack(lags, -1), 1, 0)

        def own(after, item):
            g, a, past = item
            d = g - (a * after).sum(-1)
            moved = jnp.concatenate([d[:, None], after[:, :-1]], 1)
            return moved, (d, -d[:, None] * past)

        def back(dpast, item):
            g, a, past = item
            d = g + dpast[:, 0]
            moved = jnp.pad(dpast[:, 1:], ((0, 0), (0, 1)))
            return moved - a * d[:, None], (d, -d[:, None] * past)

        step = own if slip == "coefficients of the sample" else back
        items = (jnp.moveaxis(g, 1, 0), coefficients, pasts)
        dstart, (dx, da) = lax.scan(step, jnp.zeros_like(start), items, reverse=True)
        if slip == "start held":
            dstart = jnp.zeros_like(start)
        return jnp.moveaxis(dx, 0, 1), jnp.moveaxis(da, 0, 1), dstart

    synthesise.defvjp(fwd, bwd)
    return synthesise, synthesise.fun


def voice(pitch):
    def args(rng):
        f0 = pitch * (1 + 0.05 * rng.normal(size=(2, 10)))
        return jnp.asarray(f0, jnp.float32), positive(rng, 2, 10, 5), 16000

    return args


@case(
    "DDSP in JAX: a bank of harmonic oscillators, silent above Nyquist",
    "synthesis",
    voice(440.0),
    Twin(
        "sum of the past",
        "transpose|sum|index",
        "f0",
        "The phase is a running sum; its gradient is summed in the same direction.",
    ),
    Twin(
        "number of the harmonic",
        "ratio|factor|term",
        "f0",
        "That the k-th harmonic turns k times as fast is left out.",
    ),
    Twin(
        "above Nyquist",
        "mask|region|predicate",
        "amplitudes",
        "Silenced harmonics' amplitudes have gradients.",
        witness=voice(2500.0),
    ),
    fixed=(0,),
    narrow=False,
)
def harmonic_synthesiser(slip):
    def bank(f0, amplitudes, rate):
        k = jnp.arange(1, amplitudes.shape[-1] + 1, dtype=f0.dtype)
        phase = jnp.cumsum(2 * jnp.pi / rate * f0, -1)[..., None] * k
        return k, phase, k * f0[..., None] < rate / 2

    def plain(f0, amplitudes, rate):
        _, phase, heard = bank(f0, amplitudes, rate)
        return jnp.where(heard, amplitudes * jnp.sin(phase), 0).sum(-1)

    synthesise = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(f0, amplitudes, rate):
        return plain(f0, amplitudes, rate), (f0, amplitudes)

    def bwd(rate, res, g):
        f0, amplitudes = res
        k, phase, heard = bank(f0, amplitudes, rate)
        each = jnp.where(heard, g[..., None], 0)
        loud = g[..., None] if slip == "above Nyquist" else each
        times = 1 if slip == "number of the harmonic" else k
        dphase = (each * amplitudes * times * jnp.cos(phase)).sum(-1)
        if slip == "sum of the past":
            later = jnp.cumsum(dphase, -1)
        else:
            later = lax.cumsum(dphase, dphase.ndim - 1, reverse=True)
        return 2 * jnp.pi / rate * later, loud * jnp.sin(phase)

    synthesise.defvjp(fwd, bwd)
    return synthesise, plain

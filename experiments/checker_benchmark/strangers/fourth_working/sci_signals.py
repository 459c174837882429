"""Signals: cepstral coefficients, fractional delays, resampling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.fft import dct, idct

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def log_energies(axis):
    def args(rng):
        shape = (5, 8) if axis == -1 else (8, 5)
        return normal(rng, *shape), 4, axis, 22.0

    return args


@case(
    "librosa's cepstral coefficients in JAX: orthonormal DCT with a lifter",
    "spectrum",
    log_energies(-1),
    Twin(
        "back transform not scaled",
        "ratio|factor|option|constant|function",
        "x",
        "The inverse transform is called without its orthonormal scaling.",
    ),
    Twin("lifter", "factor|operand|term", "x", "Its weights are left out."),
    Twin(
        "last axis",
        "axis|option|transpose|sum|index",
        "x",
        "The cotangents are transformed along the last axis, whatever the axis.",
        witness=log_energies(0),
    ),
    narrow=False,
)
def orthonormal_dct(slip):
    def lift(y, axis, lifter):
        n = jnp.arange(y.shape[axis], dtype=y.dtype)
        weights = 1 + lifter / 2 * jnp.sin(jnp.pi * (n + 1) / lifter)
        along = [1] * y.ndim
        along[axis] = -1
        return y * weights.reshape(along)

    def plain(x, count, axis, lifter):
        y = dct(x, norm="ortho", axis=axis)
        return lift(lax.slice_in_dim(y, 0, count, axis=axis), axis, lifter)

    coefficients = jax.custom_vjp(plain, nondiff_argnums=(1, 2, 3))

    def fwd(x, count, axis, lifter):
        return plain(x, count, axis, lifter), jnp.zeros((x.shape[axis], 0), x.dtype)

    def bwd(count, axis, lifter, like, g):
        if slip != "lifter":
            g = lift(g, axis, lifter)
        widths = [(0, 0)] * g.ndim
        widths[axis] = (0, len(like) - count)
        norm = None if slip == "back transform not scaled" else "ortho"
        back = -1 if slip == "last axis" else axis
        return (idct(jnp.pad(g, widths), norm=norm, axis=back),)

    coefficients.defvjp(fwd, bwd)
    return coefficients, plain


def microphones(length):
    def args(rng):
        return normal(rng, 2, 3, length), positive(rng, 3, low=0.2, high=2.8)

    return args


@case(
    "fractional delays of arrays of microphones in JAX (pyroomacoustics ports)",
    "spectrum",
    microphones(8),
    Twin(
        "delayed again",
        "sign|operand|function|index",
        "x",
        "The cotangent is delayed once more, not advanced.",
    ),
    Twin(
        "one-sided sum",
        "factor|ratio|term|constant",
        "delay",
        "Bins that stand for two frequencies count once.",
    ),
    Twin(
        "last bin",
        "factor|option|edge|index|region|elements|term|ratio",
        "delay",
        "The last bin counts once, as if the length were even.",
        witness=microphones(7),
    ),
    fixed=(1,),
    narrow=False,
)
def fractional_delay(slip):
    def turns(delay, length):
        """Angles of the bins, and the ramp of a delay in samples."""
        angle = 2 * jnp.pi * jnp.arange(length // 2 + 1, dtype=delay.dtype) / length
        phase = angle * delay[:, None]
        return angle, lax.complex(jnp.cos(phase), -jnp.sin(phase))

    @jax.custom_vjp
    def shift(x, delay):
        n = x.shape[-1]
        return jnp.fft.irfft(jnp.fft.rfft(x) * turns(delay, n)[1], n)

    def fwd(x, delay):
        spectrum = jnp.fft.rfft(x)
        y = jnp.fft.irfft(spectrum * turns(delay, x.shape[-1])[1], x.shape[-1])
        return y, (spectrum, delay)

    def bwd(res, g):
        spectrum, delay = res
        n = g.shape[-1]
        angle, ramp = turns(delay, n)
        back = jnp.fft.rfft(g)
        towards = ramp if slip == "delayed again" else ramp.conj()
        count = np.full(n // 2 + 1, 2.0)
        count[0] = 1
        if n % 2 == 0 or slip == "last bin":
            count[-1] = 1
        if slip == "one-sided sum":
            count[:] = 1
        moved = spectrum * ramp  # times -i angle
        if n % 2 == 0:  # the last bin's imaginary part is dropped
            known = (back[..., -1].real * spectrum[..., -1].real)[..., None]
            last = known * ramp[..., -1:].imag
        product = back.real * moved.imag - back.imag * moved.real
        if n % 2 == 0:
            product = jnp.concatenate([product[..., :-1], last], -1)
        weights = angle * jnp.asarray(count, g.dtype) / n
        ddelay = (product * weights).sum((*range(g.ndim - 2), -1))
        return jnp.fft.irfft(back * towards, n), ddelay

    shift.defvjp(fwd, bwd)
    return shift, shift.fun


@case(
    "scipy.signal.upfirdn and resample_poly, as ported to JAX",
    "resampling",
    lambda rng: (normal(rng, 2, 6), normal(rng, 7), 3, 2),
    Twin(
        "filter reversed",
        "index|operand|transpose",
        "x",
        "The taps are in the order of the forward's convolution.",
    ),
    Twin("gain", "ratio|factor|option|constant", "h", "The gain of `up` is left out."),
    Twin(
        "first signal",
        "sum|axis|index|term",
        "h",
        "The filter's gradient is not summed over the batch.",
    ),
)
def upfirdn(slip):
    def plain(x, h, up, down):
        reach = len(h) - 1
        taps = up * h[::-1]
        return lax.conv_general_dilated(
            x[:, None],
            taps[None, None],
            (down,),
            [(reach, reach)],
            lhs_dilation=(up,),
        )[:, 0]

    resample = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(x, h, up, down):
        return plain(x, h, up, down), (x, h)

    def bwd(up, down, res, g):
        x, h = res
        outputs, inputs = np.arange(g.shape[1]), np.arange(x.shape[1])
        tap = outputs[:, None] * down - inputs * up
        used = (tap >= 0) & (tap < len(h))
        tap = np.clip(tap, 0, len(h) - 1)
        gain = 1 if slip == "gain" else up
        taps = up * (h[::-1] if slip == "filter reversed" else h)
        dx = g @ jnp.where(used, taps[tap], 0)
        if slip == "first signal":
            g, x = g[:1], x[:1]
        pairs = jnp.where(used, gain * (g.T @ x), 0)
        return dx, jnp.zeros_like(h).at[tap].add(pairs)

    resample.defvjp(fwd, bwd)
    return resample, plain

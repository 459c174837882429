"""Audio and images: spectra in decibels, envelopes, filters, morphology."""

import jax
import jax.numpy as jnp
import numpy as np
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


def spectrogram(rng):
    return positive(rng, 5, 8), positive(rng, 8, 3, low=0, high=0.5), 1e-10, 80.0


def decaying(rng):
    power, bank, floor, _ = spectrogram(rng)
    return power * 10.0 ** -jnp.arange(5.0)[:, None], bank, floor, 25.0


@case(
    "librosa's melspectrogram and power_to_db, as ported to JAX",
    "spectrum",
    spectrogram,
    Twin(
        "peak constant",
        "path|term|mask",
        "power bank",
        "What is held up to 80 dB below the peak does not pull the peak.",
        witness=decaying,
    ),
    Twin(
        "held bins",
        "mask|region|predicate",
        "power bank",
        "Bins that are held up have a gradient.",
        witness=decaying,
    ),
    Twin(
        "natural logarithm",
        "factor|ratio|constant",
        "power bank",
        "The gradient is that of 10 ln, not of 10 log10.",
    ),
    narrow=False,
)
def log_mel_energies(slip):
    def decibels(power, bank, floor):
        mel = power @ bank
        return mel, 10 * jnp.log10(jnp.maximum(mel, floor))

    def plain(power, bank, floor, top):
        _, db = decibels(power, bank, floor)
        return jnp.maximum(db, db.max() - top)

    def kept(a, low):
        return jnp.where(a == low, 0.5, a > low).astype(a.dtype)

    energies = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(power, bank, floor, top):
        return plain(power, bank, floor, top), (power, bank)

    def bwd(floor, top, res, g):
        power, bank = res
        mel, db = decibels(power, bank, floor)
        share = kept(db, db.max() - top)
        ddb = g if slip == "held bins" else g * share
        if slip != "peak constant":
            peaks = (db == db.max()).astype(g.dtype)
            ddb = ddb + (g * (1 - share)).sum() * peaks / peaks.sum()
        unit = 1.0 if slip == "natural logarithm" else np.log(10)
        dmel = 10 / unit * ddb * kept(mel, floor) / jnp.maximum(mel, floor)
        return dmel @ bank.T, power.T @ dmel

    energies.defvjp(fwd, bwd)
    return energies, plain


@case(
    "envelope followers of differentiable compressors (dasp and JAX ports)",
    "recurrence",
    lambda rng: (normal(rng, 2, 9), jnp.float32(0.3), jnp.float32(0.9)),
    Twin(
        "own state",
        "residual|operand|index",
        "attack release",
        "A coefficient's gradient takes the state after the step.",
    ),
    Twin(
        "attack for both",
        "mask|region|swap|operand",
        "x attack release",
        "The way back always goes through the attack.",
    ),
    Twin(
        "rectifier",
        "sign|factor",
        "x",
        "The sign of the samples is not put back.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def envelope_follower(slip):
    def step(level, loud, attack, release):
        a = jnp.where(loud > level, attack, release)
        return a * level + (1 - a) * loud

    def run(x, attack, release):
        def body(level, loud):
            new = step(level, loud, attack, release)
            return new, (level, new)

        start = jnp.zeros(x.shape[0], x.dtype)
        return lax.scan(body, start, jnp.abs(x).T)[1]

    @jax.custom_vjp
    def follow(x, attack, release):
        return run(x, attack, release)[1].T

    def fwd(x, attack, release):
        before, after = run(x, attack, release)
        return after.T, (x, attack, release, before, after)

    def bwd(res, g):
        x, attack, release, before, after = res

        def body(carry, part):
            dlevel, dattack, drelease = carry
            loud, level, new, dy = part
            dnew = dlevel + dy
            rising = loud > level
            if slip == "attack for both":
                rising = jnp.ones_like(rising)
            a = jnp.where(rising, attack, release)
            held = new if slip == "own state" else level
            da = dnew * (held - loud)
            dattack = dattack + jnp.where(rising, da, 0).sum()
            drelease = drelease + jnp.where(rising, 0, da).sum()
            return (a * dnew, dattack, drelease), (1 - a) * dnew

        zero = jnp.zeros((), x.dtype)
        start = (jnp.zeros(x.shape[0], x.dtype), zero, zero)
        parts = (jnp.abs(x).T, before, after, g.T)
        (_, dattack, drelease), dloud = lax.scan(body, start, parts, reverse=True)
        dx = dloud.T if slip == "rectifier" else dloud.T * jnp.sign(x)
        return dx, dattack, drelease

    follow.defvjp(fwd, bwd)
    return follow, follow.fun


def bands(rng):
    return (
        normal(rng, 2, 16),
        jnp.asarray([0.02, 0.1, 0.2], jnp.float32),
        jnp.asarray([0.08, 0.1, 0.1], jnp.float32),
        7,
    )


def wide_bands(rng):
    x, low, band, taps = bands(rng)
    return x, low, band + 0.25, taps


@case(
    "SincNet's band-pass filters in flax",
    "convolution",
    bands,
    Twin(
        "edges apart",
        "term|path",
        "low",
        "That the low edge moves the high one is left out.",
    ),
    Twin(
        "beyond half the rate",
        "mask|region|predicate",
        "low band",
        "A high edge that is held at half the rate is moved all the same.",
        witness=wide_bands,
    ),
    Twin(
        "window",
        "factor|operand",
        "low band",
        "The edges' gradient is without the window.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def sinc_bandpass(slip):
    def setting(taps, dtype):
        n = np.arange(taps) - (taps - 1) / 2
        return jnp.asarray(n, dtype), jnp.asarray(np.hamming(taps), dtype)

    def edges(low, band):
        first = 0.01 + jnp.abs(low)
        high = first + jnp.abs(band)
        return first, high, jnp.minimum(high, 0.5)

    def filters(low, band, taps):
        n, window = setting(taps, low.dtype)
        first, _, last = edges(low, band)

        def passing(f):
            return 2 * f[:, None] * jnp.sinc(2 * f[:, None] * n)

        return (passing(last) - passing(first)) * window

    def filtered(x, bank):
        return lax.conv_general_dilated(x[:, None], bank[:, None], (1,), "SAME")

    def plain(x, low, band, taps):
        return filtered(x, filters(low, band, taps))

    bandpass = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, low, band, taps):
        y, pull = jax.vjp(filtered, x, filters(low, band, taps))
        return y, (pull, low, band)

    def bwd(taps, res, g):
        pull, low, band = res
        dx, dbank = pull(g)
        n, window = setting(taps, low.dtype)
        if slip != "window":
            dbank = dbank * window
        first, high, last = edges(low, band)

        def slope(f):
            return (dbank * 2 * jnp.cos(2 * np.pi * f[:, None] * n)).sum(1)

        dlast = slope(last)
        if slip != "beyond half the rate":
            dlast = dlast * jnp.where(high == 0.5, 0.5, high < 0.5)
        dfirst = -slope(first)
        if slip != "edges apart":
            dfirst = dfirst + dlast
        return dx, dfirst * jnp.sign(low), dlast * jnp.sign(band)

    bandpass.defvjp(fwd, bwd)
    return bandpass, plain


@case(
    "kornia.morphology.dilation with a structuring element, as ported to JAX",
    "morphology",
    draw(image=(5, 6), element=(3, 3)),
    Twin(
        "mirrored",
        "index|region|transpose|elements",
        "image",
        "The windows are put back mirrored.",
    ),
    Twin(
        "every winner whole",
        "mask|factor|ratio|duplicates|elements|edge",
        "image element",
        "Pixels that are equally high each have the whole gradient.",
        witness=lambda rng: (
            jnp.asarray(rng.integers(0, 2, (5, 6)), jnp.float32),
            jnp.zeros((3, 3)),
        ),
    ),
    narrow=False,
)
def grey_dilation(slip):
    def windows(image, size):
        p = size // 2
        wide = jnp.pad(image, p, constant_values=-jnp.inf)
        h, w = image.shape
        return jnp.stack(
            [wide[i : i + h, j : j + w] for i in range(size) for j in range(size)]
        )

    def lifted(image, element):
        return windows(image, len(element)) + element.reshape(-1, 1, 1)

    @jax.custom_vjp
    def dilate(image, element):
        return lifted(image, element).max(0)

    def fwd(image, element):
        return dilate.fun(image, element), (image, element)

    def bwd(res, g):
        image, element = res
        values = lifted(image, element)
        share = (values == values.max(0)).astype(g.dtype)
        if slip != "every winner whole":
            share = share / share.sum(0)
        parts = share * g
        size, (h, w) = len(element), image.shape
        p = size // 2
        wide = jnp.zeros((h + 2 * p, w + 2 * p), g.dtype)
        for n, part in enumerate(parts):
            i, j = divmod(n, size)
            if slip == "mirrored":
                i, j = size - 1 - i, size - 1 - j
            wide = wide.at[i : i + h, j : j + w].add(part)
        return wide[p : p + h, p : p + w], parts.sum((1, 2)).reshape(element.shape)

    dilate.defvjp(fwd, bwd)
    return dilate, dilate.fun

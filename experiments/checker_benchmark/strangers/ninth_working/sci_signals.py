"""Signals: distortion, spectral losses and a histogram."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "cubic soft clipper of differentiable audio effects (dasp) in jax ports",
    "distortion of sounds",
    lambda rng: (normal(rng, 9, 2, std=0.5), positive(rng, 2), positive(rng, 2)),
    Twin(
        "beyond the rails",
        "mask|region|residual",
        "sound drive",
        "The slope is computed of the driven sound before it was clipped.",
    ),
    Twin(
        "drive of the sound",
        "factor|ratio",
        "sound",
        "The sound's gradient lacks the drive.",
    ),
    Twin(
        "cube forgotten",
        "function|operand|term",
        "gain",
        "The gain's gradient has the clipped sound for the cubic of it.",
    ),
)
def soft_clip_cubic(slip):
    def plain(sound, drive, gain):
        u = jnp.clip(drive * sound, -1, 1)
        return gain * (1.5 * u - u * u * u / 2)

    effect = jax.custom_vjp(plain)

    def fwd(sound, drive, gain):
        return plain(sound, drive, gain), (sound, drive, gain)

    def bwd(res, g):
        sound, drive, gain = res
        u = jnp.clip(drive * sound, -1, 1)
        v = drive * sound if slip == "beyond the rails" else u
        du = g * gain * 1.5 * (1 - v) * (1 + v)
        shaped = u if slip == "cube forgotten" else 1.5 * u - u * u * u / 2

        def over_time(a):
            return a.reshape(-1, a.shape[-1]).sum(0)

        dsound = du if slip == "drive of the sound" else du * drive
        return dsound, over_time(du * sound), over_time(g * shaped)

    effect.defvjp(fwd, bwd)
    return effect, plain


@case(
    "log-spectral distance of speech enhancement in jax ports",
    "loss of spectra",
    lambda rng: (normal(rng, 2, 5, 6) ** 2, normal(rng, 2, 5, 6) ** 2, 1e-2),
    Twin(
        "bins at the floor",
        "mask|region",
        "pred target",
        "Powers below the floor have a gradient.",
    ),
    Twin(
        "natural logarithm",
        "factor|ratio",
        "pred target",
        "The decibels' factor is not pulled back.",
    ),
    Twin(
        "root of the frames",
        "term|factor|function|ratio",
        "pred target",
        "The square root over a frame is not differentiated.",
    ),
)
def log_spectral_distance(slip):
    decibels = 4.342944819032518

    def pieces(pred, target, floor):
        high, low = (jnp.where(a > floor, a, floor) for a in (pred, target))
        miss = decibels * (jnp.log(high) - jnp.log(low))
        return high, low, miss, jnp.sqrt((miss * miss).mean(-1, keepdims=True) + 1e-6)

    def plain(pred, target, floor):
        return pieces(pred, target, floor)[3].mean()

    distance = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(pred, target, floor):
        return plain(pred, target, floor), (pred, target)

    def bwd(floor, res, g):
        pred, target = res
        high, low, miss, root = pieces(pred, target, floor)
        dmiss = g * miss / pred.size
        if slip != "root of the frames":
            dmiss = dmiss / root
        if slip != "natural logarithm":
            dmiss = dmiss * decibels
        dpred, dtarget = dmiss / high, -dmiss / low
        if slip != "bins at the floor":
            dpred = jnp.where(pred > floor, dpred, 0)
            dtarget = jnp.where(target > floor, dtarget, 0)
        return dpred, dtarget

    distance.defvjp(fwd, bwd)
    return distance, plain


@case(
    "spectral convergence of multi-resolution STFT losses (auraloss)",
    "loss of spectra",
    lambda rng: (normal(rng, 26), normal(rng, 26), 8, 3),
    Twin(
        "overlap overwritten",
        "duplicates|index|sum",
        "pred target",
        "Where frames overlap, the last one's gradient is kept.",
    ),
    Twin(
        "inverse transform",
        "factor|function|transpose",
        "pred target",
        "irfft stands for the transpose of rfft: inner bins count twice.",
    ),
    Twin(
        "norm of the target",
        "term|path|ratio",
        "target",
        "The norm that is divided by is taken as a constant.",
    ),
    narrow=False,
)
def spectral_convergence_loss(slip):
    def places(length, size, hop):
        starts = jnp.arange(0, length - size + 1, hop)
        return starts[:, None] + jnp.arange(size)

    def spectrum(sound, size, hop):
        window = 0.5 - 0.5 * jnp.cos(2 * jnp.pi * jnp.arange(size) / size)
        window = window.astype(sound.dtype)
        bins = jnp.fft.rfft(sound[places(len(sound), size, hop)] * window)
        return window, bins, jnp.sqrt(bins.real**2 + bins.imag**2 + 1e-8)

    def norms(pred, target):
        miss = jnp.sqrt(((pred - target) ** 2).sum() + 1e-8)
        return miss, jnp.sqrt((target**2).sum())

    def plain(pred, target, size, hop):
        one, two = (spectrum(a, size, hop)[2] for a in (pred, target))
        miss, whole = norms(one, two)
        return miss / whole

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(pred, target, size, hop):
        return plain(pred, target, size, hop), (pred, target)

    def bwd(size, hop, res, g):
        pred, target = res
        window, bins, one = spectrum(pred, size, hop)
        _, others, two = spectrum(target, size, hop)
        miss, whole = norms(one, two)
        done = g * (one - two) / miss / whole
        dtwo = -done
        if slip != "norm of the target":
            dtwo = dtwo - g * (miss / whole) * (two / whole) / whole

        def back(dlength, bins, length, like):
            dbins = dlength / length * bins
            if slip == "inverse transform":
                frames = jnp.fft.irfft(dbins, size) * size
            else:
                frames = jnp.fft.ifft(dbins, size).real * size
            frames = (frames * window).astype(like.dtype)
            at = jnp.zeros_like(like).at[places(len(like), size, hop)]
            return at.set(frames) if slip == "overlap overwritten" else at.add(frames)

        return back(done, bins, one, pred), back(dtwo, others, two, target)

    loss.defvjp(fwd, bwd)
    return loss, plain


def pixels(rng):
    centres = jnp.linspace(-1.5, 1.5, 6, dtype=jnp.float32)
    return normal(rng, 9), positive(rng, 9), centres, jnp.float32(0.4)


@case(
    "soft histogram by kernels (kornia) in jax ports",
    "histogram",
    pixels,
    Twin(
        "normalised weights",
        "term|path",
        "weights",
        "The weights' total that is divided by is taken as a constant.",
    ),
    Twin(
        "shift of the centres",
        "sign",
        "centres",
        "The centres' gradient has the sign of the values'.",
    ),
    Twin(
        "power of the width",
        "factor|ratio|function",
        "width",
        "The width's gradient is divided by its square, not its cube.",
    ),
    narrow=False,
)
def soft_histogram(slip):
    def shares(values, centres, width):
        apart = values[:, None] - centres
        return apart, jax.nn.softmax(-(apart * apart) / (2 * width * width), axis=-1)

    @jax.custom_vjp
    def histogram(values, weights, centres, width):
        p = shares(values, centres, width)[1]
        return weights @ p / (weights.sum() + 1e-6)

    def fwd(values, weights, centres, width):
        h = histogram.fun(values, weights, centres, width)
        return h, (values, weights, centres, width, h)

    def bwd(res, g):
        values, weights, centres, width, h = res
        apart, p = shares(values, centres, width)
        g = g / (weights.sum() + 1e-6)
        dweights = p @ g
        if slip != "normalised weights":
            dweights = dweights - g @ h
        dscore = weights[:, None] * p * (g - (p @ g)[:, None])
        dapart = -dscore * apart / (width * width)
        cube = width * width if slip == "power of the width" else width**3
        dwidth = (dscore * apart * apart / cube).sum()
        dcentres = dapart.sum(0)
        if slip != "shift of the centres":
            dcentres = -dcentres
        return dapart.sum(1), dweights, dcentres, dwidth

    histogram.defvjp(fwd, bwd)
    return histogram, histogram.fun

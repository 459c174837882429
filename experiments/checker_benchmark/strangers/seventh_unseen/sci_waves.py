"""Frames of sound, correlations, curves through points and gated vectors."""

import jax
import jax.numpy as jnp

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


def spoken(normalise):
    def args(rng):
        return normal(rng, 4, 6), positive(rng, 6, low=0.3, high=1.0), 3, normalise

    return args


@case(
    "overlap and add of windowed frames in torchaudio, librosa ports",
    "synthesis from frames",
    spoken(True),
    Twin(
        "envelope constant",
        "term|path",
        "window",
        "The sum is divided by the windows' squares: that part is forgotten.",
    ),
    Twin(
        "always normalised",
        "option|factor|ratio|term",
        "frames window",
        "Without normalisation the cotangent is divided all the same.",
        witness=spoken(False),
    ),
    Twin(
        "frames averaged",
        "ratio|sum|factor",
        "window",
        "The frames share the window: its gradient is their mean, not their sum.",
    ),
)
def overlap_add_frames(slip):
    def places(frames, hop):
        count, length = frames.shape
        return hop * jnp.arange(count)[:, None] + jnp.arange(length)

    def pieces(frames, window, hop):
        at = places(frames, hop)
        end = hop * (frames.shape[0] - 1) + frames.shape[1]
        nothing = jnp.zeros(end, frames.dtype).at[at]
        squares = jnp.broadcast_to(window**2, frames.shape)
        return at, nothing.add(frames * window), nothing.add(squares)

    def plain(frames, window, hop, normalise):
        _, wave, envelope = pieces(frames, window, hop)
        return wave / envelope if normalise else wave

    synthesise = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(frames, window, hop, normalise):
        return plain(frames, window, hop, normalise), (frames, window)

    def bwd(hop, normalise, res, g):
        frames, window = res
        at, wave, envelope = pieces(frames, window, hop)
        divide = normalise or slip == "always normalised"
        dwave = g / envelope if divide else g
        each = dwave[at]
        gather = jnp.mean if slip == "frames averaged" else jnp.sum
        dwindow = gather(each * frames, 0)
        if divide and slip != "envelope constant":
            denvelope = -dwave * wave / envelope
            dwindow = dwindow + 2 * window * gather(denvelope[at], 0)
        return each * window, dwindow

    synthesise.defvjp(fwd, bwd)
    return synthesise, plain


@case(
    "autocorrelation by FFT in numpyro's diagnostics, librosa ports",
    "correlation by FFT",
    lambda rng: (draw(x=(2, 9))(rng)[0] + 0.5, 5),
    Twin(
        "mean left",
        "term|path",
        "x",
        "The mean that the forward removes isn't removed from the gradient.",
    ),
    Twin(
        "earlier samples only",
        "term|path|transpose",
        "x",
        "A sample is the earlier and the later of its pairs: one is forgotten.",
    ),
    Twin(
        "variance constant",
        "term|path",
        "x",
        "The correlations are divided by the variance: forgotten.",
    ),
    narrow=False,
)
def autocorrelation_fft(slip):
    def centred(x):
        return x - x.mean(-1, keepdims=True)

    def sums(y, lags):
        size = 2 * y.shape[-1]
        power = jnp.abs(jnp.fft.rfft(y, size)) ** 2
        return jnp.fft.irfft(power, size)[..., :lags]

    def plain(x, lags):
        c = sums(centred(x), lags)
        return c / c[..., :1]

    correlate = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, lags):
        y = centred(x)
        c = sums(y, lags)
        return c / c[..., :1], (y, c)

    def bwd(lags, res, g):
        y, c = res
        dc = g / c[..., :1]
        if slip != "variance constant":
            through = (dc * c).sum(-1) / c[..., 0]
            dc = dc.at[..., 0].add(-through)
        size = 2 * y.shape[-1]
        spectrum, taps = jnp.fft.rfft(y, size), jnp.fft.rfft(dc, size)
        both = taps if slip == "earlier samples only" else 2 * taps.real
        dy = jnp.fft.irfft(spectrum * both, size)[..., : y.shape[-1]]
        return (dy if slip == "mean left" else centred(dy),)

    correlate.defvjp(fwd, bwd, optimize_remat=True)
    return correlate, plain


def path(rng):
    times = jnp.asarray([0.2, 0.7, 1.4, 2.6, 3.3, 3.8, 1.9], jnp.float32)
    return normal(rng, 5, 3), times, 0.5


@case(
    "curves of Catmull and Rom through points in diffvg, robotics planners",
    "spline",
    path,
    Twin(
        "points of several pieces",
        "duplicates|index|sum",
        "points",
        "A point that shapes several pieces keeps one cotangent.",
    ),
    Twin(
        "tension of the standard curve",
        "option|factor|ratio",
        "times",
        "The slope of the curve has no tension in it.",
    ),
    Twin(
        "repeated ends",
        "edge|index|mask|term",
        "points",
        "The ends stand in for their missing neighbours: that share is lost.",
    ),
    fixed=(1,),
)
def catmull_rom_curve(slip):
    def piece(points, times):
        last = points.shape[0] - 1
        start = jnp.clip(jnp.floor(times), 0, last - 1).astype(jnp.int32)
        wanted = start[:, None] + jnp.arange(-1, 3)
        return wanted, jnp.clip(wanted, 0, last), times - start

    def blend(u, k):
        a = -k * u + 2 * k * u**2 - k * u**3
        b = 1 + (k - 3) * u**2 + (2 - k) * u**3
        c = k * u + (3 - 2 * k) * u**2 + (k - 2) * u**3
        return jnp.stack([a, b, c, -k * u**2 + k * u**3], -1)

    def blend_slope(u, k):
        a = -k + 4 * k * u - 3 * k * u**2
        b = 2 * (k - 3) * u + 3 * (2 - k) * u**2
        c = k + 2 * (3 - 2 * k) * u + 3 * (k - 2) * u**2
        return jnp.stack([a, b, c, -2 * k * u + 3 * k * u**2], -1)

    def plain(points, times, tension):
        _, at, u = piece(points, times)
        return jnp.einsum("mk,mkc->mc", blend(u, tension), points[at])

    curve = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def bwd(tension, res, g):
        points, times = res
        wanted, at, u = piece(points, times)
        share = blend(u, tension)[..., None] * g[:, None]
        if slip == "repeated ends":
            share = jnp.where((wanted == at)[..., None], share, 0)
        into = jnp.zeros_like(points).at[at]
        once = slip == "points of several pieces"
        dpoints = into.set(share) if once else into.add(share)
        k = 1.0 if slip == "tension of the standard curve" else tension
        return dpoints, jnp.einsum("mk,mkc,mc->m", blend_slope(u, k), points[at], g)

    curve.defvjp(lambda p, t, k: (plain(p, t, k), (p, t)), bwd)
    return curve, plain


def features(dtype):
    def args(rng):
        arrays = draw(scalars=(4, 2), gates=(4, 3), vectors=(4, 3, 3))(rng)
        return (*(a.astype(dtype) for a in arrays), normal(rng, 3))

    return args


@case(
    "gate of scalars and vectors in e3nn-jax, nequip ports",
    "equivariant layer",
    features(jnp.float32),
    Twin(
        "mean of the components",
        "ratio|sum|factor",
        "gates bias",
        "A gate is shared by the components of its vector: their mean is taken.",
    ),
    Twin(
        "function of the activation",
        "function|term|path",
        "scalars",
        "The activation's derivative is the sigmoid alone.",
    ),
    Twin(
        "type of the sums",
        "dtype|precision",
        "scalars gates vectors",
        "The gradients stay in the wide type in which they are formed.",
        witness=features(jnp.bfloat16),
        proof="dtype",
    ),
)
def gated_equivariant(slip):
    def wide(*arrays):
        return [a.astype(jnp.promote_types(a.dtype, jnp.float32)) for a in arrays]

    @jax.custom_vjp
    def gate(scalars, gates, vectors, bias):
        s, q, v = wide(scalars, gates, vectors)
        active = s * jax.nn.sigmoid(s)
        gated = jax.nn.sigmoid(q + bias)[..., None] * v
        return active.astype(scalars.dtype), gated.astype(vectors.dtype)

    plain = gate.fun

    def bwd(res, cotangents):
        scalars, gates, vectors, bias = res
        s, q, v, ds, dv = wide(scalars, gates, vectors, *cotangents)
        y = jax.nn.sigmoid(s)
        slope = y if slip == "function of the activation" else y + s * y * (1 - y)
        opened = jax.nn.sigmoid(q + bias)
        gather = jnp.mean if slip == "mean of the components" else jnp.sum
        dq = gather(dv * v, -1) * opened * (1 - opened)
        grads = (ds * slope, dq, dv * opened[..., None])
        if slip != "type of the sums":
            pairs = zip(grads, (scalars, gates, vectors), strict=True)
            grads = tuple(d.astype(a.dtype) for d, a in pairs)
        return *grads, dq.sum(0).astype(bias.dtype)

    gate.defvjp(lambda *args: (plain(*args), args), bwd)
    return gate, plain

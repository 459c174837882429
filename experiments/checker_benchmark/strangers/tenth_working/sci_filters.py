"""Delays, lattices and filters there and back."""

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


@case(
    "differentiable JPEG with a cubic round (DiffJPEG, kornia) in jax",
    "block transform with closed-over tables",
    lambda rng: (normal(rng, 2, 4, 4, std=3.0), positive(rng, 2)),
    Twin(
        "transform back",
        "transpose|function|swap",
        "x",
        "The cosine matrix is not transposed on the way back.",
    ),
    Twin(
        "cubic",
        "factor|function|power|term",
        "x quality",
        "The derivative of the cubic remainder lacks its 3.",
    ),
    Twin(
        "quality in the quotient",
        "term|path",
        "quality",
        "The quality's gradient is taken where it multiplies, not where it divides.",
    ),
    narrow=False,
)
def jpeg_soft_round(slip):
    n = np.arange(4)
    basis = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / 8)
    basis = basis * np.where(n[:, None] == 0, 0.5, np.sqrt(0.5))
    table = (1.0 + 0.5 * (n[:, None] + n[None])).astype(np.float32)

    def dct(x, forward=True):
        D = jnp.asarray(basis, x.dtype)
        if forward:
            return jnp.einsum("ui,vj,nij->nuv", D, D, x)
        return jnp.einsum("ui,vj,nuv->nij", D, D, x)

    def plain(x, quality):
        q = table.astype(x.dtype) * quality[:, None, None]
        c = dct(x) / q
        r = jnp.round(c)
        return dct((r + (c - r) ** 3) * q, forward=False)

    codec = jax.custom_vjp(plain)

    def fwd(x, quality):
        return plain(x, quality), (dct(x), quality)

    def bwd(res, g):
        C, quality = res
        T = table.astype(C.dtype)
        q = T * quality[:, None, None]
        c = C / q
        r = jnp.round(c)
        G = dct(g)
        k = 1 if slip == "cubic" else 3
        dc = G * q * k * (c - r) ** 2
        dq = G * (r + (c - r) ** 3)
        if slip != "quality in the quotient":
            dq = dq - dc * c / q
        dx = dct(dc / q, forward=slip == "transform back")
        return dx, (dq * T).sum((1, 2))

    codec.defvjp(fwd, bwd)
    return codec, plain


@case(
    "lattice synthesis by reflection coefficients (LPC vocoders) in jax",
    "recursive filter in lattice form",
    lambda rng: (normal(rng, 6), positive(rng, 2, low=-0.6, high=0.6)),
    Twin(
        "backward wave",
        "term|path",
        "sound k",
        "The backward wave's memory has no gradient.",
    ),
    Twin(
        "coefficient's second place",
        "term|path",
        "k",
        "A coefficient counts where it is taken off and not where it is added.",
    ),
    narrow=False,
    fixed=(1,),
)
def lattice_allpole_filter(slip):
    def tick(b, x, k):
        # b: backward waves [order] of the sample before
        f, new = x, []
        for i in reversed(range(len(k))):
            f = f - k[i] * b[i]
            new.append(b[i] + k[i] * f)
        # the wave of stage i goes to stage i + 1
        shifted = jnp.stack([f, *new[::-1][:-1]])
        return shifted, f

    def plain(sound, k):
        return lax.scan(lambda b, x: tick(b, x, k), jnp.zeros_like(k), sound)[1]

    synth = jax.custom_vjp(plain)

    def fwd(sound, k):
        def step(b, x):
            new, y = tick(b, x, k)
            return new, (y, b)

        _, (y, waves) = lax.scan(step, jnp.zeros_like(k), sound)
        return y, (sound, k, waves)

    def bwd(res, g):
        sound, k, waves = res

        def back(carry, inp):
            dshift, dk = carry
            b, x, gy = inp
            fs = [x]
            for i in reversed(range(len(k))):
                fs.append(fs[-1] - k[i] * b[i])
            # fs[len(k) - i] is what leaves stage i
            df = gy + dshift[0]
            db = [None] * len(k)
            for i in range(len(k)):
                dnew = dshift[i + 1] if i + 1 < len(k) else 0.0
                f_out = fs[len(k) - i]
                df = df + dnew * k[i]
                own = -df * b[i]
                if slip != "coefficient's second place":
                    own = own + dnew * f_out
                dk = dk.at[i].add(own)
                db[i] = dnew - df * k[i]
            dnext = jnp.stack(db)
            if slip == "backward wave":
                dnext = jnp.zeros_like(dnext)
            return (dnext, dk), df

        start = (jnp.zeros_like(k), jnp.zeros_like(k))
        (_, dk), dx = lax.scan(back, start, (waves, sound, g), reverse=True)
        return dx, dk

    synth.defvjp(fwd, bwd)
    return synth, plain


@case(
    "zero-phase smoothing, an EMA there and back again (scipy's filtfilt) in jax",
    "zero-phase filter",
    lambda rng: (normal(rng, 7, 2), positive(rng, 2, low=0.2, high=0.8)),
    Twin(
        "first sample",
        "edge|term|mask|region|index|path",
        "signal rate",
        "The start at the first sample is forgotten on the way back.",
    ),
    Twin(
        "rate of one pass",
        "term|path",
        "rate",
        "The rate's gradient is that of the second pass.",
    ),
    Twin(
        "smoothed in place of raw",
        "residual|operand",
        "rate",
        "The first pass's gradient of the rate takes its output for its input.",
    ),
)
def forward_backward_ema(slip):
    def ema(x, rate):
        def step(m, v):
            m = m + rate * (v - m)
            return m, m

        return lax.scan(step, x[0], x)[1]

    def ema_back(x, y, rate, g):
        prev = jnp.concatenate([x[:1], y[:-1]])

        def step(lam, inp):
            g_t, x_t, p_t = inp
            lam = lam + g_t
            return (1 - rate) * lam, (rate * lam, lam * (x_t - p_t))

        seq = (g, x, prev)
        left, (dx, drate) = lax.scan(step, jnp.zeros_like(rate), seq, reverse=True)
        if slip != "first sample":
            dx = dx.at[0].add(left)
        return dx, drate.sum(0)

    def plain(signal, rate):
        return ema(ema(signal, rate)[::-1], rate)[::-1]

    smooth = jax.custom_vjp(plain)

    def fwd(signal, rate):
        there = ema(signal, rate)
        again = ema(there[::-1], rate)
        return again[::-1], (signal, there, again, rate)

    def bwd(res, g):
        signal, there, again, rate = res
        dmid, drate2 = ema_back(there[::-1], again, rate, g[::-1])
        raw = there if slip == "smoothed in place of raw" else signal
        dsignal, drate1 = ema_back(raw, there, rate, dmid[::-1])
        return dsignal, drate2 if slip == "rate of one pass" else drate1 + drate2

    smooth.defvjp(fwd, bwd)
    return smooth, plain

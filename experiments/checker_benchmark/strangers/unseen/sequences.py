"""Recurrences and convolutions, in time, by blocks and by FFT."""

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
    "Mamba's selective scan in JAX",
    "state space",
    lambda rng: (
        normal(rng, 6, 2),
        positive(rng, 6, 2, low=0.1, high=0.6),
        -positive(rng, 2, 3),
        *draw(b=(6, 3), c=(6, 3))(rng),
        normal(rng, 2),
    ),
    Twin("skip dropped", "path|term", "x", "dx lacks the path past the state."),
    Twin(
        "decay's path to delta",
        "path|term",
        "delta",
        "delta has a gradient through the input only.",
    ),
    Twin("b of one channel", "sum|index|axis", "b", "db is not summed over channels."),
    options=by_reference,
    fixed=(1, 2),
)
def selective_scan(slip):
    def run(x, delta, a, b, c, d):
        def step(h, t):
            x, dt, b, c = t
            new = jnp.exp(dt[:, None] * a) * h + (dt * x)[:, None] * b
            return new, (new @ c + d * x, h)

        return lax.scan(step, jnp.zeros_like(a), (x, delta, b, c))[1]

    def plain(x, delta, a, b, c, d):
        return run(x, delta, a, b, c, d)[0]

    @jax.custom_vjp
    def scan(x, delta, a, b, c, d):
        return run(x, delta, a, b, c, d)[0]

    def fwd(x, delta, a, b, c, d):
        y, before = run(x, delta, a, b, c, d)
        return y, (x, delta, a, b, c, d, before)

    def bwd(res, g):
        x, delta, a, b, c, d, before = res

        def step(state, t):
            dh, da = state
            x, dt, b, c, h, g = t
            decay = jnp.exp(dt[:, None] * a)
            new = decay * h + (dt * x)[:, None] * b
            dh = dh + g[:, None] * c
            ddecay = dh * h * decay
            ddt = (dh @ b) * x
            if slip != "decay's path to delta":
                ddt = ddt + (ddecay * a).sum(1)
            dx = (dh @ b) * dt
            if slip != "skip dropped":
                dx = dx + d * g
            db = dh.T @ (dt * x)
            if slip == "b of one channel":
                db = dh[0] * (dt * x)[0]
            grads = (dx, ddt, db, new.T @ g)
            return (dh * decay, da + ddecay * dt[:, None]), grads

        start = (jnp.zeros_like(a), jnp.zeros_like(a))
        xs = (x, delta, b, c, before, g)
        (_, da), (dx, ddt, db, dc) = lax.scan(step, start, xs, reverse=True)
        return dx, ddt, da, db, dc, (g * x).sum(0)

    scan.defvjp(fwd, bwd)
    return scan, plain


@case(
    "Mamba's causal convolution with SiLU",
    "convolution",
    draw(x=(6, 3), weight=(4, 3), bias=(3,)),
    Twin("taps reversed", "index|transpose|function", "weight", "dw in reverse order."),
    Twin(
        "activation's slope",
        "function|factor|term",
        "x weight bias",
        "s(1-s) for the slope of SiLU.",
    ),
)
def causal_conv1d(slip):
    def taps(x, width):
        padded = jnp.pad(x, ((width - 1, 0), (0, 0)))
        return jnp.stack([padded[i : i + len(x)] for i in range(width)])

    @jax.custom_vjp
    def conv(x, weight, bias):
        z = jnp.einsum("wtd,wd->td", taps(x, len(weight)), weight) + bias
        return jax.nn.silu(z)

    def fwd(x, weight, bias):
        return conv.fun(x, weight, bias), (x, weight, bias)

    def bwd(res, g):
        x, weight, bias = res
        W, T = len(weight), len(x)
        z = jnp.einsum("wtd,wd->td", taps(x, W), weight) + bias
        s = jax.nn.sigmoid(z)
        slope = s * (1 - s)
        if slip != "activation's slope":
            slope = s + z * slope
        dz = g * slope
        ahead = jnp.pad(dz, ((0, W - 1), (0, 0)))
        dx = sum(weight[i] * ahead[W - 1 - i : W - 1 - i + T] for i in range(W))
        dw = jnp.einsum("wtd,td->wd", taps(x, W), dz)
        return dx, dw[::-1] if slip == "taps reversed" else dw, dz.sum(0)

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


@case(
    "RWKV's weighted keys and values",
    "linear attention",
    lambda rng: (positive(rng, 3, low=0.3, high=1.0), *draw(k=(5, 3), v=(5, 3))(rng)),
    Twin(
        "denominator constant",
        "path|term",
        "k decay",
        "The sum of weights is taken as constant.",
    ),
    Twin("decay's sign", "sign", "decay", "The decay's gradient has the other sign."),
    options=by_reference,
    fixed=(0,),
)
def wkv_recurrence(slip):
    def weights(decay, k):
        T = len(k)
        ago = jnp.arange(T)[:, None] - jnp.arange(T)
        w = k - jnp.maximum(ago, 0)[..., None] * decay
        past = (ago >= 0)[..., None]
        return ago, jax.nn.softmax(jnp.where(past, w, -1e30), axis=1)

    def plain(decay, k, v):
        return (weights(decay, k)[1] * v).sum(1)

    def run(decay, k, v):
        def step(state, t):
            num, den, top = state
            k, v = t
            new = jnp.maximum(top - decay, k)
            old, now = jnp.exp(top - decay - new), jnp.exp(k - new)
            num, den = old * num + now * v, old * den + now
            return (num, den, new), num / den

        zero = jnp.zeros_like(decay)
        return lax.scan(step, (zero, zero, zero - 1e30), (k, v))[1]

    @jax.custom_vjp
    def wkv(decay, k, v):
        return run(decay, k, v)

    def fwd(decay, k, v):
        y = run(decay, k, v)
        return y, (decay, k, v, y)

    def bwd(res, g):
        decay, k, v, y = res
        ago, p = weights(decay, k)
        centred = v if slip == "denominator constant" else v - y[:, None]
        dw = g[:, None] * p * centred
        ddecay = -(dw * jnp.maximum(ago, 0)[..., None]).sum((0, 1))
        if slip == "decay's sign":
            ddecay = -ddecay
        return ddecay, dw.sum(0), (g[:, None] * p).sum(0)

    wkv.defvjp(fwd, bwd)
    return wkv, plain


@case(
    "Hyena's long convolution by FFT",
    "convolution by FFT",
    draw(u=(2, 7), kernel=(7,)),
    Twin(
        "correlation's sign",
        "transpose|function|operand",
        "u kernel",
        "The spectrum is not conjugated.",
    ),
    Twin(
        "wraps round",
        "index|function|region",
        "u",
        "Too little padding in the backward.",
    ),
    narrow=False,
)
def long_convolution(slip):
    def spectrum(x, n):
        return jnp.fft.rfft(x, n)

    @jax.custom_vjp
    def conv(u, kernel):
        T = u.shape[-1]
        product = spectrum(u, 2 * T) * spectrum(kernel, 2 * T)
        return jnp.fft.irfft(product, 2 * T)[..., :T].astype(u.dtype)

    def fwd(u, kernel):
        return conv.fun(u, kernel), (u, kernel)

    def bwd(res, g):
        u, kernel = res
        T = u.shape[-1]

        def back(x, n):
            other = spectrum(x, n)
            if slip != "correlation's sign":
                other = other.conj()
            return jnp.fft.irfft(spectrum(g, n) * other, n)[..., :T].astype(g.dtype)

        du = back(kernel, T if slip == "wraps round" else 2 * T)
        return du, back(u, 2 * T).sum(0)

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


def spectral_args(rng):
    weight = normal(rng, 2, 3, 3) + 1j * normal(rng, 2, 3, 3)
    return normal(rng, 8, 2), weight.astype(jnp.complex64)


@case(
    "Fourier neural operators with complex weights",
    "convolution by FFT",
    spectral_args,
    Twin(
        "weight conjugated",
        "sign|transpose|function|operand",
        "weight",
        "The weight's gradient is conjugated.",
    ),
    Twin("modes shifted", "index|region", "x", "dx is put one mode too high."),
    narrow=False,
)
def spectral_convolution(slip):
    def plain(x, weight):
        modes = weight.shape[-1]
        X = jnp.fft.rfft(x, axis=0)[:modes]
        Y = jnp.einsum("mi,iom->mo", X, weight)
        whole = jnp.zeros((len(x) // 2 + 1, weight.shape[1]), Y.dtype).at[:modes].set(Y)
        return jnp.fft.irfft(whole, len(x), axis=0).astype(x.dtype)

    @jax.custom_vjp
    def spectral(x, weight):
        return plain(x, weight)

    def fwd(x, weight):
        X = jnp.fft.rfft(x, axis=0)[: weight.shape[-1]]
        return plain(x, weight), (X, weight, jnp.zeros_like(x))

    def bwd(res, g):
        X, weight, zero = res
        n, modes = len(g), weight.shape[-1]
        # irfft counts every mode but the first and the last twice, over n
        twice = np.full(modes, 2.0)
        twice[0] = 1.0
        G = jnp.fft.rfft(g, axis=0)[:modes].conj() * (twice / n)[:, None]
        G = G.astype(weight.dtype)
        dweight = jnp.einsum("mi,mo->iom", X, G)
        dX = jnp.einsum("mo,iom->mi", G, weight)
        start = 1 if slip == "modes shifted" else 0
        whole = (
            jnp.zeros((n, zero.shape[1]), dX.dtype).at[start : start + modes].set(dX)
        )
        dx = jnp.fft.fft(whole, axis=0).real
        return dx.astype(
            zero.dtype
        ), dweight.conj() if slip == "weight conjugated" else dweight

    spectral.defvjp(fwd, bwd)
    return spectral, plain

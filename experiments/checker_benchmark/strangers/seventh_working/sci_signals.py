"""Filters, companding, trends and interpolants of sampled signals."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "pre-emphasis of speech in torchaudio ports",
    "filter of signals",
    lambda rng: (*draw(wave=(3, 8))(rng), jnp.asarray(0.97, jnp.float32)),
    Twin(
        "first sample",
        "edge|index|term|mask",
        "wave coefficient",
        "The first sample stands for its own past: forgotten.",
    ),
    Twin(
        "causal backward",
        "transpose|index",
        "wave",
        "The cotangent is filtered forwards in time, not backwards.",
    ),
)
def pre_emphasis(slip):
    def past(wave):
        return jnp.concatenate([wave[..., :1], wave[..., :-1]], -1)

    @jax.custom_vjp
    def emphasise(wave, coefficient):
        return wave - coefficient * past(wave)

    plain = emphasise.fun

    def bwd(res, g):
        wave, coefficient = res
        before = past(wave)
        if slip == "first sample":
            before = before.at[..., 0].set(0)
        if slip == "causal backward":
            ahead = past(g)
        else:
            ahead = jnp.concatenate([g[..., 1:], jnp.zeros_like(g[..., :1])], -1)
            if slip != "first sample":
                ahead = ahead.at[..., 0].add(g[..., 0])
        return g - coefficient * ahead, -(g * before).sum()

    emphasise.defvjp(lambda *args: (plain(*args), args), bwd)
    return emphasise, plain


@case(
    "companding by the mu law in torchaudio, wavenet ports",
    "elementwise",
    lambda rng: (jnp.asarray(rng.uniform(-0.9, 0.9, (2, 7)), jnp.float32), 255.0),
    Twin(
        "sign twice",
        "sign",
        "x",
        "The sign is multiplied once more in the backward pass.",
    ),
    Twin(
        "mu of the inner derivative",
        "factor|ratio|term",
        "x",
        "The inner derivative, mu, is forgotten.",
    ),
    scales=(0.1, 1.0),
)
def mu_law_compand(slip):
    def plain(x, mu):
        sign = jnp.where(x < 0, -1, 1).astype(x.dtype)
        return sign * jnp.log1p(mu * sign * x) / jnp.log1p(mu)

    compand = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, mu):
        return plain(x, mu), x

    def bwd(mu, x, g):
        inner = 1.0 if slip == "mu of the inner derivative" else mu
        dx = g * inner / (1 + mu * jnp.abs(x)) / jnp.log1p(mu)
        dx = dx.astype(x.dtype)
        return (dx * jnp.sign(x) if slip == "sign twice" else dx,)

    compand.defvjp(fwd, bwd)
    return compand, plain


def recordings(rng):
    wave = draw(wave=(2, 9))(rng)[0] + jnp.linspace(0, 2, 9, dtype=jnp.float32)
    times = jnp.linspace(0, 1, 9, dtype=jnp.float32) + normal(rng, 9, std=0.03)
    return wave, times


@case(
    "detrending by a straight line in scipy.signal ports",
    "least squares",
    recordings,
    Twin(
        "mean left",
        "term|path",
        "wave",
        "The line's height is a constant in the backward pass.",
    ),
    Twin(
        "slope constant",
        "term|path",
        "times",
        "The times move the slope of the line: that part is forgotten.",
    ),
    narrow=False,
)
def linear_detrend(slip):
    def fit(wave, times):
        t = times - times.mean()
        y = wave - wave.mean(-1, keepdims=True)
        return t, y, (y @ t)[..., None] / (t @ t)

    @jax.custom_vjp
    def detrend(wave, times):
        t, y, slope = fit(wave, times)
        return y - slope * t

    plain = detrend.fun

    def fwd(wave, times):
        t, y, slope = fit(wave, times)
        return y - slope * t, (t, y, slope)

    def bwd(res, g):
        t, y, slope = res
        power = t @ t
        along = (g @ t)[..., None]
        dy = g - along / power * t
        if slip != "mean left":
            dy = dy - g.mean(-1, keepdims=True)
        dt = -slope * g
        if slip != "slope constant":
            dt = dt - along * (y - 2 * slope * t) / power
        dt = dt.sum(0)
        return dy, dt - dt.mean()

    detrend.defvjp(fwd, bwd)
    return detrend, plain


def samples(rng):
    values = jnp.asarray([0.1, 0.9, 1.6, 0.4, -0.5, -0.9], jnp.float32)
    queries = jnp.asarray([0.3, 1.1, 1.3, 1.8, 2.6, 3.1, 3.7], jnp.float32)
    return queries, values + normal(rng, 6, std=0.1), 0.8


@case(
    "monotone cubic interpolation of a uniform table in interpax, scipy ports",
    "interpolation",
    samples,
    Twin(
        "slopes constant",
        "term|path",
        "values",
        "The slopes at the knots hold the values: forgotten.",
    ),
    Twin(
        "extrema",
        "mask|region|predicate",
        "values",
        "The slope is 0 where the secants differ in sign; its gradient isn't.",
    ),
    Twin(
        "width of the interval",
        "factor|ratio",
        "queries",
        "The derivative is by the position within the interval.",
    ),
    fixed=(0,),
    narrow=False,
)
def pchip_interpolate(slip):
    def secants(values, width):
        s = jnp.diff(values) / width
        keep = s[1:] * s[:-1] > 0
        return s, keep, jnp.where(keep, s[1:] + s[:-1], 1)

    def evaluate(queries, values, width):
        s, keep, total = secants(values, width)
        inner = jnp.where(keep, 2 * s[1:] * s[:-1] / total, 0)
        slopes = jnp.concatenate([s[:1], inner, s[-1:]])
        i = jnp.clip(jnp.floor(queries / width).astype(jnp.int32), 0, s.shape[0] - 1)
        return i, queries / width - i, slopes

    def hermite(u, width):
        # weights of both values and both slopes
        w = 3 * u**2 - 2 * u**3
        return 1 - w, w, width * u * (1 - u) ** 2, width * u**2 * (u - 1)

    def plain(queries, values, width):
        i, u, slopes = evaluate(queries, values, width)
        a, b, c, d = hermite(u, width)
        return a * values[i] + b * values[i + 1] + c * slopes[i] + d * slopes[i + 1]

    interpolate = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def bwd(width, res, g):
        queries, values = res
        i, u, slopes = evaluate(queries, values, width)
        a, b, c, d = hermite(u, width)
        du = 6 * u * (1 - u) * (values[i + 1] - values[i])
        du = du + width * (1 - u) * (1 - 3 * u) * slopes[i]
        du = du + width * u * (3 * u - 2) * slopes[i + 1]
        dqueries = g * du / (1 if slip == "width of the interval" else width)
        dvalues = jnp.zeros_like(values).at[i].add(a * g).at[i + 1].add(b * g)
        dslopes = jnp.zeros_like(values).at[i].add(c * g).at[i + 1].add(d * g)
        s, keep, total = secants(values, width)
        inner = dslopes[1:-1] / total**2
        if slip != "extrema":
            inner = jnp.where(keep, inner, 0)
        ds = jnp.zeros_like(s).at[0].add(dslopes[0]).at[-1].add(dslopes[-1])
        ds = ds.at[:-1].add(2 * inner * s[1:] ** 2).at[1:].add(2 * inner * s[:-1] ** 2)
        if slip != "slopes constant":
            dvalues = dvalues.at[1:].add(ds / width).at[:-1].add(-ds / width)
        return dqueries, dvalues

    interpolate.defvjp(lambda q, v, w: (plain(q, v, w), (q, v)), bwd)
    return interpolate, plain

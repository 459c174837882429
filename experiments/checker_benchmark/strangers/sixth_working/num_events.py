"""Survival with ageing, held-out likelihoods and networks that sort."""

import math

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


def lives(rng, late=0.0, ageing=0.5):
    times = positive(rng, 8, low=0.5, high=3.0)
    events = jnp.asarray(rng.random(8) < 0.7, jnp.float32)
    entry = late * times
    return times, events, entry, normal(rng, 8, std=0.5), jnp.float32(ageing)


@case(
    "Gompertz hazards of lifelines-like code in JAX, with late entry and censoring",
    "survival",
    lives,
    Twin(
        "no ageing",
        "zero|edge|region|term|path",
        "ageing",
        "Where ageing is zero the integrated hazard has no slope in it.",
        witness=lambda rng: lives(rng, 0.0, 0.0),
    ),
    Twin(
        "late entry",
        "term|path",
        "ageing",
        "The hazard at the entry does not depend on ageing.",
        witness=lambda rng: lives(rng, 0.4),
    ),
    Twin(
        "censored",
        "mask|region|predicate",
        "log_rate",
        "The censored count as events in the gradient of the rate.",
    ),
    fixed=(1,),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def gompertz_log_likelihood(slip):
    """Of each life, given that it was alive at its entry."""

    def ratio(w):
        """(exp(w) - 1) / w and its slope, w = 0 included."""
        small = jnp.abs(w) < 0.3
        near, far = jnp.where(small, w, 0), jnp.where(small, 1, w)
        series = sum(near**n / math.factorial(n + 1) for n in range(10))
        value = jnp.where(small, series, jnp.expm1(far) / far)
        slopes = sum(n * near ** (n - 1) / math.factorial(n + 1) for n in range(1, 11))
        slope = jnp.where(small, slopes, (jnp.exp(far) - jnp.expm1(far) / far) / far)
        return value, slope

    def plain(times, events, entry, log_rate, ageing):
        w = ageing * (times - entry)
        growth = jnp.exp(log_rate + ageing * entry) * (times - entry)
        return events * (log_rate + ageing * times) - growth * ratio(w)[0]

    likelihood = jax.custom_vjp(plain)

    def fwd(times, events, entry, log_rate, ageing):
        args = times, events, entry, log_rate, ageing
        return plain(*args), args

    def bwd(res, g):
        times, events, entry, log_rate, ageing = res
        span = times - entry
        value, slope = ratio(ageing * span)
        at_entry = jnp.exp(log_rate + ageing * entry)
        total = at_entry * span * value
        counted = jnp.ones_like(events) if slip == "censored" else events
        dlog_rate = g * (counted - total)
        if slip == "no ageing":
            slope = jnp.where(ageing * span == 0, 0, slope)
        dageing = events * times - at_entry * span * span * slope
        if slip != "late entry":
            dageing = dageing - entry * total
        dtimes = g * (events * ageing - jnp.exp(log_rate + ageing * times))
        devents = g * (log_rate + ageing * times)
        return dtimes, devents, g * at_entry, dlog_rate, (g * dageing).sum()

    likelihood.defvjp(fwd, bwd)
    return likelihood, plain


def observed(rng):
    x = normal(rng, 6, 2)
    gap = x[:, None] - x[None]
    return jnp.exp(-0.5 * (gap * gap).sum(-1)), normal(rng, 6), jnp.float32(0.1)


@case(
    "leave-one-out predictive likelihoods of Gaussian processes in GPJax",
    "Gaussian process",
    observed,
    Twin(
        "variances",
        "term|path",
        "kernel noise",
        "The predictive variances are held fixed, only the residuals move.",
    ),
    Twin(
        "noise on the diagonal",
        "sum|axis|index",
        "noise",
        "All entries of the kernel's gradient are summed for the noise.",
    ),
    Twin(
        "residuals in the variances",
        "sign|term|path",
        "kernel noise",
        "The squared residuals enter the variances' gradient with the other sign.",
    ),
    narrow=False,
)
def loo_predictive_likelihood(slip):
    """A sum over the points, each predicted from all others."""

    def parts(kernel, y, noise):
        kernel = (kernel + kernel.T) / 2
        inverse = jnp.linalg.inv(kernel + noise * jnp.eye(len(y), dtype=y.dtype))
        return inverse, inverse @ y, jnp.diag(inverse)

    @jax.custom_vjp
    def likelihood(kernel, y, noise):
        _, alpha, c = parts(kernel, y, noise)
        return 0.5 * (jnp.log(c / (2 * jnp.pi)) - alpha * alpha / c).sum()

    def fwd(kernel, y, noise):
        return likelihood.fun(kernel, y, noise), (kernel, y, noise)

    def bwd(res, g):
        inverse, alpha, c = parts(*res)
        dalpha = -g * alpha / c
        square = alpha * alpha / c
        if slip == "residuals in the variances":
            square = -square
        dc = 0.5 * g * (1 + square) / c
        dy = inverse @ dalpha
        da = -jnp.outer(dy, alpha)
        if slip != "variances":
            da = da - (inverse * dc) @ inverse
        da = (da + da.T) / 2
        dnoise = da.sum() if slip == "noise on the diagonal" else jnp.trace(da)
        return da, dy, dnoise

    likelihood.defvjp(fwd, bwd)
    return likelihood, likelihood.fun


@case(
    "differentiable sorting networks (diffsort) in JAX, odd-even, with Cauchy's gates",
    "sorting",
    lambda rng: (normal(rng, 3, 5), jnp.float32(5.0)),
    Twin(
        "gates",
        "term|path",
        "x",
        "The gates are held fixed; values are mixed as they were.",
    ),
    Twin(
        "odd layers",
        "index|region",
        "x steepness",
        "On the way back odd layers compare the pairs of even ones.",
    ),
    Twin(
        "layers' values",
        "residual|operand",
        "x steepness",
        "Gates are recomputed from the values after a layer, not before it.",
    ),
)
def odd_even_sort_network(slip):
    """Rows in ascending order, softly; as many layers as there are columns."""

    def pairs(x, start):
        end = start + (x.shape[-1] - start) // 2 * 2
        return x[..., start:end:2], x[..., start + 1 : end : 2]

    def gates(a, b, steepness):
        return 0.5 + jnp.arctan(steepness * (b - a)) / jnp.pi

    def put(x, start, low, high):
        end = start + 2 * low.shape[-1]
        x = x.at[..., start:end:2].set(low)
        return x.at[..., start + 1 : end : 2].set(high)

    def layers(x, steepness):
        kept = [x]
        for layer in range(x.shape[-1]):
            a, b = pairs(x, layer % 2)
            keep = gates(a, b, steepness)
            low, high = keep * a + (1 - keep) * b, (1 - keep) * a + keep * b
            x = put(x, layer % 2, low, high)
            kept.append(x)
        return x, kept

    @jax.custom_vjp
    def network(x, steepness):
        return layers(x, steepness)[0]

    def fwd(x, steepness):
        y, kept = layers(x, steepness)
        return y, (kept, steepness)

    def bwd(res, g):
        kept, steepness = res
        dsteepness = jnp.zeros_like(steepness)
        for layer in reversed(range(len(kept) - 1)):
            start = 0 if slip == "odd layers" else layer % 2
            x = kept[layer + 1 if slip == "layers' values" else layer]
            (a, b), (dlow, dhigh) = pairs(x, start), pairs(g, start)
            keep = gates(a, b, steepness)
            slope = (dlow - dhigh) * (a - b) / jnp.pi
            slope = slope / (1 + (steepness * (b - a)) ** 2)
            dsteepness = dsteepness + (slope * (b - a)).sum()
            da = keep * dlow + (1 - keep) * dhigh
            db = (1 - keep) * dlow + keep * dhigh
            if slip != "gates":
                da, db = da - slope * steepness, db + slope * steepness
            g = put(g, start, da, db)
        return g, dsteepness

    network.defvjp(fwd, bwd)
    return network, network.fun

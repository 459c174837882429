"""Time series, finance and order statistics."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.stats import norm

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def returns(rng):
    params = [-0.2, 0.25, -0.15, 0.8]
    return normal(rng, 7), jnp.asarray(params, jnp.float32), jnp.float32(-0.3)


@case(
    "EGARCH filter in arch-like volatility packages",
    "volatility",
    returns,
    Twin(
        "asymmetry forgotten",
        "term|path",
        "returns start",
        "The signed part of the shock is left out of its derivative.",
    ),
    Twin(
        "shock takes no variance",
        "term|path|factor",
        "params start",
        "The shock's own division by the volatility is not pulled back.",
    ),
    Twin(
        "after the update",
        "residual|index|operand",
        "params",
        "The persistence's gradient takes the log-variance after the step.",
    ),
    narrow=False,
    fixed=(1,),
)
def egarch_filter(slip):
    mean_size = float(np.sqrt(2 / np.pi))

    def step(params, log_var, r):
        z = r * jnp.exp(-log_var / 2)
        base, size, side, stay = params
        return base + size * (jnp.abs(z) - mean_size) + side * z + stay * log_var

    @jax.custom_vjp
    def log_variances(returns, params, start):
        def body(log_var, r):
            return step(params, log_var, r), log_var

        last, before = lax.scan(body, start, returns)
        return jnp.append(before, last)

    def fwd(returns, params, start):
        path = log_variances.fun(returns, params, start)
        return path, (returns, params, path)

    def bwd(res, g):
        returns, params, path = res
        _, size, side, stay = params

        def body(carry, at):
            up, dparams = carry
            r, now, later, extra = at
            root = jnp.exp(-now / 2)
            z = r * root
            dz = up * size * jnp.sign(z)
            if slip != "asymmetry forgotten":
                dz = dz + up * side
            old = later if slip == "after the update" else now
            one = jnp.ones_like(z)
            dparams += up * jnp.stack([one, jnp.abs(z) - mean_size, z, old])
            down = up * stay
            if slip != "shock takes no variance":
                down = down - dz * z / 2
            return (down + extra, dparams), dz * root

        at = (returns, path[:-1], path[1:], g[:-1])
        carry = (g[-1], jnp.zeros_like(params))
        (dstart, dparams), dreturns = lax.scan(body, carry, at, reverse=True)
        return dreturns, dparams, dstart

    log_variances.defvjp(fwd, bwd)
    return log_variances, log_variances.fun


def two_assets(rng):
    vols = jnp.asarray([0.2, 0.35], jnp.float32)
    spots = positive(rng, 4, 2, low=0.8, high=1.2)
    return spots, vols, jnp.float32(0.3), jnp.float32(1.5)


@case(
    "option to exchange two assets (Margrabe) in QuantLib and tf-quant-finance ports",
    "option price",
    two_assets,
    Twin(
        "correlation's sign",
        "sign",
        "corr",
        "A larger correlation is taken to widen the spread.",
    ),
    Twin(
        "cross term",
        "term|path|factor",
        "vols",
        "The volatilities' gradient lacks the part of the correlation.",
    ),
    Twin(
        "root of the time",
        "ratio|factor|function",
        "vols corr",
        "Vega lacks the root of the time.",
    ),
    fixed=(2, 3),
    narrow=False,
)
def margrabe_option(slip):
    def parts(spots, vols, corr, time):
        var = (vols**2).sum() - 2 * corr * vols[0] * vols[1] + 1e-4
        spread = jnp.sqrt(var * time)
        d = jnp.log(spots[:, 0] / spots[:, 1]) / spread + spread / 2
        return var, d, d - spread

    @jax.custom_vjp
    def price(spots, vols, corr, time):
        _, d1, d2 = parts(spots, vols, corr, time)
        return spots[:, 0] * norm.cdf(d1) - spots[:, 1] * norm.cdf(d2)

    def fwd(*args):
        return price.fun(*args), args

    def bwd(res, g):
        spots, vols, corr, time = res
        var, d1, d2 = parts(spots, vols, corr, time)
        dspots = jnp.stack([g * norm.cdf(d1), -g * norm.cdf(d2)], axis=1)
        sigma = jnp.sqrt(var)
        density = (g * spots[:, 0] * norm.pdf(d1)).sum()
        root = 1.0 if slip == "root of the time" else jnp.sqrt(time)
        dvar = density * root / (2 * sigma)
        cross = 0.0 if slip == "cross term" else corr
        dvols = 2 * dvar * (vols - cross * vols[::-1])
        dcorr = -2 * dvar * vols[0] * vols[1]
        if slip == "correlation's sign":
            dcorr = -dcorr
        return dspots, dvols, dcorr, density * sigma / (2 * jnp.sqrt(time))

    price.defvjp(fwd, bwd)
    return price, price.fun


def zero_curve(rng):
    knots, pays = (0.5, 1.0, 2.0, 5.0), (0.25, 1.0, 1.5, 3.0, 6.0)
    return positive(rng, 4, low=0.01, high=0.05), knots, pays


@case(
    "par rate of a swap from a curve of zero rates in rateslib and QuantLib ports",
    "curve",
    zero_curve,
    Twin(
        "annuity fixed",
        "term|path|sign",
        "rates",
        "The annuity in the denominator is taken to be a constant.",
    ),
    Twin(
        "nearest knot on the left",
        "index|term|factor",
        "rates",
        "A rate between two knots pulls at the left one in full.",
    ),
    Twin(
        "last wins",
        "duplicates|index|sum",
        "rates",
        "Of the payments in one interval one counts.",
    ),
    fixed=(),
    narrow=False,
)
def swap_rate(slip):
    def layout(knots, pays, dtype):
        knots, pays = np.asarray(knots), np.asarray(pays)
        left = np.clip(np.searchsorted(knots, pays) - 1, 0, len(knots) - 2)
        share = (pays - knots[left]) / (knots[left + 1] - knots[left])
        spans = np.diff(pays, prepend=0.0)
        arrays = (np.clip(share, 0, 1), pays, spans)
        return left, *(jnp.asarray(a, dtype) for a in arrays)

    def pieces(rates, knots, pays):
        left, share, times, spans = layout(knots, pays, rates.dtype)
        zero = (1 - share) * rates[left] + share * rates[left + 1]
        factor = jnp.exp(-zero * times)
        return factor, (spans * factor).sum()

    def plain(rates, knots, pays):
        factor, annuity = pieces(rates, knots, pays)
        return (1 - factor[-1]) / annuity

    par = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(rates, knots, pays):
        return plain(rates, knots, pays), rates

    def bwd(knots, pays, rates, g):
        left, share, times, spans = layout(knots, pays, rates.dtype)
        factor, annuity = pieces(rates, knots, pays)
        rate = (1 - factor[-1]) / annuity
        dfactor = jnp.zeros_like(factor).at[-1].set(-1 / annuity)
        if slip != "annuity fixed":
            dfactor = dfactor - rate * spans / annuity
        dzero = -g * times * factor * dfactor
        if slip == "nearest knot on the left":
            share = jnp.zeros_like(share)
        drates = jnp.zeros_like(rates)
        low, high = (1 - share) * dzero, share * dzero
        if slip == "last wins":
            return (drates.at[left].set(low).at[left + 1].add(high),)
        return (drates.at[left].add(low).at[left + 1].add(high),)

    par.defvjp(fwd, bwd)
    return par, plain


@case(
    "Gini coefficient as a fairness term in recommender toolboxes",
    "order statistic",
    lambda rng: (positive(rng, 3, 6),),
    Twin(
        "order forgotten",
        "index|swap|transpose",
        "x",
        "The ranks' weights are given to the values as they came.",
    ),
    Twin(
        "order for ranks",
        "index|transpose|swap",
        "x",
        "The sorting order is gathered with, not scattered to.",
    ),
    Twin(
        "total fixed",
        "term|path",
        "x",
        "The total in the denominator is taken to be a constant.",
    ),
)
def gini_coefficient(slip):
    def weights(x):
        n = x.shape[1]
        rank = jnp.arange(1, n + 1, dtype=x.dtype)
        return (2 * rank - n - 1) / n

    @jax.custom_vjp
    def gini(x):
        return (weights(x) * jnp.sort(x, axis=1)).sum(1) / x.sum(1)

    def fwd(x):
        value = gini.fun(x)
        return value, {"x": x, "value": value, "order": jnp.argsort(x, axis=1)}

    def bwd(res, g):
        x, value, order = res["x"], res["value"], res["order"]
        weight = jnp.broadcast_to(weights(x), x.shape)
        if slip == "order for ranks":
            weight = jnp.take_along_axis(weight, order, axis=1)
        elif slip != "order forgotten":
            inverse = jnp.argsort(order, axis=1)
            weight = jnp.take_along_axis(weight, inverse, axis=1)
        own = 0.0 if slip == "total fixed" else value[:, None]
        return ((g / x.sum(1))[:, None] * (weight - own),)

    gini.defvjp(fwd, bwd)
    return gini, gini.fun

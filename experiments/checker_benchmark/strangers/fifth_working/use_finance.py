"""Option trees and windows of time series, as people write them for their own use."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def contract(rng):
    return *map(jnp.float32, (100.0, 105.0, 0.05, 0.25, 0.75)), 7


@case(
    "American puts on a binomial tree (Cox, Ross, Rubinstein), with all sensitivities",
    "option price",
    contract,
    Twin(
        "exercised nodes",
        "mask|region|predicate",
        "spot strike rate sigma maturity",
        "A node that is exercised passes its cotangent on to later nodes.",
    ),
    Twin(
        "probability and rate",
        "term|path",
        "rate maturity",
        "The probability of a step up is taken as independent of the rate.",
    ),
    Twin(
        "size of a step",
        "term|path",
        "maturity",
        "That the steps up and down grow with the maturity is left out.",
    ),
    fixed=(2, 3, 4),
    narrow=False,
)
def american_put(slip):
    def setup(rate, sigma, maturity, steps):
        dt = maturity / steps
        up = jnp.exp(sigma * jnp.sqrt(dt))
        growth = jnp.exp(rate * dt)
        p = (growth - 1 / up) / (up - 1 / up)
        return dt, up, growth, p

    def lattice(spot, sigma, dt, steps):
        k, i = jnp.arange(steps + 1)[:, None], jnp.arange(steps + 1)
        net = (k - 2 * i).astype(spot.dtype)
        return net, jnp.exp(sigma * jnp.sqrt(dt) * net)

    def tree(spot, strike, rate, sigma, maturity, steps):
        dt, _, growth, p = setup(rate, sigma, maturity, steps)
        prices = spot * lattice(spot, sigma, dt, steps)[1]

        def step(later, price):
            down = jnp.append(later[1:], 0)
            held = (p * later + (1 - p) * down) / growth
            return jnp.maximum(held, strike - price), (later, held)

        last = jnp.maximum(strike - prices[-1], 0)
        first, saved = lax.scan(step, last, prices[:-1], reverse=True)
        return first[0], saved

    def plain(spot, strike, rate, sigma, maturity, steps):
        return tree(spot, strike, rate, sigma, maturity, steps)[0]

    put = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(spot, strike, rate, sigma, maturity, steps):
        price, saved = tree(spot, strike, rate, sigma, maturity, steps)
        return price, (spot, strike, rate, sigma, maturity, saved)

    def bwd(steps, res, g):
        spot, strike, rate, sigma, maturity, (later, held) = res
        dt, up, growth, p = setup(rate, sigma, maturity, steps)
        net, moves = lattice(spot, sigma, dt, steps)
        prices = spot * moves

        def share(exercise, other):
            return jnp.where(exercise == other, 0.5, (exercise > other).astype(g.dtype))

        def step(a, now):
            price, later, held = now
            down = jnp.append(later[1:], 0)
            out = a * share(strike - price, held)
            on = (a if slip == "exercised nodes" else a - out) / growth
            dp, dgrowth = (on * (later - down)).sum(), -(on * held).sum()
            a = (on * p).at[1:].add((on * (1 - p))[:-1])
            return a, (out, dp, dgrowth)

        a = jnp.zeros_like(prices[0]).at[0].set(g)
        a, (out, dp, dgrowth) = lax.scan(step, a, (prices[:-1], later, held))
        out = jnp.vstack([out, a * share(strike - prices[-1], 0)])
        dp, dgrowth = dp.sum(), dgrowth.sum()

        spread = up - 1 / up
        if slip != "probability and rate":
            dgrowth = dgrowth + dp / spread
        dup = -dp * p / spread + dp * (1 - p) / spread / up**2
        dwidth = dup * up - (out * prices * net).sum()  # of sigma sqrt(dt)
        ddt = dgrowth * growth * rate
        if slip != "size of a step":
            ddt = ddt + dwidth * sigma / (2 * jnp.sqrt(dt))
        dspot, dsigma = -(out * moves).sum(), dwidth * jnp.sqrt(dt)
        return dspot, out.sum(), dgrowth * growth * dt, dsigma, ddt / steps

    put.defvjp(fwd, bwd)
    return put, plain


@case(
    "z-scores in trailing windows of a price series, short windows at the start",
    "normalisation in a window",
    lambda rng: (normal(rng, 9), 4, 1e-6),
    Twin(
        "window held",
        "term|path",
        "x",
        "Mean and deviation of the window are taken as constants.",
    ),
    Twin(
        "windows ahead",
        "index|transpose|region",
        "x",
        "A number's gradient is gathered from the windows before it.",
    ),
    Twin(
        "short windows",
        "ratio|factor|edge|mask",
        "x",
        "The first windows count as full ones.",
    ),
    narrow=False,
)
def rolling_zscore(slip):
    def pieces(x, window, eps):
        j = jnp.arange(len(x))[:, None] - jnp.arange(window)
        inside = j >= 0
        count = inside.sum(1).astype(x.dtype)
        seen = jnp.where(inside, x[jnp.maximum(j, 0)], 0)
        off = jnp.where(inside, seen - (seen.sum(1) / count)[:, None], 0)
        root = lax.rsqrt((off * off).sum(1) / count + eps)
        return j, inside, count, off, root

    def plain(x, window, eps):
        *_, off, root = pieces(x, window, eps)
        return off[:, 0] * root

    score = jax.custom_vjp(plain, nondiff_argnums=(1, 2))

    def fwd(x, window, eps):
        return plain(x, window, eps), x

    def bwd(window, eps, x, g):
        j, inside, count, off, root = pieces(x, window, eps)
        if slip == "window held":
            return (g * root,)
        if slip == "short windows":
            count = jnp.full_like(count, window)
        direct = g * root
        dvariance = -0.5 * g * off[:, 0] * root**3
        doff = (2 * dvariance / count)[:, None] * off - (direct / count)[:, None]
        doff = jnp.where(inside, doff.at[:, 0].add(direct), 0)
        if slip == "windows ahead":
            j = j[:, :1] + jnp.arange(window)
            inside = j < len(x)
            return (jnp.zeros_like(x).at[j].add(doff, mode="drop"),)
        return (jnp.zeros_like(x).at[jnp.maximum(j, 0)].add(doff),)

    score.defvjp(fwd, bwd)
    return score, plain

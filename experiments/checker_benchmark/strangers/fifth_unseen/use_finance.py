"""Prices, averages and objectives of investors, as people write them themselves."""

import jax
import jax.numpy as jnp
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


def backtest(rng):
    raw = positive(rng, 8, 3)
    weights = raw / raw.sum(1, keepdims=True)
    return weights, normal(rng, 8, 3, std=0.01), 0.001


@case(
    "Sharpe ratio of a backtest, less costs of turnover, for end-to-end portfolios",
    "objective of a portfolio",
    backtest,
    Twin(
        "tomorrow's turnover",
        "term|path|index",
        "weights",
        "A day's weights also make the next day's turnover, which is forgotten.",
    ),
    Twin(
        "deviation held",
        "term|path",
        "weights returns",
        "The deviation of the returns is taken as a constant.",
    ),
    Twin(
        "divided by n",
        "ratio|factor|option",
        "weights returns",
        "The deviation is pulled back as if it were divided by n, not n - 1.",
    ),
    fixed=(0,),
    narrow=False,
)
def sharpe_ratio(slip):
    def trades(weights):
        return jnp.diff(weights, axis=0, prepend=jnp.zeros_like(weights[:1]))

    def pieces(weights, returns, cost):
        net = (weights * returns).sum(1) - cost * jnp.abs(trades(weights)).sum(1)
        mean = net.mean()
        off = net - mean
        return off, mean, jnp.sqrt((off * off).sum() / (len(net) - 1))

    def plain(weights, returns, cost):
        _, mean, std = pieces(weights, returns, cost)
        return 252**0.5 * mean / std

    ratio = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(weights, returns, cost):
        return plain(weights, returns, cost), (weights, returns)

    def bwd(cost, res, g):
        weights, returns = res
        off, mean, std = pieces(weights, returns, cost)
        n = len(off)
        dnet = jnp.full_like(off, 1 / n)
        if slip != "deviation held":
            down = n if slip == "divided by n" else n - 1
            dnet = dnet - mean * off / (down * std**2)
        dnet = (g * 252**0.5 / std * dnet)[:, None]
        dtrade = -cost * dnet * jnp.sign(trades(weights))
        dweights = dnet * returns + dtrade
        if slip != "tomorrow's turnover":
            dweights = dweights.at[:-1].add(-dtrade[1:])
        return dweights, dnet * weights

    ratio.defvjp(fwd, bwd)
    return ratio, plain


def series(rng):
    return normal(rng, 7, 2), jnp.ones((7, 2), bool), jnp.float32(0.3)


def holes(rng):
    x, _, alpha = series(rng)
    seen = jnp.ones((7, 2), bool).at[0, 0].set(False).at[2:4, 1].set(False)
    return x, seen, alpha


@case(
    "exponentially weighted means of pandas (adjust=True), with missing values",
    "time series",
    series,
    Twin(
        "weights held",
        "term|path",
        "alpha",
        "The sum of the weights does not depend on alpha.",
    ),
    Twin(
        "state of the step",
        "index|residual|operand",
        "alpha",
        "Alpha's gradient has the sums after a step, not those before it.",
    ),
    Twin(
        "missing values",
        "mask|region|predicate",
        "x",
        "Values that are missing have a gradient.",
        witness=holes,
    ),
    fixed=(2,),
    narrow=False,
)
def ewm_mean(slip):
    def sums(x, seen, alpha):
        def step(carry, now):
            value, here = now
            top = (1 - alpha) * carry[0] + value
            low = (1 - alpha) * carry[1] + here
            return (top, low), (top, low)

        values = (jnp.where(seen, x, 0), seen.astype(x.dtype))
        zero = jnp.zeros_like(x[0])
        return lax.scan(step, (zero, zero), values)[1]

    def plain(x, seen, alpha):
        top, low = sums(x, seen, alpha)
        return jnp.where(low > 0, top / jnp.where(low > 0, low, 1), 0)

    mean = jax.custom_vjp(plain)

    def fwd(x, seen, alpha):
        return plain(x, seen, alpha), (x, seen, alpha)

    def bwd(res, g):
        x, seen, alpha = res
        top, low = sums(x, seen, alpha)
        safe = jnp.where(low > 0, low, 1)
        dtop = jnp.where(low > 0, g / safe, 0)

        def step(later, now):
            later = jax.tree.map(lambda a, b: (1 - alpha) * a + b, later, now)
            return later, later

        zero = jnp.zeros_like(x[0])
        both = (dtop, -dtop * top / safe)
        a, b = lax.scan(step, (zero, zero), both, reverse=True)[1]

        def before(s):
            moved = jnp.concatenate([jnp.zeros_like(s[:1]), s[:-1]])
            return s if slip == "state of the step" else moved

        dalpha = a * before(top)
        if slip != "weights held":
            dalpha = dalpha + b * before(low)
        dx = a if slip == "missing values" else jnp.where(seen, a, 0)
        return dx, None, -dalpha.sum()

    mean.defvjp(fwd, bwd)
    return mean, plain


def chain(is_call):
    def args(rng):
        spot, strike = 100 + normal(rng, 5, std=5), 100 + normal(rng, 5, std=5)
        numbers = (positive(rng, 5, low=0.2, high=1.5), jnp.float32(0.03))
        return spot, strike, *numbers, positive(rng, 5, low=0.1, high=0.4), is_call

    return args


@case(
    "Black and Scholes prices of a chain, gradients by the textbook's greeks",
    "option price",
    chain(True),
    Twin(
        "theta",
        "sign|ratio",
        "maturity",
        "The maturity's gradient is theta, the slope in calendar time.",
    ),
    Twin(
        "delta of a call",
        "option|term|path|factor|ratio|affine",
        "spot",
        "A put has the delta of a call.",
        witness=chain(False),
    ),
    Twin(
        "one rate for all",
        "sum|axis|ratio|factor",
        "rate",
        "The rate is shared by the chain; its gradient is a mean.",
    ),
    fixed=(2, 3, 4),
    narrow=False,
)
def black_scholes(slip):
    def pieces(spot, strike, maturity, rate, sigma, is_call):
        width = sigma * jnp.sqrt(maturity)
        d1 = (jnp.log(spot / strike) + rate * maturity) / width + width / 2
        sign = 1 if is_call else -1
        bond = strike * jnp.exp(-rate * maturity)
        return sign, d1, norm.cdf(sign * d1), norm.cdf(sign * (d1 - width)), bond

    def plain(spot, strike, maturity, rate, sigma, is_call):
        sign, _, one, two, bond = pieces(spot, strike, maturity, rate, sigma, is_call)
        return sign * (spot * one - bond * two)

    price = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(spot, strike, maturity, rate, sigma, is_call):
        given = (spot, strike, maturity, rate, sigma)
        return plain(*given, is_call), given

    def bwd(is_call, res, g):
        spot, strike, maturity, rate, sigma = res
        sign, d1, one, two, bond = pieces(*res, is_call)
        density = spot * norm.pdf(d1)
        carry = sign * bond * two
        slope = density * sigma / (2 * jnp.sqrt(maturity)) + rate * carry
        delta = norm.cdf(d1) if slip == "delta of a call" else sign * one
        dmaturity = -g * slope if slip == "theta" else g * slope
        rho = g * maturity * carry
        drate = rho.mean() if slip == "one rate for all" else rho.sum()
        dsigma = g * density * jnp.sqrt(maturity)
        return g * delta, -g * carry / strike, dmaturity, drate, dsigma

    price.defvjp(fwd, bwd)
    return price, plain

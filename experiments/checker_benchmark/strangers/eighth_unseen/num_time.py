"""Time series, growth and curves."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def autoregression(rng):
    chol = jnp.tril(normal(rng, 3, 3, std=0.3), -1) + jnp.diag(positive(rng, 3))
    return normal(rng, 6, 3), normal(rng, 3, 3, std=0.4), normal(rng, 3), chol


@case(
    "likelihood of a vector autoregression in dynamax-like and BVAR packages",
    "time series",
    autoregression,
    Twin("past", "term|path", "series", "A value is not the next one's past."),
    Twin("coef turned", "transpose", "coef", "The outer product is turned."),
    Twin(
        "count of the steps",
        "ratio|factor|index",
        "chol",
        "The determinant counts once for each value, not for each step.",
    ),
    narrow=False,
)
def var1_log_likelihood(slip):
    def white(series, coef, const, chol):
        shock = series[1:] - series[:-1] @ coef.T - const
        return solve_triangular(chol, shock.T, lower=True)

    @jax.custom_vjp
    def log_likelihood(series, coef, const, chol):
        z = white(series, coef, const, chol)
        steps = len(series) - 1
        return -0.5 * (z * z).sum() - steps * jnp.log(jnp.abs(jnp.diag(chol))).sum()

    def fwd(*args):
        return log_likelihood.fun(*args), (args, white(*args))

    def bwd(res, g):
        (series, coef, _, chol), z = res
        steps = len(series) - (slip != "count of the steps")
        back = -g * solve_triangular(chol, z, lower=True, trans=1)
        dshock = back.T
        dseries = jnp.zeros_like(series).at[1:].add(dshock)
        if slip != "past":
            dseries = dseries.at[:-1].add(-dshock @ coef)
        dcoef = -dshock.T @ series[:-1]
        if slip == "coef turned":
            dcoef = dcoef.T
        dchol = -jnp.tril(back @ z.T) - jnp.diag(g * steps / jnp.diag(chol))
        return dseries, dcoef, -dshock.sum(0), dchol

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


def seasonal(rng):
    start = {"level": normal(rng), "trend": normal(rng), "season": normal(rng, 3)}
    return normal(rng, 8), normal(rng, 3), start


@case(
    "additive Holt-Winters forecasts in statsforecast and ES-RNN ports",
    "time series with a pytree",
    seasonal,
    Twin(
        "season of the level",
        "term|path",
        "series raw start",
        "The level takes the season off, the season gets no part of that.",
    ),
    Twin(
        "level after the update",
        "residual|operand|index",
        "raw",
        "The trend's weight is multiplied with the new level as the old.",
    ),
    Twin(
        "seasons not turned",
        "index|transpose",
        "series raw start",
        "The ring of the seasons is not turned back in the backward.",
    ),
    narrow=False,
)
def holt_winters_forecast(slip):
    def step(rates, state, y):
        a, b, c = rates
        level, trend, season = state
        ahead = level + trend
        new = a * (y - season[0]) + (1 - a) * ahead
        slope = b * (new - level) + (1 - b) * trend
        own = c * (y - ahead) + (1 - c) * season[0]
        return new, slope, jnp.roll(season.at[0].set(own), -1)

    @jax.custom_vjp
    def forecasts(series, raw, start):
        rates = jax.nn.sigmoid(raw)

        def body(state, y):
            return step(rates, state, y), state[0] + state[1] + state[2][0]

        first = (start["level"], start["trend"], start["season"])
        return lax.scan(body, first, series)[1]

    def fwd(series, raw, start):
        rates = jax.nn.sigmoid(raw)

        def body(state, y):
            return step(rates, state, y), state

        first = (start["level"], start["trend"], start["season"])
        states = lax.scan(body, first, series)[1]
        ahead = states[0] + states[1] + states[2][:, 0]
        return ahead, (series, raw, states)

    def bwd(res, g):
        series, raw, states = res
        rates = jax.nn.sigmoid(raw)
        a, b, c = rates

        def body(carry, at):
            (dlevel, dtrend, dseason), drates = carry
            y, (level, trend, season), up = at
            ahead = level + trend
            new = a * (y - season[0]) + (1 - a) * ahead
            old = new if slip == "level after the update" else level
            if slip != "seasons not turned":
                dseason = jnp.roll(dseason, 1)
            down = dseason[0]
            dnew = dlevel + b * dtrend
            dahead = (1 - a) * dnew - c * down + up
            rest = y - season[0] - ahead
            more = [dnew * rest, dtrend * (new - old - trend), down * rest]
            drates += jnp.stack(more)
            own = (1 - c) * down + up
            if slip != "season of the level":
                own = own - a * dnew
            dold = dahead - b * dtrend
            into = (dold, dahead + (1 - b) * dtrend, dseason.at[0].set(own))
            return (into, drates), a * dnew + c * down

        none = jax.tree.map(lambda s: jnp.zeros_like(s[0]), states)
        at = (series, states, g)
        carry = (none, jnp.zeros_like(raw))
        (into, drates), dseries = lax.scan(body, carry, at, reverse=True)
        dstart = dict(zip(("level", "trend", "season"), into, strict=True))
        return dseries, drates * rates * (1 - rates), dstart

    forecasts.defvjp(fwd, bwd)
    return forecasts, forecasts.fun


def discount_factors(rng):
    factors = jnp.asarray(jnp.exp(-positive(rng, 4, low=0.01, high=0.3)))
    times = jnp.asarray(rng.uniform(0.6, 4.5, 6), jnp.float32)
    return factors, times, (0.5, 1.0, 2.5, 5.0)


@case(
    "log-linear curve of discount factors in rateslib and tf-quant-finance",
    "curve",
    discount_factors,
    Twin("own factor", "factor|operand|function", "factors", "A log is not divided."),
    Twin(
        "last wins",
        "duplicates|index|sum",
        "factors",
        "Of the times in one interval one counts.",
    ),
    Twin(
        "forward rate's sign",
        "sign|swap",
        "times",
        "Discount factors are taken to rise with time at the forward rate.",
    ),
    fixed=(1,),
    narrow=False,
)
def log_linear_discount_curve(slip):
    floor = 1e-6

    def logarithms(factors):
        return jnp.log(jnp.where(factors > floor, factors, floor))

    def locate(times, knots):
        knots = jnp.asarray(knots, times.dtype)
        left = jnp.searchsorted(knots, times, side="right") - 1
        left = jnp.clip(left, 0, len(knots) - 2)
        span = knots[left + 1] - knots[left]
        return left, span, (times - knots[left]) / span

    def plain(factors, times, knots):
        left, _, share = locate(times, knots)
        logs = logarithms(factors)
        return jnp.exp((1 - share) * logs[left] + share * logs[left + 1])

    curve = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(factors, times, knots):
        value = plain(factors, times, knots)
        return value, (factors, times, value)

    def bwd(knots, res, g):
        factors, times, value = res
        left, span, share = locate(times, knots)
        logs = logarithms(factors)
        up = g * value
        spread = jnp.zeros_like(factors).at[left + 1].add(share * up)
        if slip == "last wins":
            spread = spread.at[left].set((1 - share) * up)
        else:
            spread = spread.at[left].add((1 - share) * up)
        if slip != "own factor":
            spread = spread * jnp.exp(-logs)
        dfactors = jnp.where(factors > floor, spread, 0)
        forward = (logs[left + 1] - logs[left]) / span
        if slip == "forward rate's sign":
            forward = -forward
        return dfactors, up * forward

    curve.defvjp(fwd, bwd)
    return curve, plain


def portfolio(large):
    def args(rng):
        shares = normal(rng, 3, std=4.0 if large else 0.3)
        return shares, normal(rng, 7, 3, std=0.4), normal(rng, 3, std=0.3), 0.01

    return args


@case(
    "growth of a portfolio with trading costs in cvxportfolio-like and RL toolboxes",
    "growth",
    portfolio(False),
    Twin(
        "ruin",
        "mask|region|predicate|zero",
        "shares returns",
        "Wealth below the floor, which is clipped, has a gradient.",
        witness=portfolio(True),
    ),
    Twin(
        "costs of the old shares",
        "sign|swap|term",
        "before",
        "The old shares' gradient of the costs has the new shares' sign.",
    ),
    Twin(
        "days summed",
        "ratio|factor|sum",
        "shares returns",
        "The growth is a mean over the days, the backward sums.",
    ),
)
def kelly_growth(slip):
    floor = 0.05

    def plain(shares, returns, before, cost):
        wealth = 1 + returns @ shares
        kept = jnp.where(wealth > floor, wealth, floor)
        return jnp.log(kept).mean() - cost * jnp.abs(shares - before).sum()

    growth = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(shares, returns, before, cost):
        return plain(shares, returns, before, cost), (shares, returns, before)

    def bwd(cost, res, g):
        shares, returns, before = res
        wealth = 1 + returns @ shares
        if slip == "ruin":
            slope = 1 / jnp.where(wealth > floor, wealth, floor)
        else:
            slope = jnp.where(wealth > floor, 1 / wealth, 0)
        days = 1 if slip == "days summed" else len(returns)
        dwealth = g * slope / days
        side = g * cost * jnp.sign(shares - before)
        dbefore = -side if slip == "costs of the old shares" else side
        dreturns = jnp.outer(dwealth, shares)
        return returns.T @ dwealth - side, dreturns, dbefore

    growth.defvjp(fwd, bwd)
    return growth, plain

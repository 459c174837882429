"""Time series: moving averages and exponential smoothing."""

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


@case(
    "ARMA(1, 1) by conditional sums of squares, in numpyro and statsmodels ports",
    "time series",
    lambda rng: (
        normal(rng, 8),
        jnp.float32(0.0),
        jnp.float32(0.5),
        jnp.float32(0.3),
    ),
    Twin(
        "shocks before",
        "term|path",
        "y mean ar ma",
        "A shock moves its own time only, not the next shock.",
    ),
    Twin(
        "stale shock",
        "residual|index|operand",
        "ma",
        "The slope has the shock of the same time in place of the one before.",
    ),
    Twin(
        "mean of the lag",
        "term|path|factor",
        "mean",
        "The mean is taken off the present value only.",
    ),
    scales=(0.3, 1.0),
)
def arma_likelihood(slip):
    """Half the sum of the squared shocks; there is none before the first."""

    def shocks_of(y, mean, ar, ma):
        centred = y - mean

        def step(before, pair):
            now, last = pair
            shock = now - ar * last - ma * before
            return shock, shock

        pairs = centred[1:], centred[:-1]
        return lax.scan(step, jnp.zeros_like(mean), pairs)[1]

    @jax.custom_vjp
    def loss(y, mean, ar, ma):
        return 0.5 * jnp.square(shocks_of(y, mean, ar, ma)).sum()

    def fwd(y, mean, ar, ma):
        shocks = shocks_of(y, mean, ar, ma)
        return 0.5 * jnp.square(shocks).sum(), (y, mean, ar, ma, shocks)

    def bwd(res, g):
        y, mean, ar, ma, shocks = res

        def back(after, shock):
            if slip == "shocks before":
                after = jnp.zeros_like(after)
            total = g * shock - ma * after
            return total, total

        _, pulls = lax.scan(back, jnp.zeros_like(mean), shocks, reverse=True)
        previous = jnp.concatenate([jnp.zeros_like(shocks[:1]), shocks[:-1]])
        if slip == "stale shock":
            previous = shocks
        dy = jnp.zeros_like(y).at[1:].add(pulls).at[:-1].add(-ar * pulls)
        dmean = -dy.sum()
        if slip == "mean of the lag":
            dmean = -pulls.sum()
        dar = -(pulls * (y[:-1] - mean)).sum()
        return dy, dmean, dar, -(pulls * previous).sum()

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "forecasts by exponential smoothing (Holt, Winters) in numpyro tutorials",
    "time series",
    lambda rng: (
        normal(rng, 7),
        {
            "level": normal(rng),
            "trend": jnp.float32(0.0),
            "alpha": jnp.float32(0.3),
            "beta": jnp.float32(0.1),
        },
    ),
    Twin(
        "level of the trend",
        "term|path",
        "y params",
        "The trend's slope by the new level is left out.",
    ),
    Twin(
        "state before",
        "residual|operand|index",
        "params",
        "The slope by alpha has the new level in place of the forecast.",
    ),
    Twin(
        "last state",
        "index|region|term|path",
        "y params",
        "The forecast's cotangent enters one step late.",
    ),
    scales=(0.3, 1.0),
)
def exponential_smoothing(slip):
    """Of each time, the forecast before it: a level and a trend."""

    def run(y, params):
        alpha, beta = params["alpha"], params["beta"]

        def step(state, now):
            level, trend = state
            forecast = level + trend
            new = forecast + alpha * (now - forecast)
            turned = trend + beta * (new - level - trend)
            return (new, turned), (forecast, level, trend)

        return lax.scan(step, (params["level"], params["trend"]), y)[1]

    @jax.custom_vjp
    def forecasts(y, params):
        return run(y, params)[0]

    def fwd(y, params):
        kept = run(y, params)
        return kept[0], (y, params, kept)

    def bwd(res, g):
        y, params, kept = res
        alpha, beta = params["alpha"], params["beta"]

        def back(carry, row):
            dnew, dtrend, dalpha, dbeta = carry
            now, dforecast, (forecast, level, trend) = row
            new = forecast + alpha * (now - forecast)
            if slip == "last state":
                dnew, dforecast = dnew + dforecast, jnp.zeros_like(dforecast)
            dbeta = dbeta + dtrend * (new - level - trend)
            if slip != "level of the trend":
                dnew = dnew + beta * dtrend
            from_forecast = dforecast + (1 - alpha) * dnew
            gap = now - (new if slip == "state before" else forecast)
            dalpha = dalpha + dnew * gap
            dlevel = from_forecast - beta * dtrend
            into_trend = from_forecast + (1 - beta) * dtrend
            return (dlevel, into_trend, dalpha, dbeta), alpha * dnew

        zero = jnp.zeros_like(alpha)
        rows = y, g, kept
        ends, dy = lax.scan(back, (zero,) * 4, rows, reverse=True)
        names = "level", "trend", "alpha", "beta"
        return dy, dict(zip(names, ends, strict=True))

    forecasts.defvjp(fwd, bwd)
    return forecasts, forecasts.fun

"""Cash flows, returns and the econometrician's estimators."""

import jax
import jax.numpy as jnp
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


def cash(rng):
    times = jnp.asarray([0.0, 0.5, 1.0, 2.0, 3.5], jnp.float32)
    return normal(rng, 3, 5), positive(rng, 3, low=0.02, high=0.2), times


@case(
    "present value at a rate per scenario in tf-quant-finance ports",
    "present value",
    cash,
    Twin(
        "modified duration",
        "factor|ratio|term",
        "rate",
        "The rate's gradient is not divided by one plus the rate.",
    ),
    Twin(
        "first scenario's times",
        "sum|index|term",
        "times",
        "The times, shared by the scenarios, get the first one's gradient.",
    ),
    fixed=(1, 2),
)
def net_present_value(slip):
    def discount(rate, times):
        return jnp.exp(-jnp.outer(jnp.log1p(rate), times))

    def plain(flows, rate, times):
        return (flows * discount(rate, times)).sum(-1)

    value = jax.custom_vjp(plain)

    def fwd(flows, rate, times):
        d = discount(rate, times)
        return (flows * d).sum(-1), (flows, rate, times, d)

    def bwd(res, g):
        flows, rate, times, d = res
        dflows = g[:, None] * d
        drate = -(dflows * flows) @ times
        if slip != "modified duration":
            drate = drate / (1 + rate)
        dtimes = -jnp.log1p(rate)[:, None] * dflows * flows
        first = slip == "first scenario's times"
        return dflows, drate, dtimes[0] if first else dtimes.sum(0)

    value.defvjp(fwd, bwd)
    return value, plain


def path(rng):
    return (normal(rng, 12, std=0.05),)


def falls_and_rises(rng):
    shape = [0.1, 0.2, -0.4, 0.1, 0.3, 0.4, -0.1, 0.2, 0.1]
    return (jnp.asarray(shape, jnp.float32) + normal(rng, 9, std=0.01),)


@case(
    "maximal drawdown as an objective in portfolio code on JAX (skfolio-like)",
    "risk measure",
    path,
    Twin(
        "peak as constant",
        "term",
        "log_returns",
        "The peak that was fallen from has no gradient.",
    ),
    Twin(
        "highest of all",
        "index|mask",
        "log_returns",
        "The highest price of all is taken, not that before the trough.",
        witness=falls_and_rises,
    ),
    Twin(
        "summed forwards",
        "transpose|sum|swap",
        "log_returns",
        "The cumulative sum is pulled back by a cumulative sum.",
    ),
)
def max_drawdown(slip):
    def plain(log_returns):
        price = jnp.exp(jnp.cumsum(log_returns))
        return (1 - price / lax.cummax(price)).max()

    drawdown = jax.custom_vjp(plain)

    def fwd(log_returns):
        price = jnp.exp(jnp.cumsum(log_returns))
        fall = 1 - price / lax.cummax(price)
        return fall.max(), (price, fall.argmax())

    def bwd(res, g):
        price, trough = res
        before = jnp.arange(len(price)) <= trough
        if slip == "highest of all":
            before = jnp.ones_like(before)
        peak = jnp.where(before, price, 0).argmax()
        left = g * price[trough] / price[peak]
        dlog = jnp.zeros_like(price).at[trough].add(-left)
        if slip != "peak as constant":
            dlog = dlog.at[peak].add(left)
        if slip == "summed forwards":
            return (jnp.cumsum(dlog),)
        return (jnp.cumsum(dlog[::-1])[::-1],)

    drawdown.defvjp(fwd, bwd)
    return drawdown, plain


@case(
    "Sortino ratio as an objective in trading code on JAX",
    "risk measure",
    lambda rng: (normal(rng, 8), normal(rng, std=0.1)),
    Twin(
        "gains count",
        "mask",
        "returns target",
        "The downside's gradient is given to the gains too.",
    ),
    Twin(
        "number of losses",
        "ratio|factor|sum",
        "returns target",
        "The downside is a mean over all, its gradient one over the losses.",
    ),
)
def sortino_ratio(slip):
    def plain(returns, target):
        over = returns - target
        downside = jnp.sqrt((jnp.minimum(over, 0) ** 2).mean())
        return over.mean() / downside

    ratio = jax.custom_vjp(plain)

    def fwd(returns, target):
        value = plain(returns, target)
        over = returns - target
        return value, (over, over.mean() / value)

    def bwd(res, g):
        over, downside = res
        n = over.size
        loss = over if slip == "gains count" else jnp.minimum(over, 0)
        count = (over < 0).sum() if slip == "number of losses" else n
        ddownside = -g * over.mean() / downside**2
        dreturns = g / (n * downside) + ddownside * loss / (count * downside)
        return dreturns, -dreturns.sum()

    ratio.defvjp(fwd, bwd)
    return ratio, plain


@case(
    "long-run variance of Newey and West in statsmodels, as ported to JAX",
    "time series",
    lambda rng: (normal(rng, 10, mean=0.5), 3),
    Twin(
        "Bartlett's weights",
        "option|factor|ratio",
        "x",
        "The lags' gradients are not weighted.",
    ),
    Twin(
        "later half",
        "term|transpose",
        "x",
        "Of each product the later value only has a gradient.",
    ),
)
def newey_west_variance(slip):
    def plain(x, lags):
        u = x - x.mean()
        total = u @ u
        for k in range(1, lags + 1):
            total = total + 2 * (1 - k / (lags + 1)) * (u[k:] @ u[:-k])
        return total / len(x)

    variance = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, lags):
        return plain(x, lags), x

    def bwd(lags, x, g):
        u = x - x.mean()
        du = 2 * u
        for k in range(1, lags + 1):
            w = 2 * (1 if slip == "Bartlett's weights" else 1 - k / (lags + 1))
            du = du.at[k:].add(w * u[:-k])
            if slip != "later half":
                du = du.at[:-k].add(w * u[k:])
        du = g * du / len(x)
        return (du - du.mean(),)

    variance.defvjp(fwd, bwd)
    return variance, plain


def instruments(rng):
    z = normal(rng, 9, 3)
    x = z @ normal(rng, 3, 2) + normal(rng, 9, 2, std=0.5)
    return {"x": x, "z": z}, normal(rng, 9)


@case(
    "two-stage least squares (IV2SLS of linearmodels), as ported to JAX",
    "linear solver",
    instruments,
    Twin(
        "residuals of the second stage",
        "residual|swap|term",
        "data",
        "The residuals are those of the fitted regressors, not of the regressors.",
    ),
    Twin(
        "first stage as constant",
        "term",
        "data",
        "The fitted regressors are not pulled back to the instruments.",
    ),
    narrow=False,
)
def two_stage_least_squares(slip):
    def first_stage(x, z):
        return jnp.linalg.solve(z.T @ z, z.T @ x)

    def plain(data, y):
        fitted = data["z"] @ first_stage(data["x"], data["z"])
        return jnp.linalg.solve(fitted.T @ data["x"], fitted.T @ y)

    fit = jax.custom_vjp(plain)

    def fwd(data, y):
        beta = plain(data, y)
        return beta, (data, y, beta)

    def bwd(res, g):
        data, y, beta = res
        x, z = data["x"], data["z"]
        share = first_stage(x, z)
        fitted = z @ share
        u = jnp.linalg.solve((fitted.T @ x).T, g)
        of = fitted if slip == "residuals of the second stage" else x
        dfitted = jnp.outer(y - of @ beta, u)
        dx = -jnp.outer(fitted @ u, beta)
        dz = jnp.zeros_like(z)
        if slip != "first stage as constant":
            v = jnp.linalg.solve(z.T @ z, z.T @ dfitted)
            dz = dfitted @ share.T + (x - fitted) @ v.T - z @ (v @ share.T)
            dx = dx + z @ v
        return {"x": dx, "z": dz}, fitted @ u

    fit.defvjp(fwd, bwd)
    return fit, plain

"""Prices, utilities and risks."""

import jax
import jax.numpy as jnp
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


def quotes(rng):
    call = jnp.asarray([True, False, True, False])
    money = normal(rng, 4), normal(rng, 4), positive(rng)
    return *money, positive(rng, 4), jnp.float32(0.05), call


@case(
    "Bachelier's price of options in tf-quant-finance ports",
    "option price",
    quotes,
    Twin(
        "puts as calls",
        "option|mask|term",
        "forward strike",
        "The puts get the calls' delta.",
    ),
    Twin(
        "discount in the expiry",
        "term",
        "expiry",
        "The expiry in the discount factor is not differentiated.",
    ),
    Twin(
        "vega per quote",
        "ratio|sum|factor",
        "volatility",
        "The volatility is shared: its gradient is a mean, not a sum.",
    ),
    fixed=(3, 4),
)
def bachelier_price(slip):
    def plain(forward, strike, volatility, expiry, rate, call):
        spread = volatility * jnp.sqrt(expiry)
        d = (forward - strike) / spread
        price = spread * (d * norm.cdf(d) + norm.pdf(d))
        price = price - jnp.where(call, 0, forward - strike)
        return jnp.exp(-rate * expiry) * price

    price = jax.custom_vjp(plain)

    def fwd(forward, strike, volatility, expiry, rate, call):
        out = plain(forward, strike, volatility, expiry, rate, call)
        return out, (forward - strike, volatility, expiry, rate, call, out)

    def bwd(res, g):
        over, volatility, expiry, rate, call, out = res
        root = jnp.sqrt(expiry)
        d = over / (volatility * root)
        discounted = g * jnp.exp(-rate * expiry)
        delta = norm.cdf(d)
        if slip != "puts as calls":
            delta = jnp.where(call, delta, delta - 1)
        density = discounted * norm.pdf(d)
        dexpiry = density * volatility / (2 * root)
        if slip != "discount in the expiry":
            dexpiry = dexpiry - g * rate * out
        vega = density * root
        vega = vega.mean() if slip == "vega per quote" else vega.sum()
        dforward = discounted * delta
        return dforward, -dforward, vega, dexpiry, -(g * expiry * out).sum(), None

    price.defvjp(fwd, bwd)
    return price, plain


@case(
    "discounted utility of constant relative risk aversion in macro models on JAX",
    "utility",
    lambda rng: (positive(rng, 5), jnp.float32(0.9), 2.5),
    Twin(
        "power of the marginal utility",
        "function|factor",
        "consumption",
        "c^(1 - gamma) where c^(-gamma) belongs.",
    ),
    Twin(
        "power of the discount",
        "factor|ratio|function",
        "discount",
        "t b^t where t b^(t - 1) belongs.",
    ),
    fixed=(1,),
)
def crra_utility(slip):
    def utility(c, aversion):
        if aversion == 1:
            return jnp.log(c)
        return (c ** (1 - aversion) - 1) / (1 - aversion)

    def plain(consumption, discount, aversion):
        periods = jnp.arange(len(consumption), dtype=consumption.dtype)
        return discount**periods @ utility(consumption, aversion)

    welfare = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(consumption, discount, aversion):
        return plain(consumption, discount, aversion), (consumption, discount)

    def bwd(aversion, res, g):
        c, discount = res
        periods = jnp.arange(len(c), dtype=c.dtype)
        power = 1 - aversion if slip.endswith("marginal utility") else -aversion
        dc = g * discount**periods * c**power
        below = 0 if slip == "power of the discount" else 1
        ddiscount = periods * discount ** (periods - below) @ utility(c, aversion)
        return dc, g * ddiscount

    welfare.defvjp(fwd, bwd)
    return welfare, plain


def holdings(rng):
    returns = normal(rng, 8, 4)
    return positive(rng, 4, low=0.1, high=0.5), returns.T @ returns / 8


@case(
    "volatility and its contributions, for risk parity (riskfolio, skfolio) in JAX",
    "portfolio with two outputs",
    holdings,
    Twin(
        "volatility below",
        "term",
        "weights covariance",
        "The division by the volatility is not differentiated.",
    ),
    Twin(
        "direct weight",
        "term",
        "weights",
        "The weight in front of the marginal risk is taken as constant.",
    ),
)
def risk_contributions(slip):
    def plain(weights, covariance):
        marginal = covariance @ weights
        volatility = jnp.sqrt(weights @ marginal)
        return volatility, weights * marginal / volatility

    risk = jax.custom_vjp(plain)

    def fwd(weights, covariance):
        out = plain(weights, covariance)
        return out, (weights, covariance, out)

    def bwd(res, g):
        weights, covariance, (volatility, parts) = res
        dvolatility, dparts = g
        marginal = covariance @ weights
        if slip != "volatility below":
            dvolatility = dvolatility - dparts @ parts / volatility
        half = dvolatility / (2 * volatility)
        dweights = half * marginal
        if slip != "direct weight":
            dweights = dweights + dparts * marginal / volatility
        dmarginal = dparts * weights / volatility + half * weights
        dweights = dweights + covariance.T @ dmarginal
        return dweights, jnp.outer(dmarginal, weights)

    risk.defvjp(fwd, bwd)
    return risk, plain


def scenarios(rng):
    p = positive(rng, 6)
    return normal(rng, 6, 3), positive(rng), p / p.sum()


@case(
    "entropic risk measure in deep hedging on JAX",
    "risk measure",
    scenarios,
    Twin(
        "level",
        "term",
        "aversion",
        "The division by the aversion is not differentiated.",
    ),
    Twin(
        "aversion in the probabilities",
        "factor|ratio",
        "probabilities",
        "The probabilities' gradient is not divided by the aversion.",
    ),
    Twin(
        "sign of the gains",
        "sign",
        "gains",
        "The risk rises with the gains.",
    ),
    fixed=(1, 2),
)
def entropic_risk(slip):
    def exponents(gains, aversion, probabilities):
        return jnp.log(probabilities)[:, None] - aversion * gains

    def plain(gains, aversion, probabilities):
        e = exponents(gains, aversion, probabilities)
        return jax.nn.logsumexp(e, axis=0) / aversion

    risk = jax.custom_vjp(plain)

    def fwd(gains, aversion, probabilities):
        value = plain(gains, aversion, probabilities)
        return value, (gains, aversion, probabilities, value)

    def bwd(res, g):
        gains, aversion, probabilities, value = res
        e = exponents(gains, aversion, probabilities)
        tilted = g * jax.nn.softmax(e, axis=0)
        daversion = -(tilted * gains).sum() / aversion
        if slip != "level":
            daversion = daversion - g @ value / aversion
        dp = tilted.sum(1) / probabilities
        if slip != "aversion in the probabilities":
            dp = dp / aversion
        return tilted if slip == "sign of the gains" else -tilted, daversion, dp

    risk.defvjp(fwd, bwd)
    return risk, plain

"""Finance: yield curves, implied volatilities and portfolios."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import ndtr

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def maturities(first: float):
    def args(rng):
        years = jnp.array([first, 1.0, 2.0, 5.0, 10.0], jnp.float32)
        return years, jnp.array([4.0, -1.5, 0.8], jnp.float32), jnp.float32(0.5)

    return args


@case(
    "yield curves in JAX: Nelson and Siegel's",
    "curve",
    maturities(0.25),
    Twin(
        "decay of the hump",
        "term|path",
        "years decay",
        "The last loading's exponential is held fixed.",
    ),
    Twin(
        "maturity of zero",
        "edge|nan|finite",
        "years betas decay",
        "0 / 0 of the loadings at no maturity is not guarded in the gradient.",
        witness=maturities(0.0),
    ),
    Twin(
        "product rule",
        "factor|operand|residual|swap",
        "decay",
        "The exponent's slope by the decay has the decay, not the maturity.",
    ),
    narrow=False,
)
def nelson_siegel(slip):
    """Yields at the maturities: a level, a slope and a hump."""

    def loading(z):
        """(1 - exp(-z)) / z."""
        zero = z == 0
        return jnp.where(zero, 1, -jnp.expm1(-z) / jnp.where(zero, 1, z))

    def slope_of_loading(z):
        """Of loading; a series where the quotient cancels."""
        small = jnp.abs(z) < 0.5
        safe = jnp.where(small, 1, z)
        quotient = (jnp.exp(-safe) - loading(safe)) / safe
        pairs = enumerate(FACTORIALS[1:])
        series = sum(-(k + 1) * (-z) ** k / c for k, c in pairs)
        return jnp.where(small, series, quotient)

    def plain(years, betas, decay):
        z = years * decay
        small = jnp.abs(z) < 0.5
        safe = jnp.where(small, 1, z)
        series = sum((-z) ** k / c for k, c in enumerate(FACTORIALS))
        first = jnp.where(small, series, -jnp.expm1(-safe) / safe)
        return betas[0] + betas[1] * first + betas[2] * (first - jnp.exp(-z))

    curve = jax.custom_vjp(plain)

    def fwd(years, betas, decay):
        return plain(years, betas, decay), (years, betas, decay)

    def bwd(res, g):
        years, betas, decay = res
        z = years * decay
        first, slope = loading(z), slope_of_loading(z)
        if slip == "maturity of zero":
            first = -jnp.expm1(-z) / z
            slope = (jnp.exp(-z) - first) / z
        dz = (betas[1] + betas[2]) * slope
        if slip != "decay of the hump":
            dz = dz + betas[2] * jnp.exp(-z)
        dz = g * dz
        loadings = jnp.stack([jnp.ones_like(z), first, first - jnp.exp(-z)])
        along = decay if slip == "product rule" else years
        return dz * decay, loadings @ g, (dz * along).sum()

    curve.defvjp(fwd, bwd)
    return curve, plain


FACTORIALS = tuple(math.factorial(k + 1) for k in range(12))


def quotes(rng):
    strikes = jnp.array([90.0, 95.0, 100.0, 110.0], jnp.float32)
    prices = jnp.array([14.6, 11.5, 8.9, 5.1], jnp.float32)
    return prices, jnp.float32(100.0), strikes, jnp.float32(1.0)


@case(
    "implied volatilities by Newton's steps in JAX option pricers",
    "root",
    quotes,
    Twin(
        "quotient of slopes",
        "sign|ratio",
        "spot strikes expiry",
        "The signs of the implicit slopes are those of the price.",
    ),
    Twin(
        "expiry of the variance",
        "term|factor|ratio|operand",
        "expiry",
        "The slope by the expiry is that by the variance: no half.",
    ),
    Twin(
        "strike's probability",
        "operand|residual|swap|function",
        "strikes",
        "The price's slope by the strike has the other of both probabilities.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(3,),
    narrow=False,
)
def implied_volatility(slip):
    """Of calls on a forward without discount; prices are strictly within bounds."""

    def ends(spot, strikes, expiry, vol):
        width = vol * jnp.sqrt(expiry)
        up = jnp.log(spot / strikes) / width + width / 2
        return up, up - width

    def vega(spot, up, expiry):
        density = jnp.exp(-0.5 * up**2) / (2 * jnp.pi) ** 0.5
        return spot * density * jnp.sqrt(expiry)

    def plain(prices, spot, strikes, expiry):
        def step(_, vol):
            up, down = ends(spot, strikes, expiry, vol)
            price = spot * ndtr(up) - strikes * ndtr(down)
            return vol - (price - prices) / vega(spot, up, expiry)

        start = jnp.full_like(prices, 0.3) / jnp.sqrt(expiry)
        return lax.fori_loop(0, 8, step, start)

    implied = jax.custom_vjp(plain)

    def fwd(prices, spot, strikes, expiry):
        vol = plain(prices, spot, strikes, expiry)
        return vol, (spot, strikes, expiry, vol)

    def bwd(res, g):
        spot, strikes, expiry, vol = res
        up, down = ends(spot, strikes, expiry, vol)
        dprice = g / vega(spot, up, expiry)
        sign = 1 if slip == "quotient of slopes" else -1
        dspot = sign * (dprice * ndtr(up)).sum()
        likely = ndtr(up) if slip == "strike's probability" else ndtr(down)
        share = 1 if slip == "expiry of the variance" else 2
        dexpiry = sign * (g * vol).sum() / (share * expiry)
        return dprice, dspot, -sign * dprice * likely, dexpiry

    implied.defvjp(fwd, bwd)
    return implied, plain


def covariance(rng):
    x = normal(rng, 8, 4)
    return x.T @ x / 8 + 0.1 * jnp.eye(4, dtype=jnp.float32)


@case(
    "portfolios of least variance as layers, in differentiable allocation",
    "portfolio",
    lambda rng: (covariance(rng),),
    Twin(
        "budget",
        "term|path",
        "cov",
        "The sum that the weights are divided by is held fixed.",
    ),
    Twin(
        "budget's share",
        "factor|ratio|operand",
        "cov",
        "The budget's part is shared out equally.",
    ),
    Twin(
        "scale of the solution",
        "factor|ratio|residual|operand",
        "cov",
        "The solution before its division stands where the weights should.",
    ),
    narrow=False,
)
def portfolio_weights(slip):
    """Weights that sum to one; the covariance is read as it is, not symmetrised."""

    @jax.custom_vjp
    def weights(cov):
        raw = jnp.linalg.solve(cov, jnp.ones_like(cov[0]))
        return raw / raw.sum()

    def fwd(cov):
        raw = jnp.linalg.solve(cov, jnp.ones_like(cov[0]))
        return raw / raw.sum(), (cov, raw)

    def bwd(res, g):
        cov, raw = res
        w = raw / raw.sum()
        into = g - g @ w
        if slip == "budget":
            into = g
        if slip == "budget's share":
            into = g - g.mean()
        back = jnp.linalg.solve(cov.T, into)
        return (-jnp.outer(back, raw if slip == "scale of the solution" else w),)

    weights.defvjp(fwd, bwd)
    return weights, weights.fun

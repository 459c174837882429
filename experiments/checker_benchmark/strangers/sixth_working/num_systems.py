"""Prices and shares: equations that define an answer."""

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


def bonds(rng):
    times = jnp.tile(jnp.arange(1.0, 6, dtype=jnp.float32), (4, 1))
    flows = 0.04 * jnp.ones((4, 5), jnp.float32).at[:, -1].add(25)
    return positive(rng, 4, low=0.9, high=1.1), flows, times


@case(
    "yields to maturity of bonds in JAX pricing code, by Newton's steps in a loop",
    "implicit solver",
    bonds,
    Twin(
        "modified duration",
        "factor|ratio|operand",
        "prices flows times",
        "The duration is divided by the price, as in tables of bonds.",
    ),
    Twin(
        "yield's part in the times",
        "term|factor|path|operand",
        "times",
        "The times move the discounts without the yield.",
    ),
    Twin(
        "side of the price",
        "sign",
        "flows",
        "The flows have the sign of the price.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def bond_yield(slip):
    """Continuously compounded; logarithms of prices make the steps converge."""

    def newton(y, prices, flows, times):
        values = flows * jnp.exp(-y[:, None] * times)
        total, weighted = values.sum(1), (times * values).sum(1)
        return jnp.log(total / prices) * total / weighted

    def plain(prices, flows, times):
        def step(y, _):
            return y + newton(y, prices, flows, times), None

        return jax.lax.scan(step, jnp.zeros_like(prices), None, length=12)[0]

    @jax.custom_vjp
    def solve(prices, flows, times):
        def going(state):
            _, move, count = state
            least = 10 * jnp.finfo(prices.dtype).eps
            return (jnp.abs(move).max() > least) & (count < 50)

        def step(state):
            y, _, count = state
            move = newton(y, prices, flows, times)
            return y + move, move, count + 1

        start = jnp.zeros_like(prices), jnp.ones_like(prices), 0
        return jax.lax.while_loop(going, step, start)[0]

    def fwd(prices, flows, times):
        y = solve.fun(prices, flows, times)
        return y, (y, prices, flows, times)

    def bwd(res, g):
        y, prices, flows, times = res
        discounts = jnp.exp(-y[:, None] * times)
        duration = (times * flows * discounts).sum(1)
        if slip == "modified duration":
            duration = duration / prices
        u = g / duration
        dflows = u[:, None] * discounts
        dtimes = -dflows * flows
        if slip != "yield's part in the times":
            dtimes = dtimes * y[:, None]
        return -u, -dflows if slip == "side of the price" else dflows, dtimes

    solve.defvjp(fwd, bwd)
    return solve, plain


def market(rng):
    raw = rng.uniform(0.5, 2.0, 4)
    shares = jnp.asarray(0.7 * raw / raw.sum(), jnp.float32)
    return shares, normal(rng, 12, 4, std=0.5)


@case(
    "random-coefficients demand (pyblp) in JAX: mean utilities from market shares",
    "implicit solver",
    market,
    Twin(
        "own shares only",
        "term|path|operand",
        "shares tastes",
        "Of the derivatives of shares those by other goods are left out.",
    ),
    Twin(
        "mean over people",
        "ratio|factor",
        "tastes",
        "The tastes' gradient is not divided by the number of people.",
    ),
    Twin(
        "logarithms",
        "factor|operand|function",
        "shares",
        "The contraction matches logarithms, and the gradient is left for these.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def blp_contraction(slip):
    """Utilities at which mean choices are the shares; people may buy nothing."""

    def choices(delta, tastes):
        utility = delta + tastes
        outside = jnp.zeros_like(utility[:, :1])
        return jax.nn.softmax(jnp.concatenate([utility, outside], 1), -1)[:, :-1]

    def jacobian(p):
        return jnp.diag(p.mean(0)) - p.T @ p / len(p)

    def newton(delta, shares, tastes):
        p = choices(delta, tastes)
        s = p.mean(0)
        rest = jnp.log(shares) - jnp.log(s)
        return delta + jnp.linalg.solve(jacobian(p) / s[:, None], rest)

    def start(shares):
        return jnp.log(shares) - jnp.log1p(-shares.sum())

    def plain(shares, tastes):
        delta = start(shares)
        for _ in range(8):
            delta = newton(delta, shares, tastes)
        return delta

    @jax.custom_vjp
    def invert(shares, tastes):
        return jax.lax.fori_loop(
            0, 8, lambda _, delta: newton(delta, shares, tastes), start(shares)
        )

    def fwd(shares, tastes):
        delta = invert.fun(shares, tastes)
        return delta, (delta, shares, tastes)

    def bwd(res, g):
        delta, shares, tastes = res
        p = choices(delta, tastes)
        a = jacobian(p)
        u = jnp.linalg.solve(a, g)  # a is symmetric
        if slip == "own shares only":
            u = g / jnp.diag(a)
        dtastes = -p * (u - (p @ u)[:, None])
        if slip != "mean over people":
            dtastes = dtastes / len(p)
        return u * shares if slip == "logarithms" else u, dtastes

    invert.defvjp(fwd, bwd)
    return invert, plain

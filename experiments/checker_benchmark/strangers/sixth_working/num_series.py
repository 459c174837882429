"""Time series: levels, fractional differences, volatility and transitions."""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def months(rng, seen=None):
    y = jnp.cumsum(normal(rng, 9))
    params = {"log_level": 0.0, "log_noise": 0.0, "mean": 0.0, "variance": 1.0}
    params = {name: jnp.float32(v) for name, v in params.items()}
    return params, y, jnp.ones(9, bool) if seen is None else jnp.array(seen)


def gaps(rng):
    return months(rng, [True, True, False, True, False, False, True, True, False])


@case(
    "local levels of statsmodels and dynamax: the likelihood, months may be missing",
    "state-space model",
    months,
    Twin(
        "missing months",
        "mask|region|predicate",
        "params y",
        "The state's gradient passes a missing month as if it had been observed.",
        witness=gaps,
    ),
    Twin(
        "gain",
        "term|path",
        "params",
        "The gain's dependence on the variances is left out.",
    ),
    Twin(
        "after the month",
        "residual|operand|index",
        "params y",
        "The innovations are taken from the states after the update.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def local_level_likelihood(slip):
    """A scan of Kalman's filter, and its adjoint from the last month on."""

    def step(q, r, state, now):
        m, p, total = state
        y, seen = now
        prior = p + q
        s = prior + r
        v = y - m
        score = -0.5 * (jnp.log(2 * jnp.pi * s) + v * v / s)
        m_new = jnp.where(seen, m + prior / s * v, m)
        p_new = jnp.where(seen, prior * r / s, prior)
        return (m_new, p_new, total + jnp.where(seen, score, 0)), (m, p, m_new)

    def run(params, y, seen):
        q, r = jnp.exp(params["log_level"]), jnp.exp(params["log_noise"])
        start = params["mean"], params["variance"], jnp.zeros((), y.dtype)
        (_, _, total), kept = jax.lax.scan(
            lambda state, now: step(q, r, state, now), start, (y, seen)
        )
        return total, kept

    @jax.custom_vjp
    def likelihood(params, y, seen):
        return run(params, y, seen)[0]

    def fwd(params, y, seen):
        total, kept = run(params, y, seen)
        return total, (params, y, seen, kept)

    def bwd(res, g):
        params, y, seen, (means, variances, after) = res
        q, r = jnp.exp(params["log_level"]), jnp.exp(params["log_noise"])
        if slip == "after the month":
            means = after

        def back(carry, now):
            gm, gp, gq, gr = carry
            y, seen, m, p = now
            prior = p + q
            s = prior + r
            v = y - m
            gain = prior / s
            dv = gm * gain - g * v / s
            dprior = gp * r / s
            ds = -gp * prior * r / (s * s) + 0.5 * g * (v * v / s - 1) / s
            if slip != "gain":
                dprior = dprior + gm * v / s
                ds = ds - gm * v * gain / s
            dprior = dprior + ds
            dr = gp * gain + ds
            on = seen | (slip == "missing months")
            gm = jnp.where(on, gm - dv, gm)
            gp = jnp.where(on, dprior, gp)
            gr = gr + jnp.where(seen, dr, 0)
            return (gm, gp, gq + gp, gr), jnp.where(seen, dv, 0)

        zero = jnp.zeros((), y.dtype)
        steps = y, seen, means, variances
        (gm, gp, gq, gr), dy = jax.lax.scan(back, (zero,) * 4, steps, reverse=True)
        grads = {"log_level": gq * q, "log_noise": gr * r, "mean": gm, "variance": gp}
        return grads, dy, None

    likelihood.defvjp(fwd, bwd)
    return likelihood, likelihood.fun


@case(
    "fractional differences of prices (ARFIMA, mlfinlab), with a learned order",
    "causal filter",
    lambda rng: (jnp.cumsum(normal(rng, 10, 2), axis=0), jnp.float32(0.4)),
    Twin(
        "whole orders",
        "edge|nan|finite|zero",
        "d",
        "Slopes of weights are the weights times a sum of inverses, 0/0 at d = 1.",
        witness=lambda rng: (jnp.cumsum(normal(rng, 10, 2), axis=0), jnp.float32(1.0)),
    ),
    Twin(
        "last factor",
        "term|path",
        "d",
        "Of the recursion of the weights only the last factor is differentiated.",
    ),
    Twin(
        "forwards in time",
        "transpose|index",
        "x",
        "The gradient is filtered in the direction of the series.",
    ),
)
def fractional_difference(slip):
    def weights(d, count):
        def step(carry, k):
            w, dw = carry
            factor = (k - 1 - d) / k
            dw = dw * factor - w / k
            return (w * factor, dw), (w * factor, dw)

        start = jnp.ones_like(d), jnp.zeros_like(d)
        ks = jnp.arange(1, count, dtype=d.dtype)
        _, (w, dw) = jax.lax.scan(step, start, ks)
        one, none = jnp.ones((1,), d.dtype), jnp.zeros((1,), d.dtype)
        return jnp.concatenate([one, w]), jnp.concatenate([none, dw])

    def matrix(w):
        count = len(w)
        lag = jnp.arange(count)[:, None] - jnp.arange(count)
        return jnp.where(lag >= 0, w[lag], 0)

    @jax.custom_vjp
    def difference(x, d):
        return matrix(weights(d, len(x))[0]) @ x

    def fwd(x, d):
        return difference.fun(x, d), (x, d)

    def bwd(res, g):
        x, d = res
        w, dw = weights(d, len(x))
        ks = jnp.arange(1, len(x), dtype=d.dtype)
        if slip == "whole orders":
            inverses = jnp.cumsum(-1 / (ks - 1 - d))
            dw = w * jnp.concatenate([jnp.zeros((1,), d.dtype), inverses])
        if slip == "last factor":
            dw = jnp.concatenate([jnp.zeros((1,), d.dtype), -w[:-1] / ks])
        a = matrix(w)
        dx = a @ g if slip == "forwards in time" else a.T @ g
        return dx, (g * (matrix(dw) @ x)).sum()

    difference.defvjp(fwd, bwd)
    return difference, difference.fun


@case(
    "state-space Gaussian processes (Matern 3/2) in tinygp's and bayesnewton's filters",
    "transition",
    lambda rng: (positive(rng, 5, low=0.1), jnp.float32(2.0), jnp.float32(1.0)),
    Twin(
        "one triangle",
        "term|path|factor|elements",
        "dt length sigma",
        "The noise's covariance is symmetric; the cotangent below is not used.",
    ),
    Twin(
        "rate itself",
        "term|path",
        "length",
        "The rate counts only through its product with the time step.",
    ),
    Twin(
        "length of the step",
        "term|path",
        "dt",
        "The time step beside the exponential is held fixed.",
    ),
    narrow=False,
)
def matern32_transition(slip):
    """Matrices of the steps and covariances of the noise, of gaps in time."""

    def pack(a, b, c, d):
        return jnp.stack([jnp.stack([a, b], -1), jnp.stack([c, d], -1)], -2)

    def last(a):
        return -jnp.expm1(-2 * a) + jnp.exp(-2 * a) * 2 * a * (1 - a)

    def plain(dt, length, sigma):
        rate = jnp.sqrt(3.0).astype(dt.dtype) / length
        a = rate * dt
        e, e2, s2 = jnp.exp(-a), jnp.exp(-2 * a), sigma * sigma
        step = pack(e * (1 + a), e * dt, -e * rate * a, e * (1 - a))
        cross = 2 * s2 * rate * a * a * e2
        first = s2 * gammainc(jnp.full_like(a, 3), 2 * a)
        return step, pack(first, cross, cross, s2 * rate * rate * last(a))

    transition = jax.custom_vjp(plain)

    def fwd(dt, length, sigma):
        step, noise = plain(dt, length, sigma)
        return (step, noise), (dt, length, sigma, noise)

    def bwd(res, g):
        dt, length, sigma, noise = res
        ga, gq = g
        rate = jnp.sqrt(3.0).astype(dt.dtype) / length
        a = rate * dt
        e, e2, s2 = jnp.exp(-a), jnp.exp(-2 * a), sigma * sigma
        cross = gq[:, 0, 1]
        if slip != "one triangle":
            cross = cross + gq[:, 1, 0]
        by_a = e * (-a * ga[:, 0, 0] - dt * ga[:, 0, 1])
        by_a = by_a + e * (rate * (a - 1) * ga[:, 1, 0] + (a - 2) * ga[:, 1, 1])
        each = a * a * gq[:, 0, 0] + rate * a * (1 - a) * cross
        each = each + rate * rate * (1 - a) ** 2 * gq[:, 1, 1]
        by_a = by_a + 4 * s2 * e2 * each
        ddt, drate = by_a * rate, by_a * dt
        if slip != "length of the step":
            ddt = ddt + e * ga[:, 0, 1]
        if slip != "rate itself":
            drate = drate - e * a * ga[:, 1, 0] + 2 * s2 * a * a * e2 * cross
            drate = drate + 2 * s2 * rate * last(a) * gq[:, 1, 1]
        corners = gq[:, 0, 0] * noise[:, 0, 0] + gq[:, 1, 1] * noise[:, 1, 1]
        dsigma = 2 * (corners + cross * noise[:, 0, 1]).sum() / sigma
        return ddt, -drate.sum() * rate / length, dsigma

    transition.defvjp(fwd, bwd)
    return transition, plain

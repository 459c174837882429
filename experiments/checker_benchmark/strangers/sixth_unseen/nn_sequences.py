"""Recurrent layers and scans over time."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def tokens_of_channels(rng):
    params = {
        "alpha": normal(rng, 4, 3, std=0.5),
        "delta": normal(rng, 4, 3, std=0.5),
        "beta": normal(rng, 4, 3),
        "gamma": normal(rng, 4, 3),
        "omega": jnp.ones(4),
    }
    return normal(rng, 7, 4), params


@case(
    "the damped moving averages of Mega in flax ports, expanded for each channel",
    "recurrence",
    tokens_of_channels,
    Twin(
        "alpha in the decay",
        "term|path",
        "params",
        "Alpha is reached through what is written and not through the decay.",
    ),
    Twin(
        "state after the token",
        "index|residual|operand",
        "params",
        "The decay's gradient takes the states after the tokens, not before them.",
    ),
    Twin(
        "scale of the sum",
        "ratio|factor|constant",
        "x params",
        "The states are pulled back without the root of their number.",
    ),
)
def mega_ema(slip):
    def coefficients(params):
        alpha = jax.nn.sigmoid(params["alpha"])
        delta = jax.nn.sigmoid(params["delta"])
        return alpha, delta, 1 - alpha * delta

    def states(x, params):
        alpha, _, decay = coefficients(params)

        def step(h, x):
            new = decay * h + alpha * params["beta"] * x[:, None]
            return new, (h, new)

        return jax.lax.scan(step, jnp.zeros_like(alpha), x)[1]

    @jax.custom_vjp
    def average(x, params):
        h = states(x, params)[1]
        root = params["gamma"].shape[-1] ** 0.5
        return (h * params["gamma"]).sum(-1) / root + params["omega"] * x

    def fwd(x, params):
        return average.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        before, after = states(x, params)
        alpha, delta, decay = coefficients(params)
        root = params["gamma"].shape[-1] ** 0.5
        out = g if slip == "scale of the sum" else g / root

        def back(dh, inputs):
            x, g, h = inputs
            dh = dh + g[:, None] * params["gamma"]
            dwritten = dh * x[:, None]
            dx = (dh * alpha * params["beta"]).sum(-1)
            return decay * dh, (dx, dh * h, dwritten)

        seen = after if slip == "state after the token" else before
        inputs = (x, out, seen)
        _, grads = jax.lax.scan(back, jnp.zeros_like(alpha), inputs, reverse=True)
        dx, ddecay, dwritten = grads[0], grads[1].sum(0), grads[2].sum(0)
        dalpha = params["beta"] * dwritten
        if slip != "alpha in the decay":
            dalpha = dalpha - delta * ddecay
        dparams = {
            "alpha": dalpha * alpha * (1 - alpha),
            "delta": -alpha * ddecay * delta * (1 - delta),
            "beta": alpha * dwritten,
            "gamma": jnp.einsum("tdh,td->dh", after, out),
            "omega": (g * x).sum(0),
        }
        return dx + params["omega"] * g, dparams

    average.defvjp(fwd, bwd)
    return average, average.fun

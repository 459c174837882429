"""Densities and transport."""

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


@case(
    "binary concrete density (distrax, numpyro RelaxedBernoulli)",
    "log-density",
    lambda rng: (
        normal(rng, 4, 3),
        normal(rng, 3),
        positive(rng, high=1.0),
    ),
    Twin(
        "broadcast sum",
        "sum|axis|factor",
        "logits",
        "The logits' gradient is averaged over the batch.",
    ),
    Twin(
        "temperature's log",
        "term|path",
        "temperature",
        "The temperature's own logarithm is left out.",
    ),
    Twin(
        "twice",
        "factor|ratio",
        "x logits temperature",
        "The logistic term counts once.",
    ),
)
def relaxed_bernoulli_log_prob(slip):
    # x are logits of the sample, as they are kept to stay finite
    def plain(x, logits, temperature):
        d = logits - temperature * x
        return jnp.log(temperature) + d - 2 * jax.nn.softplus(d)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, logits, temperature):
        d = logits - temperature * x
        y = jnp.log(temperature) + d - 2 * jax.nn.softplus(d)
        return y, (x, temperature, jax.nn.sigmoid(d))

    def bwd(res, g):
        x, temperature, s = res
        dd = g * (1 - (1 if slip == "twice" else 2) * s)
        dlogits = dd.mean(0) if slip == "broadcast sum" else dd.sum(0)
        dtemp = -(dd * x).sum()
        if slip != "temperature's log":
            dtemp = dtemp + g.sum() / temperature
        return -temperature * dd, dlogits, dtemp

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "semi-discrete entropic transport in ott-jax",
    "optimal transport",
    lambda rng: (
        normal(rng, 4),
        normal(rng, 5, 4),
        jax.nn.softmax(normal(rng, 5)),
        jax.nn.softmax(normal(rng, 4)),
    ),
    Twin(
        "plan's weights",
        "factor|term",
        "g cost",
        "The plan is not weighted by the masses of the source.",
    ),
    Twin(
        "sign of the cost",
        "sign",
        "cost",
        "The cost's gradient has the sign of the potential's.",
    ),
    Twin(
        "temperature",
        "factor|ratio|constant",
        "a",
        "The smoothed minimum is not multiplied by the temperature.",
    ),
    narrow=False,
)
def semidual_transport_objective(slip):
    eps = 0.4

    def smooth_min(g, cost):
        return -eps * jax.nn.logsumexp((g - cost) / eps, axis=1)

    def plain(g, cost, a, b):
        return g @ b + smooth_min(g, cost) @ a

    value = jax.custom_vjp(plain)

    def fwd(g, cost, a, b):
        f = smooth_min(g, cost)
        return g @ b + f @ a, (g, cost, a, b, f)

    def bwd(res, t):
        g, cost, a, b, f = res
        plan = jnp.exp((f[:, None] + g - cost) / eps)
        if slip != "plan's weights":
            plan = a[:, None] * plan
        dcost = -plan if slip == "sign of the cost" else plan
        da = f / eps if slip == "temperature" else f
        return t * (b - plan.sum(0)), t * dcost, t * da, t * g

    value.defvjp(fwd, bwd)
    return value, plain

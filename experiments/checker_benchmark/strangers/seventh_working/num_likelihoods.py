"""Log-likelihoods of models that are fitted every day."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def waiting(rng):
    return positive(rng, 4, 3), positive(rng, 3, low=1.2), positive(rng)


@case(
    "log_prob of Gamma in numpyro and distrax",
    "log-density",
    waiting,
    Twin(
        "log of the rate",
        "term",
        "concentration",
        "The concentration's gradient lacks log(rate).",
    ),
    Twin(
        "mean over the batch",
        "ratio|sum|factor",
        "concentration",
        "What was broadcast is averaged, not summed.",
    ),
    Twin(
        "shape without one",
        "term|ratio|factor",
        "x",
        "a / x where (a - 1) / x belongs.",
    ),
)
def gamma_log_prob(slip):
    def plain(x, concentration, rate):
        a = concentration
        return a * jnp.log(rate) - gammaln(a) + (a - 1) * jnp.log(x) - rate * x

    log_prob = jax.custom_vjp(plain)

    def fwd(x, concentration, rate):
        return plain(x, concentration, rate), (x, concentration, rate)

    def bwd(res, g):
        x, a, b = res
        lead = a if slip == "shape without one" else a - 1
        dx = g * (lead / x - b)
        da = jnp.log(x) - digamma(a)
        if slip != "log of the rate":
            da = da + jnp.log(b)
        together = jnp.mean if slip == "mean over the batch" else jnp.sum
        return dx, together(g * da, axis=0), (g * (a / b - x)).sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def choices(rng):
    x = normal(rng, 7, 3)
    return normal(rng, 3, 2, std=0.5), x, integers(rng, 3, 7), 0.1


@case(
    "MNLogit of statsmodels, as ported to JAX",
    "loss with a penalty",
    choices,
    Twin(
        "intercept shrinks",
        "term|mask|index",
        "coefficients",
        "The penalty's gradient is given to the intercepts too.",
    ),
    Twin(
        "base class kept",
        "index|swap|cotangent",
        "coefficients x",
        "The last column of the residuals is dropped instead of the base class's.",
    ),
    Twin(
        "sum of the rows",
        "ratio|factor|sum",
        "coefficients",
        "The loss is a mean, the gradient of the coefficients a sum.",
    ),
)
def multinomial_logit_nll(slip):
    def log_probabilities(coefficients, x):
        eta = x @ coefficients
        base = jnp.zeros_like(eta[:, :1])
        return jax.nn.log_softmax(jnp.concatenate([base, eta], 1))

    def plain(coefficients, x, label, penalty):
        logp = log_probabilities(coefficients, x)
        nll = -jnp.take_along_axis(logp, label[:, None], 1).mean()
        return nll + 0.5 * penalty * (coefficients[1:] ** 2).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(coefficients, x, label, penalty):
        value = plain(coefficients, x, label, penalty)
        p = jnp.exp(log_probabilities(coefficients, x))
        return value, (coefficients, x, label, p)

    def bwd(penalty, res, g):
        coefficients, x, label, p = res
        off = g * (p - jax.nn.one_hot(label, p.shape[1], dtype=p.dtype)) / len(x)
        off = off[:, :-1] if slip == "base class kept" else off[:, 1:]
        dc = x.T @ off
        if slip == "sum of the rows":
            dc = dc * len(x)
        shrunk = g * penalty * coefficients
        if slip != "intercept shrinks":
            shrunk = shrunk.at[0].set(0)
        return dc + shrunk, off @ coefficients.T, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def lifetimes(rng):
    time, event = positive(rng, 6), jnp.asarray([1, 0, 1, 1, 0, 1], jnp.float32)
    params = {"beta": normal(rng, 2), "log_scale": normal(rng, std=0.3)}
    return params, time, event, normal(rng, 6, 2)


@case(
    "log-logistic accelerated failure time model of lifelines in JAX",
    "survival log-likelihood",
    lifetimes,
    Twin(
        "everyone has an event",
        "mask|term",
        "params",
        "The censored get the slope of a density.",
    ),
    Twin(
        "scale of the density",
        "term",
        "params",
        "The scale's gradient lacks the events' -1 of the density's 1 / scale.",
    ),
    fixed=(2,),
)
def log_logistic_aft(slip):
    def plain(params, time, event, x):
        scale = jnp.exp(params["log_scale"])
        z = (jnp.log(time) - x @ params["beta"]) / scale
        survival = -jax.nn.softplus(z)
        hazard = z + survival - params["log_scale"] - jnp.log(time)
        return (survival + event * hazard).sum()

    likelihood = jax.custom_vjp(plain)

    def fwd(params, time, event, x):
        return plain(params, time, event, x), (params, time, event, x)

    def bwd(res, g):
        params, time, event, x = res
        scale = jnp.exp(params["log_scale"])
        z = (jnp.log(time) - x @ params["beta"]) / scale
        q = jax.nn.sigmoid(z)
        happened = jnp.ones_like(event) if slip == "everyone has an event" else event
        dz = g * (happened * (1 - q) - q)
        dlog_scale = -(dz * z).sum()
        if slip != "scale of the density":
            dlog_scale = dlog_scale - g * event.sum()
        dparams = {"beta": -x.T @ dz / scale, "log_scale": dlog_scale}
        dtime = (dz / scale - g * event) / time
        survival = -jax.nn.softplus(z)
        devent = g * (z + survival - params["log_scale"] - jnp.log(time))
        return dparams, dtime, devent, -jnp.outer(dz, params["beta"]) / scale

    likelihood.defvjp(fwd, bwd)
    return likelihood, plain


def pieces(rng):
    event = jnp.asarray([True, False, True, True, True, False, True])
    time = jnp.asarray([0.3, 0.7, 1.4, 1.8, 2.7, 2.2, 0.2], jnp.float32)
    return normal(rng, 3), time, event, (0.0, 1.0, 2.0)


@case(
    "piecewise exponential model of lifelines and pycox (PC-Hazard) in JAX",
    "survival log-likelihood",
    pieces,
    Twin(
        "last one wins",
        "duplicates|index|sum",
        "log_hazard",
        "Of the events in a piece one counts.",
    ),
    Twin(
        "whole pieces",
        "mask|term|function",
        "log_hazard",
        "Time at risk is counted to the end of each piece that was entered.",
    ),
    fixed=(1,),
    narrow=False,
)
def piecewise_exponential_survival(slip):
    def exposure(time, starts):
        starts = jnp.asarray(starts, time.dtype)
        width = jnp.append(jnp.diff(starts), jnp.inf)
        return jnp.clip(time[:, None] - starts, 0, width)

    def plain(log_hazard, time, event, starts):
        piece = jnp.searchsorted(jnp.asarray(starts), time, side="right") - 1
        risk = exposure(time, starts) @ jnp.exp(log_hazard)
        return jnp.where(event, log_hazard[piece], 0) - risk

    likelihood = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(log_hazard, time, event, starts):
        return plain(log_hazard, time, event, starts), (log_hazard, time, event)

    def bwd(starts, res, g):
        log_hazard, time, event = res
        hazard = jnp.exp(log_hazard)
        piece = jnp.searchsorted(jnp.asarray(starts), time, side="right") - 1
        at = jnp.zeros_like(hazard).at[piece]
        died = jnp.where(event, g, 0)
        deaths = at.set(died) if slip == "last one wins" else at.add(died)
        spent = exposure(time, starts)
        if slip == "whole pieces":
            spent = jnp.where(spent > 0, 1.0, 0.0).astype(g.dtype)
        return deaths - hazard * (g @ spent), -g * hazard[piece], None

    likelihood.defvjp(fwd, bwd)
    return likelihood, plain


def ballots(rng):
    return integers(rng, 5, 6, 4), normal(rng, 4)


@case(
    "log_prob of MultinomialLogits in numpyro",
    "log-probability of counts",
    ballots,
    Twin(
        "one trial",
        "factor|ratio|term",
        "logits",
        "The probabilities are subtracted once, not once for each trial.",
    ),
    Twin(
        "first row",
        "index|sum|cotangent",
        "logits",
        "The cotangent of the first row is used for all.",
    ),
)
def multinomial_log_prob(slip):
    def plain(counts, logits):
        c = counts.astype(logits.dtype)
        ways = gammaln(c.sum(-1) + 1) - gammaln(c + 1).sum(-1)
        return ways + c @ jax.nn.log_softmax(logits)

    log_prob = jax.custom_vjp(plain)

    def fwd(counts, logits):
        return plain(counts, logits), (counts, jax.nn.softmax(logits))

    def bwd(res, g):
        counts, p = res
        trials = counts.sum(-1, keepdims=True)
        if slip == "one trial":
            trials = jnp.ones_like(trials)
        off = counts.astype(p.dtype) - trials.astype(p.dtype) * p
        dlogits = g[0] * off.sum(0) if slip == "first row" else g @ off
        return None, dlogits

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain

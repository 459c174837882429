"""Densities: skewed, censored, inflated at zero, extreme values, divergences."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln, log_ndtr

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
    "distrax and numpyro models with skewed noise (Azzalini's skew normal)",
    "log-density",
    lambda rng: (
        normal(rng, 5, 3),
        normal(rng, 3),
        positive(rng, 3),
        normal(rng, 3),
    ),
    Twin(
        "skewing factor's slope",
        "term|path",
        "x loc scale",
        "The points move the normal density only, not the factor that skews it.",
    ),
    Twin("volume", "term", "scale", "The part of -log(scale) is left out."),
    Twin(
        "standardised point",
        "factor|operand|residual",
        "skew",
        "The slope by the skewness has x - loc, not that over the scale.",
    ),
    narrow=False,
)
def skew_normal_log_prob(slip):
    """For each row of x; loc, scale and skew are those of the columns."""

    def log_normal(z):
        return -0.5 * z * z - 0.5 * jnp.log(2 * jnp.pi).astype(z.dtype)

    @jax.custom_vjp
    def log_prob(x, loc, scale, skew):
        z = (x - loc) / scale
        return jnp.log(2.0) + log_normal(z) - jnp.log(scale) + log_ndtr(skew * z)

    def fwd(x, loc, scale, skew):
        return log_prob.fun(x, loc, scale, skew), (x, loc, scale, skew)

    def bwd(res, g):
        x, loc, scale, skew = res
        z = (x - loc) / scale
        ratio = jnp.exp(log_normal(skew * z) - log_ndtr(skew * z))
        dz = -z if slip == "skewing factor's slope" else skew * ratio - z
        by_x = g * dz / scale
        by_scale = -by_x * z if slip == "volume" else -(by_x * z + g / scale)
        along = x - loc if slip == "standardised point" else z
        dskew = (g * ratio * along).sum(0)
        return by_x, -by_x.sum(0), by_scale.sum(0), dskew

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def lifetimes(rng):
    events = jnp.array([1, 1, 0, 1, 0, 1], bool)
    return positive(rng, 6), events, normal(rng, 6, 2), normal(rng, 2), jnp.float32(0.0)


@case(
    "Weibull accelerated failure times in numpyro",
    "survival log-likelihood",
    lifetimes,
    Twin(
        "censored rows",
        "mask|region|term|path",
        "covariates weights log_shape",
        "Only rows with an event have a gradient, though all have survived so far.",
    ),
    Twin(
        "logarithm of the shape",
        "factor|ratio|path",
        "log_shape",
        "The slope is by the shape, not by its logarithm.",
        witness=lambda rng: (*lifetimes(rng)[:-1], jnp.float32(0.6)),
    ),
    Twin(
        "events in the slope by time",
        "term|path|mask|region",
        "times",
        "That of the Jacobian 1 / t of the density is left out.",
    ),
    fixed=(0, 2),
    narrow=False,
    scales=(0.1, 1.0, 3.0),
)
def weibull_censored(slip):
    """Sum over rows; the logarithm of a row's time scale is covariates @ weights."""

    @jax.custom_vjp
    def log_likelihood(times, events, covariates, weights, log_shape):
        z = jnp.exp(log_shape) * (jnp.log(times) - covariates @ weights)
        hazard = log_shape + z - jnp.log(times)
        return (jnp.where(events, hazard, 0) - jnp.exp(z)).sum()

    def fwd(times, events, covariates, weights, log_shape):
        value = log_likelihood.fun(times, events, covariates, weights, log_shape)
        return value, (times, events, covariates, weights, log_shape)

    def bwd(res, g):
        times, events, covariates, weights, log_shape = res
        shape = jnp.exp(log_shape)
        z = shape * (jnp.log(times) - covariates @ weights)
        count = events.astype(z.dtype)
        dz = g * (count - jnp.exp(z))
        if slip == "censored rows":
            dz = jnp.where(events, dz, 0)
        dtimes = dz * shape / times
        if slip != "events in the slope by time":
            dtimes = dtimes - g * count / times
        by_location = -shape * dz
        dshape = (dz * z + g * count).sum()
        if slip == "logarithm of the shape":
            dshape = dshape / shape
        dweights = by_location @ covariates
        return dtimes, None, by_location[:, None] * weights, dweights, dshape

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


def visits(gates: int):
    def args(rng):
        gate = normal(rng, gates) if gates else jnp.float32(-0.5)
        return jnp.array([0, 2, 0, 1, 4, 0], jnp.int32), normal(rng, 6), gate

    return args


@case(
    "numpyro.distributions.ZeroInflatedPoisson, with logits of the gate",
    "log-probability of counts",
    visits(0),
    Twin(
        "zeros by the gate alone",
        "mask|region|term|path|zero",
        "log_rate",
        "A zero is taken to come from the gate, so the rate has no part in it.",
    ),
    Twin(
        "gate of positive counts",
        "mask|region|term|path",
        "gate_logit",
        "Counts above zero have no gradient for the gate.",
    ),
    Twin(
        "mean over the rows",
        "ratio|factor|sum|constant",
        "gate_logit",
        "One gate for all rows has the mean of their gradients.",
    ),
)
def zero_inflated_poisson(slip):
    """Of each count; the gate is one for all, or one for each."""

    def plain(counts, log_rate, gate_logit):
        rate = jnp.exp(log_rate)
        closed, open_ = jax.nn.log_sigmoid(gate_logit), jax.nn.log_sigmoid(-gate_logit)
        drawn = counts * log_rate - rate - gammaln(counts + 1.0).astype(rate.dtype)
        zero = jnp.logaddexp(closed, open_ - rate)
        return jnp.where(counts == 0, zero, open_ + drawn)

    log_prob = jax.custom_vjp(plain)

    def fwd(counts, log_rate, gate_logit):
        return plain(counts, log_rate, gate_logit), (counts, log_rate, gate_logit)

    def bwd(res, g):
        counts, log_rate, gate_logit = res
        rate = jnp.exp(log_rate)
        zero = counts == 0
        by_chance = jax.nn.sigmoid(-gate_logit - rate)
        if slip == "zeros by the gate alone":
            by_chance = jnp.zeros_like(by_chance)
        drate = g * jnp.where(zero, -rate * by_chance, counts - rate)
        gate, open_ = jax.nn.sigmoid(gate_logit), jax.nn.sigmoid(-gate_logit)
        of_zero = -jnp.expm1(-rate) * jax.nn.sigmoid(gate_logit + rate) * open_
        positive_count = 0 if slip == "gate of positive counts" else -gate
        dgate = g * jnp.where(zero, of_zero, positive_count)
        if gate_logit.ndim == 0:
            dgate = dgate.mean() if slip == "mean over the rows" else dgate.sum()
        return None, drate.astype(log_rate.dtype), dgate.astype(gate_logit.dtype)

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def factors(rng):
    def factor():
        return jnp.tril(0.3 * normal(rng, 3, 3), -1) + jnp.diag(positive(rng, 3))

    return normal(rng, 3), factor(), normal(rng, 3), factor()


@case(
    "numpyro.distributions.kl: two MultivariateNormal(scale_tril=...)",
    "divergence",
    factors,
    Twin("volume of the first", "term", "tril", "Its log-determinant is held fixed."),
    Twin(
        "distance in the scale",
        "term|path",
        "prior_tril",
        "The prior's factor moves the trace and the volume, not the distance.",
    ),
    Twin("upper triangle", "mask|region", "tril", "Entries not read have gradients."),
    options=lambda plain: {"edges": False},
    narrow=False,
)
def kl_mvn(slip):
    def solved(mean, tril, prior_mean, prior_tril):
        a = solve_triangular(prior_tril, jnp.tril(tril), lower=True)
        d = solve_triangular(prior_tril, mean - prior_mean, lower=True)
        return a, d

    @jax.custom_vjp
    def kl(mean, tril, prior_mean, prior_tril):
        a, d = solved(mean, tril, prior_mean, prior_tril)
        volume = jnp.log(jnp.diagonal(prior_tril) / jnp.diagonal(tril)).sum()
        return 0.5 * ((a * a).sum() + (d * d).sum() - len(mean)) + volume

    def fwd(mean, tril, prior_mean, prior_tril):
        return kl.fun(mean, tril, prior_mean, prior_tril), (
            *solved(mean, tril, prior_mean, prior_tril),
            jnp.diagonal(tril),
            prior_tril,
        )

    def bwd(res, g):
        a, d, diagonal, prior_tril = res
        back_a = solve_triangular(prior_tril, g * a, lower=True, trans=1)
        back_d = solve_triangular(prior_tril, g * d, lower=True, trans=1)
        dtril = back_a if slip == "upper triangle" else jnp.tril(back_a)
        if slip != "volume of the first":
            dtril = dtril - jnp.diag(g / diagonal)
        dprior = -back_a @ a.T
        if slip != "distance in the scale":
            dprior = dprior - jnp.outer(back_d, d)
        dprior = jnp.tril(dprior) + jnp.diag(g / jnp.diagonal(prior_tril))
        return back_d, dtril, -back_d, dprior

    kl.defvjp(fwd, bwd)
    return kl, kl.fun

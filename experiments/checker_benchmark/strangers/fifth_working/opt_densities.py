"""Densities, counts, labels and draws, with their parameters' gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln, ndtr, ndtri

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


def trials(rng):
    totals = jnp.full(6, 10, jnp.int32)
    return integers(rng, 11, 6), totals, normal(rng, 6), jnp.float32(1.0)


def labels_of(rng):
    return integers(rng, 2, 8), normal(rng, 8), jnp.ones(8, jnp.float32)


def uniforms(rng):
    bounds = [jnp.float32(v) for v in (0.0, 1.0, -1.0, 2.0)]
    return positive(rng, 6, low=0.05, high=0.95), *bounds


@case(
    "numpyro.distributions.BetaBinomial by the mean's logit and a log concentration",
    "log-probability of counts",
    trials,
    Twin(
        "totals",
        "term|path",
        "log_concentration",
        "The digamma function of total and concentration is left out.",
    ),
    Twin(
        "logit's slope",
        "factor|ratio|path",
        "logit",
        "The gradient is by the mean, not by its logit.",
    ),
    Twin(
        "failures",
        "operand|residual|term",
        "logit log_concentration",
        "Successes are counted where failures are due.",
    ),
    narrow=False,
    scales=(0.5, 1.0, 2.0),
)
def beta_binomial_log_prob(slip):
    """Of successes among trials whose probabilities are beta distributed."""

    def plain(counts, totals, logit, log_concentration):
        c = jnp.exp(log_concentration)
        a, b = c * jax.nn.sigmoid(logit), c * jax.nn.sigmoid(-logit)
        k, n = counts.astype(a.dtype), totals.astype(a.dtype)
        ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
        drawn = gammaln(k + a) + gammaln(n - k + b) - gammaln(n + c)
        return ways + drawn - gammaln(a) - gammaln(b) + gammaln(c)

    log_prob = jax.custom_vjp(plain)

    def fwd(*args):
        return plain(*args), args

    def bwd(res, g):
        counts, totals, logit, log_concentration = res
        c = jnp.exp(log_concentration)
        p, q = jax.nn.sigmoid(logit), jax.nn.sigmoid(-logit)
        k, n = counts.astype(p.dtype), totals.astype(p.dtype)
        missed = k if slip == "failures" else n - k
        da = digamma(k + c * p) - digamma(c * p)
        db = digamma(missed + c * q) - digamma(c * q)
        dc = p * da + q * db
        if slip != "totals":
            dc = dc - (digamma(n + c) - digamma(c))
        dlogit = g * c * (da - db)
        if slip != "logit's slope":
            dlogit = dlogit * p * q
        return None, None, dlogit, (g * c * dc).sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "probit likelihoods of Gaussian-process classifiers (GPJax, bayesnewton)",
    "log-likelihood",
    labels_of,
    Twin(
        "ratio",
        "edge|eps|region|function|factor|ratio",
        "eta",
        "The density is divided by the probability, which is 0 in the tail.",
        witness=lambda rng: (
            jnp.array([1, 0, 1], jnp.int32),
            jnp.array([-45.0, 0.5, 1.0], jnp.float32),
            jnp.ones(3, jnp.float32),
        ),
    ),
    Twin(
        "label's sign",
        "sign|factor|operand|ratio",
        "eta",
        "The outer derivative of the signed margin is left out.",
    ),
    Twin(
        "weights",
        "factor|operand|path",
        "eta",
        "Rows are weighted in the value only.",
        witness=lambda rng: (*labels_of(rng)[:2], positive(rng, 8)),
    ),
    narrow=False,
)
def probit_log_likelihood(slip):
    """Weighted sum of the logarithms of the labels' probabilities."""

    def margins(labels, eta):
        return (2 * labels - 1).astype(eta.dtype) * eta

    @jax.custom_vjp
    def likelihood(labels, eta, weights):
        return (weights * jax.scipy.special.log_ndtr(margins(labels, eta))).sum()

    def fwd(labels, eta, weights):
        logs = jax.scipy.special.log_ndtr(margins(labels, eta))
        return (weights * logs).sum(), (labels, eta, weights, logs)

    def bwd(res, g):
        labels, eta, weights, logs = res
        z = margins(labels, eta)
        log_density = -0.5 * z * z - 0.5 * np.log(2 * np.pi).item()
        ratio = jnp.exp(log_density - logs)
        if slip == "ratio":
            ratio = jnp.exp(log_density) / ndtr(z)
        deta = g * ratio
        if slip != "weights":
            deta = deta * weights
        if slip != "label's sign":
            deta = deta * (2 * labels - 1).astype(eta.dtype)
        return None, deta, g * logs

    likelihood.defvjp(fwd, bwd)
    return likelihood, likelihood.fun


@case(
    "numpyro.distributions.TruncatedNormal.icdf: draws from uniform numbers",
    "sampling",
    uniforms,
    Twin(
        "bounds that move",
        "term|path",
        "loc",
        "The draws move with the location as if there were no bounds.",
    ),
    Twin(
        "scale of an untruncated normal",
        "term|path",
        "scale",
        "The scale's way through the standardised bounds is left out.",
    ),
    Twin(
        "density at the draw",
        "factor|operand|ratio",
        "loc scale low high",
        "The bounds' densities are not divided by that at the draw.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.5, 1.0, 1.5),
)
def truncated_normal_sample(slip):
    """Quantiles of a normal distribution between two bounds."""

    def standard(u, loc, scale, low, high):
        a, b = (low - loc) / scale, (high - loc) / scale
        mass = ndtr(b) - ndtr(a)
        return a, b, mass, ndtri(ndtr(a) + u * mass)

    @jax.custom_vjp
    def sample(u, loc, scale, low, high):
        return loc + scale * standard(u, loc, scale, low, high)[-1]

    def fwd(u, loc, scale, low, high):
        a, b, mass, z = standard(u, loc, scale, low, high)
        return loc + scale * z, (u, scale, a, b, mass, z)

    def bwd(res, g):
        u, scale, a, b, mass, z = res
        at_a, at_b = -a * a / 2, -b * b / 2
        here = 0 if slip == "density at the draw" else z * z / 2
        root = np.sqrt(2 * np.pi).item()
        lower = (1 - u) * jnp.exp(at_a + here)
        upper = u * jnp.exp(at_b + here)
        if slip == "density at the draw":
            lower, upper = lower / root, upper / root
        du = g * scale * mass * root * jnp.exp(z * z / 2)
        dloc = g if slip == "bounds that move" else g * (1 - lower - upper)
        dscale = z - a * lower - b * upper
        if slip.startswith("scale"):
            dscale = z
        return du, dloc.sum(), (g * dscale).sum(), (g * lower).sum(), (g * upper).sum()

    sample.defvjp(fwd, bwd)
    return sample, sample.fun

"""Samples, bounds and likelihoods of one number at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    integers,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def laplace_arguments(rng):
    return normal(rng, 3), positive(rng, 3), positive(rng, 5, 3, low=-0.45, high=0.45)


@case(
    "reparameterised sample of Laplace in numpyro and distrax",
    "sampling",
    laplace_arguments,
    Twin(
        "sample for noise",
        "residual|term",
        "scale",
        "The scale's gradient has the sample where the noise belongs.",
    ),
    Twin(
        "left half",
        "sign",
        "uniform",
        "Below the median the slope in the uniform number is negative.",
    ),
    fixed=(2,),
    narrow=False,
)
def laplace_sample(slip):
    def plain(loc, scale, uniform):
        noise = -jnp.sign(uniform) * jnp.log1p(-2 * jnp.abs(uniform))
        return loc + scale * noise

    sample = jax.custom_vjp(plain)

    def fwd(loc, scale, uniform):
        out = plain(loc, scale, uniform)
        return out, (out, loc, scale, uniform)

    def bwd(res, g):
        out, loc, scale, uniform = res
        noise = out if slip == "sample for noise" else (out - loc) / scale
        slope = 2 * scale / (1 - 2 * jnp.abs(uniform))
        if slip == "left half":
            slope = slope * jnp.sign(uniform)
        return g.sum(0), (g * noise).sum(0), g * slope

    sample.defvjp(fwd, bwd)
    return sample, plain


@case(
    "log_prob of LogNormal in numpyro",
    "log-density",
    lambda rng: (positive(rng, 4, 3), normal(rng, 3), normal(rng, 3, std=0.3)),
    Twin(
        "density of the logarithm",
        "term",
        "x",
        "The 1 / x of the change of variables is not differentiated.",
    ),
    Twin(
        "log-scale as scale",
        "factor|ratio|function",
        "log_scale",
        "The gradient is that of the scale, not of its logarithm.",
    ),
    fixed=(2,),
)
def lognormal_log_prob(slip):
    def plain(x, loc, log_scale):
        log_x = jnp.log(x)
        z = (log_x - loc) * jnp.exp(-log_scale)
        return -0.5 * z * z - log_scale - log_x - 0.5 * np.log(2 * np.pi).item()

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, log_scale):
        return plain(x, loc, log_scale), (x, loc, log_scale)

    def bwd(res, g):
        x, loc, log_scale = res
        scale = jnp.exp(log_scale)
        z = (jnp.log(x) - loc) / scale
        dloc = g * z / scale
        own = 0 if slip == "density of the logarithm" else g
        dlog_scale = g * (z * z - 1)
        if slip == "log-scale as scale":
            dlog_scale = dlog_scale / scale
        return -(dloc + own) / x, dloc.sum(0), dlog_scale.sum(0)

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def counts(rng):
    params = {"beta": normal(rng, 2, std=0.5), "log_alpha": normal(rng, std=0.3)}
    return params, normal(rng, 6, 2), integers(rng, 8, 6)


@case(
    "NegativeBinomial (NB2) of statsmodels and scvi-like losses in JAX",
    "log-probability of counts",
    counts,
    Twin(
        "dispersion's logarithm",
        "factor|ratio|function",
        "params",
        "The gradient of the dispersion is returned for its logarithm.",
    ),
    Twin(
        "Poisson's score",
        "factor|term|function",
        "params x",
        "The score lacks the overdispersion below: y - mu.",
    ),
    fixed=(0,),
    narrow=False,
    scales=(0.1, 1.0),
)
def negative_binomial_nll(slip):
    def plain(params, x, y):
        y = y.astype(x.dtype)
        size = jnp.exp(-params["log_alpha"])
        eta = x @ params["beta"]
        ways = gammaln(y + size) - gammaln(size) - gammaln(y + 1)
        total = jnp.log(size + jnp.exp(eta))
        each = ways + size * (jnp.log(size) - total) + y * (eta - total)
        return -each.sum()

    loss = jax.custom_vjp(plain)

    def fwd(params, x, y):
        return plain(params, x, y), (params, x, y)

    def bwd(res, g):
        params, x, y = res
        y = y.astype(x.dtype)
        size = jnp.exp(-params["log_alpha"])
        mu = jnp.exp(x @ params["beta"])
        score = (mu - y) * g
        if slip != "Poisson's score":
            score = score * size / (size + mu)
        dsize = digamma(y + size) - digamma(size) + jnp.log(size / (size + mu))
        dsize = -g * (dsize + (mu - y) / (size + mu)).sum()
        factor = 1 if slip == "dispersion's logarithm" else size
        dparams = {"beta": score @ x, "log_alpha": -factor * dsize}
        return dparams, jnp.outer(score, params["beta"]), None

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "importance weighted bound (IWAE; RenyiELBO of numpyro)",
    "variational bound",
    draw(log_joint=(4, 3), log_guide=(4, 3)),
    Twin(
        "equal weights",
        "function|factor|ratio",
        "log_joint log_guide",
        "The samples count alike, as in the ELBO.",
    ),
    Twin(
        "weights over the batch",
        "sum|index|transpose|swap",
        "log_joint log_guide",
        "The weights are normalised over the data, not over the samples.",
    ),
)
def iwae_bound(slip):
    def plain(log_joint, log_guide):
        ratio = log_joint - log_guide
        each = jax.nn.logsumexp(ratio, axis=0) - np.log(ratio.shape[0]).item()
        return each.mean()

    bound = jax.custom_vjp(plain)

    def fwd(log_joint, log_guide):
        return plain(log_joint, log_guide), log_joint - log_guide

    def bwd(ratio, g):
        axis = 1 if slip == "weights over the batch" else 0
        share = jax.nn.softmax(ratio, axis=axis)
        if slip == "equal weights":
            share = jnp.full_like(ratio, 1 / ratio.shape[0])
        d = g * share / ratio.shape[1]
        return d, -d

    bound.defvjp(fwd, bwd)
    return bound, plain


@case(
    "weighted variance with reliability weights (DescrStatsW of statsmodels) in JAX",
    "reduction with weights",
    lambda rng: (normal(rng, 6, 2), positive(rng, 6)),
    Twin(
        "correction",
        "term",
        "weights",
        "The correction by the squares of the weights is taken as constant.",
    ),
    Twin(
        "without weights",
        "factor",
        "x",
        "The deviations' gradients are not weighted.",
    ),
)
def weighted_variance(slip):
    def pieces(x, weights):
        total = weights.sum()
        off = x - weights @ x / total
        return off, total, total - weights @ weights / total

    def plain(x, weights):
        off, _, below = pieces(x, weights)
        return weights @ (off * off) / below

    variance = jax.custom_vjp(plain)

    def fwd(x, weights):
        return plain(x, weights), (x, weights)

    def bwd(res, g):
        x, weights = res
        off, total, below = pieces(x, weights)
        own = jnp.ones_like(weights) if slip == "without weights" else weights
        dx = 2 * g * own[:, None] * off / below
        dweights = (off * off) @ g / below
        if slip != "correction":
            dbelow = -(g @ (weights @ (off * off))) / below**2
            slope = 1 - 2 * weights / total + weights @ weights / total**2
            dweights = dweights + dbelow * slope
        return dx, dweights

    variance.defvjp(fwd, bwd)
    return variance, plain

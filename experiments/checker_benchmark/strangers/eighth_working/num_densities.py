"""Log-densities and log-probabilities."""

import jax
import jax.numpy as jnp
from jax.scipy.special import digamma, gammaln

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def extremes(rng):
    return normal(rng, 5, 3), normal(rng, 3), normal(rng)


@case(
    "Gumbel's log-density in distrax and numpyro",
    "log-density",
    extremes,
    Twin(
        "one scale for all",
        "sum|ratio|factor",
        "raw_scale",
        "The scale is shared by all entries, its gradient is their mean.",
    ),
    Twin(
        "normalisation",
        "term|path",
        "raw_scale",
        "The logarithm of the scale is left out.",
    ),
    Twin(
        "inner exponential",
        "term|function|sign",
        "x loc raw_scale",
        "The exponential of the standardised value is left out of the slope.",
    ),
)
def gumbel_log_prob(slip):
    def standard(x, loc, raw_scale):
        scale = jax.nn.softplus(raw_scale) + 0.05
        return scale, (x - loc) / scale

    @jax.custom_vjp
    def log_prob(x, loc, raw_scale):
        scale, z = standard(x, loc, raw_scale)
        return -z - jnp.exp(-z) - jnp.log(scale)

    def fwd(x, loc, raw_scale):
        return log_prob.fun(x, loc, raw_scale), (x, loc, raw_scale)

    def bwd(res, g):
        x, loc, raw_scale = res
        scale, z = standard(x, loc, raw_scale)
        dz = -g if slip == "inner exponential" else g * jnp.expm1(-z)
        each = -dz * z
        if slip != "normalisation":
            each = each - g
        dscale = each.mean() if slip == "one scale for all" else each.sum()
        draw = dscale / scale * jax.nn.sigmoid(raw_scale)
        return dz / scale, -(dz / scale).sum(0), draw

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def variances(rng):
    return positive(rng, 6), normal(rng, 6), normal(rng)


@case(
    "inverse gamma's log-density in numpyro and TensorFlow Probability",
    "log-density",
    variances,
    Twin(
        "exponent",
        "factor|term|ratio",
        "x",
        "The exponent of x lacks its one.",
    ),
    Twin(
        "gamma's normalisation",
        "term|path",
        "raw_shape",
        "The digamma of the shape is left out.",
    ),
    Twin(
        "rate of the gamma",
        "function|operand|swap",
        "raw_rate",
        "The rate is taken to multiply x, not its inverse.",
    ),
    fixed=(0,),
    narrow=False,
)
def inverse_gamma_log_prob(slip):
    soft = jax.nn.softplus

    @jax.custom_vjp
    def log_prob(x, raw_shape, raw_rate):
        a, b = soft(raw_shape), soft(raw_rate)
        return a * jnp.log(b) - gammaln(a) - (a + 1) * jnp.log(x) - b / x

    def fwd(x, raw_shape, raw_rate):
        return log_prob.fun(x, raw_shape, raw_rate), (x, raw_shape, raw_rate)

    def bwd(res, g):
        x, raw_shape, raw_rate = res
        a, b = soft(raw_shape), soft(raw_rate)
        power = a if slip == "exponent" else a + 1
        dx = g * (b / x - power) / x
        da = jnp.log(b) - jnp.log(x)
        if slip != "gamma's normalisation":
            da = da - digamma(a)
        inner = x if slip == "rate of the gamma" else 1 / x
        db = (g * (a / b - inner)).sum()
        return dx, g * da * jax.nn.sigmoid(raw_shape), db * jax.nn.sigmoid(raw_rate)

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def visits(rng):
    counts = jnp.asarray([0, 3, 1, 0, 7, 2, 0], jnp.int32)
    return normal(rng, 7), normal(rng, 7), counts


@case(
    "hurdle Poisson likelihood of counts in statsmodels and brms-like ports",
    "log-probability of counts",
    visits,
    Twin(
        "zeros have a rate",
        "mask|region|predicate",
        "log_rate",
        "A count of zero has a gradient to the rate.",
    ),
    Twin(
        "truncation",
        "term|path",
        "log_rate",
        "The normalisation of the counts above zero is left out.",
    ),
    Twin(
        "gate",
        "sign|swap|function",
        "logit",
        "The gate's gradient is as if its logit were of crossing.",
    ),
    narrow=False,
)
def hurdle_poisson_nll(slip):
    small = -12.0

    def log_positive(log_rate):
        rate = jnp.exp(jnp.maximum(log_rate, small))
        exact = jnp.log(-jnp.expm1(-rate))
        return jnp.where(log_rate < small, log_rate - jnp.exp(log_rate) / 2, exact)

    @jax.custom_vjp
    def nll(logit, log_rate, counts):
        n = counts.astype(log_rate.dtype)
        count = n * log_rate - jnp.exp(log_rate) - gammaln(n + 1)
        crossed = -jax.nn.softplus(logit) + count - log_positive(log_rate)
        return -jnp.where(counts == 0, -jax.nn.softplus(-logit), crossed)

    def fwd(logit, log_rate, counts):
        return nll.fun(logit, log_rate, counts), (logit, log_rate, counts)

    def bwd(res, g):
        logit, log_rate, counts = res
        none = counts == 0
        p = jax.nn.sigmoid(logit)
        dlogit = jnp.where(none, p - 1, p)
        if slip == "gate":
            dlogit = jnp.where(none, p, p - 1)
        rate = jnp.exp(log_rate)
        safe = jnp.where(log_rate < small, 1, rate)
        share = jnp.where(log_rate < small, 1 - rate / 2, safe / jnp.expm1(safe))
        drate = rate - counts
        if slip != "truncation":
            drate = drate + share
        if slip != "zeros have a rate":
            drate = jnp.where(none, 0, drate)
        return g * dlogit, g * drate, None

    nll.defvjp(fwd, bwd)
    return nll, nll.fun


def mixed_counts(rng):
    counts = jnp.asarray([0, 4, 1, 9, 2, 3], jnp.int32)
    return normal(rng, 3), normal(rng, 3), counts


@case(
    "mixture of Poissons in numpyro's and distrax's mixtures",
    "log-probability of counts",
    mixed_counts,
    Twin(
        "weights of the mixture",
        "term|path|function",
        "logits",
        "The normalisation of the mixture's weights is left out.",
    ),
    Twin(
        "prior for posterior",
        "factor|operand|function",
        "log_rates",
        "The rates are weighed with the mixture's weights, not responsibilities.",
    ),
    Twin(
        "counts averaged",
        "ratio|factor|sum",
        "logits log_rates",
        "The sum over the counts is taken to be a mean.",
    ),
    narrow=False,
)
def mixture_of_poissons_nll(slip):
    def joint(logits, log_rates, counts):
        n = counts.astype(log_rates.dtype)[:, None]
        each = n * log_rates - jnp.exp(log_rates) - gammaln(n + 1)
        return jax.nn.log_softmax(logits) + each

    @jax.custom_vjp
    def nll(logits, log_rates, counts):
        return -jax.nn.logsumexp(joint(logits, log_rates, counts), axis=1).sum()

    def fwd(logits, log_rates, counts):
        return nll.fun(logits, log_rates, counts), (logits, log_rates, counts)

    def bwd(res, g):
        logits, log_rates, counts = res
        resp = jax.nn.softmax(joint(logits, log_rates, counts), axis=1)
        prior = jax.nn.softmax(logits)
        if slip == "counts averaged":
            g = g / len(counts)
        weigh = resp
        if slip == "prior for posterior":
            weigh = jnp.broadcast_to(prior, resp.shape)
        excess = jnp.where(weigh > 0, jnp.exp(log_rates) - counts[:, None], 0)
        drates = (weigh * excess).sum(0)
        dlogits = -resp
        if slip != "weights of the mixture":
            dlogits = dlogits + prior
        return g * dlogits.sum(0), g * drates, None

    nll.defvjp(fwd, bwd)
    return nll, nll.fun

"""Densities, divergences and losses of regressions."""

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


def two_normals(rng):
    loc, log_var = normal(rng, 4, 3), normal(rng, 4, 3, std=0.5)
    return loc, log_var, normal(rng, 3), normal(rng, 3, std=0.5)


@case(
    "KL of two diagonal normals in distrax and VAE examples",
    "divergence",
    two_normals,
    Twin(
        "distance in the prior",
        "term",
        "prior_log_var",
        "The prior's variance is not told of the distance of the means.",
    ),
    Twin(
        "standard prior",
        "factor|ratio",
        "loc prior_loc",
        "The distance of the means is not divided by the prior's variance.",
    ),
    Twin(
        "mean of the batch",
        "ratio|sum|factor",
        "prior_loc prior_log_var",
        "The prior's gradient is the mean over the batch.",
    ),
)
def kl_diag_normals(slip):
    def plain(loc, log_var, prior_loc, prior_log_var):
        ratio = jnp.exp(log_var - prior_log_var)
        far = (loc - prior_loc) ** 2 * jnp.exp(-prior_log_var)
        return 0.5 * (ratio + far - 1 - log_var + prior_log_var).sum(-1)

    kl = jax.custom_vjp(plain)

    def fwd(*args):
        return plain(*args), args

    def bwd(res, g):
        loc, log_var, prior_loc, prior_log_var = res
        g = g[:, None]
        ratio = jnp.exp(log_var - prior_log_var)
        off = (loc - prior_loc) * jnp.exp(-prior_log_var)
        dloc = g * off
        if slip == "standard prior":
            dloc = g * (loc - prior_loc)
        dprior_log_var = 0.5 * g * (1 - ratio)
        if slip != "distance in the prior":
            dprior_log_var = dprior_log_var - 0.5 * g * off * (loc - prior_loc)
        reduce = jnp.mean if slip == "mean of the batch" else jnp.sum
        prior = reduce(-dloc, axis=0), reduce(dprior_log_var, axis=0)
        return dloc, 0.5 * g * (ratio - 1), *prior

    kl.defvjp(fwd, bwd)
    return kl, plain


def shares(rng):
    x = positive(rng, 5, 3)
    return x / x.sum(1, keepdims=True), positive(rng, 3)


@case(
    "log_prob of Dirichlet in numpyro",
    "log-density",
    shares,
    Twin(
        "the sum's digamma",
        "term",
        "concentration",
        "The normaliser's part of the sum of the concentrations is forgotten.",
    ),
    Twin(
        "without minus one",
        "term|ratio|factor",
        "x",
        "a / x where (a - 1) / x belongs.",
    ),
    fixed=(0,),
)
def dirichlet_log_prob(slip):
    def plain(x, concentration):
        a = concentration
        constant = gammaln(a.sum()) - gammaln(a).sum()
        return constant + ((a - 1) * jnp.log(x)).sum(-1)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, concentration):
        return plain(x, concentration), (x, concentration)

    def bwd(res, g):
        x, a = res
        total = 0 if slip == "the sum's digamma" else digamma(a.sum())
        da = g @ jnp.log(x) + g.sum() * (total - digamma(a))
        power = a if slip == "without minus one" else a - 1
        return g[:, None] * power / x, da

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "log_prob of Cauchy in tensorflow-probability on JAX",
    "log-density",
    lambda rng: (normal(rng, 4, 3), normal(rng, 4, 1), positive(rng, 3)),
    Twin(
        "scale once more",
        "factor|ratio|dtype",
        "x loc",
        "The slope of the standardised x is not divided by the scale.",
    ),
    Twin(
        "only the normaliser",
        "term",
        "scale",
        "The scale's gradient is that of -log(scale) alone.",
    ),
)
def cauchy_log_prob(slip):
    def plain(x, loc, scale):
        z = (x - loc) / scale
        return -jnp.log(jnp.pi * scale) - jnp.log1p(z * z)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, scale):
        return plain(x, loc, scale), ((x - loc) / scale, scale)

    def bwd(res, g):
        z, scale = res
        dz = -2 * g * z / (1 + z * z)
        dx = dz if slip == "scale once more" else dz / scale
        dscale = -g / scale
        if slip != "only the normaliser":
            dscale = dscale - dz * z / scale
        return dx, -dx.sum(1, keepdims=True), dscale.sum(0)

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def labelled(rng):
    params = {"w": normal(rng, 3), "b": normal(rng)}
    return params, normal(rng, 6, 3), integers(rng, 2, 6), positive(rng, 6)


@case(
    "binary_logreg of jaxopt.objective with weights of the samples",
    "loss with weights",
    labelled,
    Twin(
        "sum of the weights",
        "term",
        "weights",
        "The sum of the weights below is taken as constant.",
    ),
    Twin(
        "mean of all",
        "ratio|factor",
        "params x",
        "Divided by the number of samples, not by the sum of their weights.",
    ),
    Twin(
        "intercept",
        "zero|term",
        "params",
        "The intercept has no gradient.",
    ),
)
def logistic_nll(slip):
    def losses(params, x, label):
        logit = x @ params["w"] + params["b"]
        return jax.nn.softplus(logit) - label * logit, logit

    def plain(params, x, label, weights):
        return weights @ losses(params, x, label)[0] / weights.sum()

    loss = jax.custom_vjp(plain)

    def fwd(params, x, label, weights):
        each, logit = losses(params, x, label)
        value = weights @ each / weights.sum()
        return value, (params, x, label, weights, each, logit, value)

    def bwd(res, g):
        params, x, label, weights, each, logit, value = res
        total = weights.sum()
        below = weights.size if slip == "mean of all" else total
        off = g * weights * (jax.nn.sigmoid(logit) - label) / below
        db = jnp.zeros_like(off[0]) if slip == "intercept" else off.sum()
        above = each if slip == "sum of the weights" else each - value
        dparams = {"w": off @ x, "b": db}
        return dparams, jnp.outer(off, params["w"]), None, g * above / total

    loss.defvjp(fwd, bwd)
    return loss, plain


def counted(log_input):
    def args(rng):
        rate = normal(rng, 4, 3) if log_input else positive(rng, 4, 3)
        return rate, integers(rng, 5, 4, 3).astype(jnp.float32), log_input

    return args


@case(
    "poisson_nll_loss of torch and optax-like ports, by log-rates or rates",
    "loss with an option",
    counted(True),
    Twin(
        "target's logarithm",
        "zero|term|cotangent",
        "target",
        "The counts are given as floats, and no gradient.",
    ),
    Twin(
        "epsilon",
        "eps|option|term",
        "rate",
        "For rates, the epsilon within the logarithm is forgotten.",
        witness=lambda rng: (
            positive(rng, 4, 3, low=1e-4, high=3e-3),
            positive(rng, 4, 3, low=1.0, high=4.0),
            False,
        ),
    ),
    Twin(
        "always log-rates",
        "option|function",
        "rate",
        "Rates are pulled back as if they were log-rates.",
        witness=counted(False),
    ),
    fixed=(1,),
)
def poisson_regression_nll(slip):
    small = 1e-3

    def plain(rate, target, log_input):
        if log_input:
            return (jnp.exp(rate) - target * rate).mean()
        return (rate - target * jnp.log(rate + small)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(rate, target, log_input):
        return plain(rate, target, log_input), (rate, target)

    def bwd(log_input, res, g):
        rate, target = res
        g = g / rate.size
        if log_input or slip == "always log-rates":
            drate, dtarget = g * (jnp.exp(rate) - target), -g * rate
        else:
            below = rate if slip == "epsilon" else rate + small
            drate, dtarget = g * (1 - target / below), -g * jnp.log(rate + small)
        if slip == "target's logarithm":
            dtarget = jnp.zeros_like(dtarget)
        return drate, dtarget

    loss.defvjp(fwd, bwd)
    return loss, plain

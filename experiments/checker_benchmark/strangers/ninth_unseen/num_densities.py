"""Log-densities of counts, choices and heavy tails, and what they are made of."""

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


def two_shapes(rng):
    return positive(rng, 3, 1, high=4), positive(rng, 4, high=4)


@case(
    "betaln of jax.scipy with broadcasting",
    "special function",
    two_shapes,
    Twin(
        "the sum's part",
        "term",
        "a",
        "The first argument's gradient lacks the digamma of the sum.",
    ),
    Twin(
        "broadcast averaged",
        "sum|ratio|factor",
        "b",
        "The second argument's gradient is averaged over where it was broadcast.",
    ),
    Twin("swapped", "swap", "a b", "The arguments' digammas are exchanged."),
)
def log_beta_function(slip):
    @jax.custom_vjp
    def betaln(a, b):
        return gammaln(a) + gammaln(b) - gammaln(a + b)

    def like(g, x, reduce=jnp.sum):
        g = reduce(g, tuple(range(g.ndim - x.ndim)))
        wide = tuple(i for i, n in enumerate(x.shape) if n == 1 and g.shape[i] != 1)
        return reduce(g, wide, keepdims=True)

    def fwd(a, b):
        return betaln.fun(a, b), (a, b)

    def bwd(res, g):
        a, b = res
        both = digamma(a + b)
        of_a, of_b = (
            (digamma(b), digamma(a)) if slip == "swapped" else map(digamma, res)
        )
        da = g * (of_a if slip == "the sum's part" else of_a - both)
        reduce = jnp.mean if slip == "broadcast averaged" else jnp.sum
        return like(da, a), like(g * (of_b - both), b, reduce)

    betaln.defvjp(fwd, bwd)
    return betaln, betaln.fun


def powers(rng):
    return (
        2 * normal(rng, 5, 3),
        normal(rng, 3),
        normal(rng, 3, std=0.3),
        normal(rng, 3),
    )


@case(
    "generalised normal in pymc's and numpyro's densities",
    "log-density with a shape",
    powers,
    Twin(
        "normaliser of the shape",
        "term",
        "raw",
        "The gamma function's part is left out of the gradient of the shape.",
    ),
    Twin(
        "shape of the power",
        "factor|ratio",
        "x loc log_scale",
        "The power's derivative lacks the exponent in front.",
    ),
    Twin(
        "scale of the normaliser",
        "term",
        "log_scale",
        "The log-scale's gradient lacks the -1 of the normaliser.",
    ),
)
def generalized_normal_log_prob(slip):
    def pieces(x, loc, log_scale, raw):
        shape = 1.1 + jax.nn.softplus(raw)
        z = (x - loc) * jnp.exp(-log_scale)
        return shape, z, jnp.abs(z) ** shape

    def plain(x, loc, log_scale, raw):
        shape, _, power = pieces(x, loc, log_scale, raw)
        return jnp.log(shape / 2) - log_scale - gammaln(1 / shape) - power

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, log_scale, raw):
        return plain(x, loc, log_scale, raw), (x, loc, log_scale, raw)

    def bwd(res, g):
        *_, log_scale, raw = res
        shape, z, power = pieces(*res)
        front = 1 if slip == "shape of the power" else shape
        dz = -g * front * jnp.abs(z) ** (shape - 1) * jnp.sign(z)
        dx = dz * jnp.exp(-log_scale)
        dlog = -dz * z - (0 if slip == "scale of the normaliser" else g)
        log_z = jnp.log(jnp.where(z == 0, 1, jnp.abs(z)))
        dshape = 1 / shape - power * log_z
        if slip != "normaliser of the shape":
            dshape = dshape + digamma(1 / shape) / shape**2
        draw = g * dshape * jax.nn.sigmoid(raw)
        return dx, *(a.reshape(-1, *raw.shape).sum(0) for a in (-dx, dlog, draw))

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def noise(rng):
    chi = positive(rng, 6, 2, low=1, high=6)
    params = {"loc": normal(rng, 2), "log_scale": normal(rng, 2, std=0.3)}
    return params, jnp.asarray(1.2, jnp.float32), normal(rng, 6, 2), chi


@case(
    "reparametrised Student's t in distrax-style sampling",
    "sampling with noise that is given",
    noise,
    Twin(
        "degrees of freedom",
        "factor|power|ratio",
        "log_df",
        "The root's half is left out for the degrees of freedom.",
    ),
    Twin(
        "location in the scale",
        "operand|residual|term",
        "params",
        "The log-scale's gradient takes the sample itself instead of its deviation.",
    ),
    Twin(
        "noise of the root",
        "sign",
        "chi",
        "The chi-square noise stands below, its gradient has the wrong sign.",
    ),
)
def student_t_reparam(slip):
    def deviation(params, log_df, z, chi):
        df = jnp.exp(log_df)
        return jnp.exp(params["log_scale"]) * z * jnp.sqrt(df / jnp.maximum(chi, 1e-3))

    def plain(params, log_df, z, chi):
        return params["loc"] + deviation(params, log_df, z, chi)

    sample = jax.custom_vjp(plain)

    def fwd(params, log_df, z, chi):
        y = plain(params, log_df, z, chi)
        return y, (params, log_df, z, chi)

    def bwd(res, g):
        params, log_df, z, chi = res
        moved = deviation(params, log_df, z, chi)
        over = jnp.exp(log_df) / jnp.maximum(chi, 1e-3)
        half = 1.0 if slip == "degrees of freedom" else 0.5
        dlog_df = half * (g * moved).sum()
        away = params["loc"] + moved if slip == "location in the scale" else moved
        dparams = {"loc": g.sum(0), "log_scale": (g * away).sum(0)}
        dz = g * jnp.exp(params["log_scale"]) * jnp.sqrt(over)
        dchi = jnp.where(chi > 1e-3, -0.5 * g * moved / jnp.maximum(chi, 1e-3), 0)
        return dparams, dlog_df, dz, -dchi if slip == "noise of the root" else dchi

    sample.defvjp(fwd, bwd)
    return sample, plain


def choices(rng):
    available = jnp.asarray(rng.uniform(size=(5, 4)) < 0.7)
    chosen = integers(rng, 4, 5)
    available = available.at[jnp.arange(5), chosen].set(True)
    coefficients = {"mean": normal(rng, 3), "spread": normal(rng, 3, std=0.5)}
    return coefficients, normal(rng, 5, 4, 3), normal(rng, 6, 3), available, chosen


@case(
    "simulated likelihood of the mixed logit in jaxlogit and xlogit",
    "log-probability of choices over draws",
    choices,
    Twin(
        "draws weighted alike",
        "factor|ratio|function",
        "coefficients features draws",
        "Each draw counts the same instead of by its probability of the choice.",
    ),
    Twin(
        "unavailable alternatives",
        "mask",
        "coefficients features draws",
        "Alternatives that are not available get a probability in the backward pass.",
    ),
    Twin(
        "spread without its draws",
        "operand|factor",
        "coefficients",
        "The gradient of the spread is not multiplied by the draws.",
    ),
)
def mixed_logit_nll(slip):
    def pieces(coefficients, features, draws, available):
        beta = coefficients["mean"] + coefficients["spread"] * draws
        utility = jnp.einsum("njk,rk->nrj", features, beta)
        return beta, jnp.where(available[:, None], utility, -jnp.inf)

    def of_choice(utility, chosen):
        chosen = jnp.clip(chosen, 0, utility.shape[-1] - 1)
        return jax.vmap(lambda u, c: jax.nn.log_softmax(u)[:, c])(utility, chosen)

    def plain(coefficients, features, draws, available, chosen):
        _, utility = pieces(coefficients, features, draws, available)
        log_p = of_choice(utility, chosen)
        return (jnp.log(len(draws)) - jax.nn.logsumexp(log_p, -1)).sum()

    nll = jax.custom_vjp(plain)

    def fwd(coefficients, features, draws, available, chosen):
        value = plain(coefficients, features, draws, available, chosen)
        return value, (coefficients, features, draws, available, chosen)

    def bwd(res, g):
        coefficients, features, draws, available, chosen = res
        beta, utility = pieces(coefficients, features, draws, available)
        share = jax.nn.softmax(of_choice(utility, chosen), -1)
        if slip == "draws weighted alike":
            share = jnp.full_like(share, 1 / len(draws))
        if slip == "unavailable alternatives":
            everything = jnp.ones_like(available)
            utility = pieces(coefficients, features, draws, everything)[1]
        j = features.shape[1]
        wanted = jax.nn.one_hot(jnp.clip(chosen, 0, j - 1), j, dtype=share.dtype)
        du = g * share[..., None] * (jax.nn.softmax(utility) - wanted[:, None])
        dbeta = jnp.einsum("nrj,njk->rk", du, features)
        by_draw = dbeta if slip == "spread without its draws" else dbeta * draws
        dcoefficients = {"mean": dbeta.sum(0), "spread": by_draw.sum(0)}
        dfeatures = jnp.einsum("nrj,rk->njk", du, beta)
        return dcoefficients, dfeatures, dbeta * coefficients["spread"], None, None

    nll.defvjp(fwd, bwd)
    return nll, plain

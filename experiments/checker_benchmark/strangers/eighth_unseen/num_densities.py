"""Log-densities and divergences."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import digamma, gammaln, polygamma

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
    "half-normal's log-density with its support in TFP and numpyro",
    "log-density",
    lambda rng: (positive(rng, 6, low=0.1), normal(rng)),
    Twin(
        "out of the support",
        "mask|edge|region",
        "x log_scale",
        "Negative values, which have no density, get a gradient.",
        witness=lambda rng: (normal(rng, 6), normal(rng)),
    ),
    Twin(
        "square of the scale",
        "factor|ratio|operand",
        "x",
        "The slope is divided by the scale once.",
    ),
    Twin(
        "half",
        "ratio|factor",
        "log_scale",
        "The half of the exponent is kept in the scale's gradient.",
    ),
    scales=(0.1, 1.0),
)
def half_normal_log_prob(slip):
    constant = 0.5 * float(np.log(2 / np.pi))
    nothing = -1e3

    @jax.custom_vjp
    def log_prob(x, log_scale):
        z = x * jnp.exp(-log_scale)
        return jnp.where(x < 0, nothing, constant - log_scale - 0.5 * z * z)

    def fwd(x, log_scale):
        return log_prob.fun(x, log_scale), (x, log_scale)

    def bwd(res, g):
        x, log_scale = res
        z = jnp.where(x < 0, 0, x * jnp.exp(-log_scale))
        if slip == "out of the support":
            z = x * jnp.exp(-log_scale)
        else:
            g = jnp.where(x < 0, 0, g)
        root = 1 if slip == "square of the scale" else jnp.exp(-log_scale)
        half = 0.5 if slip == "half" else 1.0
        return -g * z * root, (g * (half * z * z - 1)).sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def first_passages(rng):
    params = {"mean": normal(rng, 2), "shape": normal(rng, 2)}
    return positive(rng, 5, 2), params


@case(
    "inverse Gaussian's log-density in TFP and numpyro",
    "log-density",
    first_passages,
    Twin(
        "mean in the denominator",
        "term|path|factor",
        "params",
        "The mean is differentiated in the numerator only.",
    ),
    Twin(
        "three halves",
        "ratio|factor|term",
        "x",
        "The power of x in front is taken to be a half.",
    ),
    Twin(
        "rows averaged",
        "sum|ratio|factor",
        "params",
        "The parameters are shared by the rows, their gradients are means.",
    ),
    fixed=(0,),
    narrow=False,
)
def inverse_gaussian_log_prob(slip):
    def split(params):
        soft = jax.nn.softplus
        return soft(params["mean"]) + 0.1, soft(params["shape"]) + 1e-3

    @jax.custom_vjp
    def log_prob(x, params):
        mean, shape = split(params)
        front = 0.5 * jnp.log(shape / (2 * np.pi)) - 1.5 * jnp.log(x)
        return front - shape * (x - mean) ** 2 / (2 * mean**2 * x)

    def fwd(x, params):
        return log_prob.fun(x, params), (x, params)

    def bwd(res, g):
        x, params = res
        mean, shape = split(params)
        power = 0.5 if slip == "three halves" else 1.5
        dx = -power / x - shape / 2 * (1 / mean**2 - 1 / x**2)
        if slip == "mean in the denominator":
            dmean = shape * (x - mean) / (mean**2 * x)
        else:
            dmean = shape * (x - mean) / mean**3
        dshape = 0.5 / shape - (x - mean) ** 2 / (2 * mean**2 * x)
        shared = jnp.mean if slip == "rows averaged" else jnp.sum
        raw = {
            name: shared(g * each, axis=0) * jax.nn.sigmoid(params[name])
            for name, each in (("mean", dmean), ("shape", dshape))
        }
        return g * dx, raw

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def two_factors(rng):
    def tril(size):
        diag = jnp.diag(positive(rng, size))
        return jnp.tril(normal(rng, size, size, std=0.4), -1) + diag

    return tril(3), tril(3), normal(rng)


@case(
    "Wishart's log-density from Cholesky factors in TFP (WishartTriL)",
    "log-density",
    two_factors,
    Twin(
        "multivariate digamma",
        "term|index|sum",
        "raw_df",
        "One digamma stands for the sum of the multivariate one.",
    ),
    Twin(
        "upper triangle",
        "mask|region",
        "chol",
        "The entries above the diagonal, which are not read, get a gradient.",
    ),
    Twin(
        "exponent of the determinant",
        "factor|ratio|term",
        "chol",
        "The determinant's exponent lacks the size of the matrix.",
    ),
    narrow=False,
)
def wishart_log_prob(slip):
    def pieces(chol, scale_tril, raw_df):
        size = len(chol)
        df = size - 1 + jax.nn.softplus(raw_df) + 0.1
        white = solve_triangular(scale_tril, jnp.tril(chol), lower=True)
        return df, (df - jnp.arange(size)) / 2, white

    def logdet(tril):
        return 2 * jnp.log(jnp.abs(jnp.diag(tril))).sum()

    @jax.custom_vjp
    def log_prob(chol, scale_tril, raw_df):
        size = len(chol)
        df, half, white = pieces(chol, scale_tril, raw_df)
        above = (df - size - 1) * logdet(chol) - (white**2).sum()
        below = df * (size * np.log(2) + logdet(scale_tril))
        return 0.5 * (above - below) - gammaln(half).sum()

    def fwd(chol, scale_tril, raw_df):
        return log_prob.fun(chol, scale_tril, raw_df), (chol, scale_tril, raw_df)

    def bwd(res, g):
        chol, scale_tril, raw_df = res
        size = len(chol)
        df, half, white = pieces(chol, scale_tril, raw_df)
        power = df - 1 if slip == "exponent of the determinant" else df - size - 1
        back = solve_triangular(scale_tril, white, lower=True, trans=1)
        dchol = -back if slip == "upper triangle" else -jnp.tril(back)
        dchol = dchol + jnp.diag(power / jnp.diag(chol))
        dscale = jnp.tril(back @ white.T) - jnp.diag(df / jnp.diag(scale_tril))
        psi = digamma(half)
        psi = psi[0] if slip == "multivariate digamma" else psi.sum()
        ddf = logdet(chol) - size * np.log(2) - logdet(scale_tril) - psi
        return g * dchol, g * dscale, g * 0.5 * ddf * jax.nn.sigmoid(raw_df)

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def two_gammas(rng):
    return tuple(normal(rng, 4) for _ in range(4))


@case(
    "divergence of gamma distributions in torch.distributions.kl ports",
    "divergence",
    two_gammas,
    Twin(
        "trigamma",
        "function|term|factor",
        "raw_a",
        "The digamma at the first shape is not differentiated.",
    ),
    Twin(
        "rates exchanged",
        "sign|swap",
        "raw_d",
        "The second rate's gradient has the sign of the first.",
    ),
    Twin(
        "second shape",
        "term|path",
        "raw_c",
        "The log-gamma of the second shape is left out.",
    ),
    narrow=False,
)
def kl_gamma(slip):
    def soft(*raws):
        return [jax.nn.softplus(raw) + 0.05 for raw in raws]

    @jax.custom_vjp
    def divergence(raw_a, raw_b, raw_c, raw_d):
        a, b, c, d = soft(raw_a, raw_b, raw_c, raw_d)
        shapes = (a - c) * digamma(a) - gammaln(a) + gammaln(c)
        return shapes + c * (jnp.log(b) - jnp.log(d)) + a * (d - b) / b

    def fwd(*raws):
        return divergence.fun(*raws), raws

    def bwd(raws, g):
        a, b, c, d = soft(*raws)
        curve = jnp.zeros_like(a) if slip == "trigamma" else polygamma(1, a)
        da = (a - c) * curve + d / b - 1
        db = c / b - a * d / b**2
        dc = jnp.log(b) - jnp.log(d) - digamma(a)
        if slip != "second shape":
            dc = dc + digamma(c)
        dd = a / b - c / d
        if slip == "rates exchanged":
            dd = -dd
        each = zip((da, db, dc, dd), raws, strict=True)
        return tuple(g * slope * jax.nn.sigmoid(raw) for slope, raw in each)

    divergence.defvjp(fwd, bwd)
    return divergence, divergence.fun

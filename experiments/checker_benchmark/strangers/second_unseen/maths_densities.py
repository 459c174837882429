"""Densities and their parts: stable sums, simplices, normal and Gaussian processes."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "tfp.substrates.jax.math.reduce_weighted_logsumexp",
    "stable sum of exponentials",
    lambda rng: (normal(rng, 3, 4), positive(rng, 4)),
    Twin("weight left out", "factor|operand", "logs", "The softmax has no weights."),
    Twin("mean over rows", "sum|ratio|factor", "weights", "Averaged over the rows."),
    Twin(
        "sign of the sum",
        "sign|ratio|factor|operand",
        "logs weights",
        "Divided by the absolute value of a negative sum.",
        witness=lambda rng: (normal(rng, 3, 4), -positive(rng, 4)),
    ),
    fixed=(1,),
)
def weighted_logsumexp(slip):
    """The logarithm of the absolute sum over the last axis, and the sum's sign."""

    @jax.custom_vjp
    def reduce(logs, weights):
        top = jax.lax.stop_gradient(logs.max(-1, keepdims=True))
        top = jnp.where(jnp.isfinite(top), top, 0)
        total = (weights * jnp.exp(logs - top)).sum(-1)
        return jnp.log(jnp.abs(total)) + top[..., 0], jnp.sign(total)

    def fwd(logs, weights):
        value, sign = reduce.fun(logs, weights)
        return (value, sign), (logs, weights, value, sign)

    def bwd(res, cotangents):
        logs, weights, value, sign = res
        g = (cotangents[0] * sign)[..., None]
        if slip == "sign of the sum":
            g = cotangents[0][..., None]
        share = g * jnp.exp(logs - value[..., None])
        rows = tuple(range(logs.ndim - weights.ndim))
        dweights = share.mean(rows) if slip == "mean over rows" else share.sum(rows)
        return share if slip == "weight left out" else share * weights, dweights

    reduce.defvjp(fwd, bwd)
    return reduce, reduce.fun


@case(
    "numpyro.distributions.transforms.StickBreakingTransform",
    "transform to the simplex",
    draw(x=(2, 4)),
    Twin("later pieces", "term|path", "x", "The rest of the stick is held fixed."),
    Twin("own piece twice", "index|region|term", "x", "It is one of the later ones."),
    Twin("last piece", "index|region|term|path", "x", "What remains is left out."),
)
def stick_breaking(slip):
    def fractions(x):
        n = x.shape[-1]
        return x - jnp.log(n - jnp.arange(n, dtype=x.dtype))

    @jax.custom_vjp
    def to_simplex(x):
        z = jax.nn.sigmoid(fractions(x))
        rest = jnp.cumprod(jax.nn.sigmoid(-fractions(x)), -1)
        one = jnp.ones_like(rest[..., :1])
        before = jnp.concatenate([one, rest[..., :-1]], -1)
        return jnp.concatenate([z * before, rest[..., -1:]], -1)

    def fwd(x):
        p = to_simplex.fun(x)
        return p, (x, p)

    def bwd(res, g):
        x, p = res
        z = jax.nn.sigmoid(fractions(x))
        mass = g * p
        if slip == "last piece":
            mass = mass.at[..., -1].set(0)
        to_end = jnp.cumsum(mass[..., ::-1], -1)[..., ::-1]
        later = to_end[..., :-1] if slip == "own piece twice" else to_end[..., 1:]
        dx = (1 - z) * mass[..., :-1]
        return (dx if slip == "later pieces" else dx - z * later,)

    to_simplex.defvjp(fwd, bwd)
    return to_simplex, to_simplex.fun


def scale_args(rng):
    tril = jnp.tril(normal(rng, 3, 3, std=0.3), -1) + jnp.diag(positive(rng, 3))
    return normal(rng, 4, 3), normal(rng, 3), tril


@case(
    "numpyro.distributions.MultivariateNormal(scale_tril=...)",
    "log-density",
    scale_args,
    Twin("upper triangle", "mask|region", "tril", "Entries that are not read move."),
    Twin("log-determinant", "term|path", "tril", "It is left out."),
    Twin("one row's determinant", "sum|term|factor", "tril", "Not summed over rows."),
    fixed=(2,),
    narrow=False,
)
def multivariate_normal_tril(slip):
    @jax.custom_vjp
    def log_prob(x, loc, tril):
        white = solve_triangular(tril, (x - loc).T, lower=True)
        half_log_det = jnp.log(jnp.abs(jnp.diagonal(tril))).sum()
        constant = 0.5 * x.shape[-1] * jnp.log(2 * jnp.pi)
        return -0.5 * (white**2).sum(0) - half_log_det - constant.astype(x.dtype)

    def fwd(x, loc, tril):
        return log_prob.fun(x, loc, tril), (x, loc, tril)

    def bwd(res, g):
        x, loc, tril = res
        white = solve_triangular(tril, (x - loc).T, lower=True)
        precise = solve_triangular(tril, white, lower=True, trans="T")
        dloc = precise @ g
        dtril = (precise * g) @ white.T
        if slip != "upper triangle":
            dtril = jnp.tril(dtril)
        count = g.mean() if slip == "one row's determinant" else g.sum()
        if slip != "log-determinant":
            dtril = dtril - jnp.diag(count / jnp.diagonal(tril))
        return -(precise * g).T, dloc, dtril

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def regression(rng):
    params = {"amplitude": 1.0, "lengthscale": 1.0, "noise": 0.3}
    params = {name: jnp.float32(value) for name, value in params.items()}
    return params, normal(rng, 6, 2), normal(rng, 6)


@case(
    "tinygp and GPJax: log marginal likelihood",
    "Gaussian process",
    regression,
    Twin("fit only", "term|path", "params x", "The determinant has no gradient."),
    Twin(
        "noise not squared", "factor|ratio|operand", "params", "dnoise lacks 2 noise."
    ),
    Twin("one side of K", "ratio|factor|term", "x", "A point moves its row alone."),
    fixed=(0,),
    narrow=False,
    scales=(1.0,),
)
def gp_marginal_likelihood(slip):
    def squares(x):
        return ((x[:, None] - x) ** 2).sum(-1)

    def covariance(p, x):
        shape = jnp.exp(-0.5 * squares(x) / p["lengthscale"] ** 2)
        noise = p["noise"] ** 2 * jnp.eye(x.shape[0], dtype=x.dtype)
        return shape, p["amplitude"] ** 2 * shape + noise

    @jax.custom_vjp
    def log_likelihood(params, x, y):
        chol = jnp.linalg.cholesky(covariance(params, x)[1])
        white = solve_triangular(chol, y, lower=True)
        return -0.5 * white @ white - jnp.log(jnp.diagonal(chol)).sum()

    def fwd(params, x, y):
        return log_likelihood.fun(params, x, y), (params, x, y)

    def bwd(res, g):
        p, x, y = res
        shape, noisy = covariance(p, x)
        alpha = jnp.linalg.solve(noisy, y)
        dk = 0.5 * g * jnp.outer(alpha, alpha)
        if slip != "fit only":
            dk = dk - 0.5 * g * jnp.linalg.inv(noisy)
        pull = dk * p["amplitude"] ** 2 * shape
        noise = 1.0 if slip == "noise not squared" else 2 * p["noise"]
        grads = {
            "amplitude": 2 * p["amplitude"] * (dk * shape).sum(),
            "lengthscale": (pull * squares(x)).sum() / p["lengthscale"] ** 3,
            "noise": noise * jnp.trace(dk),
        }
        moves = pull[..., None] * (x[:, None] - x) / p["lengthscale"] ** 2
        dx = -moves.sum(1) if slip == "one side of K" else -2 * moves.sum(1)
        return grads, dx, -g * alpha

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun

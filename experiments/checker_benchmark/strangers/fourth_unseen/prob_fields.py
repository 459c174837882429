"""Best paths, fields of neighbours, and outcomes that are cut."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import log_ndtr

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def one_change(rng):
    emissions = jnp.array(
        [[3, 0, 0], [3, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 0.5]], jnp.float32
    )
    return normal(rng, 3, std=0.1), 2 * jnp.eye(3, dtype=jnp.float32), emissions


@case(
    "dynamax: the score of hmm_posterior_mode's path, as structured losses have it",
    "hidden Markov model",
    draw(start=(3,), transitions=(3, 3), emissions=(5, 3)),
    Twin(
        "direction of the transitions",
        "transpose|swap|index",
        "transitions",
        "Counts of pairs are written to the entries from after to before.",
        witness=one_change,
    ),
    Twin(
        "last state",
        "index|operand|residual|region",
        "start transitions emissions",
        "The path is traced from the last time's best emission.",
        witness=one_change,
    ),
    Twin(
        "first pair",
        "index|region|term|elements",
        "transitions",
        "The step out of the first state is not counted.",
    ),
)
def viterbi_score(slip):
    """Score of the best path; a tie is shared out equally, as by jnp.max."""

    def forward(start, transitions, emissions):
        def step(best, now):
            ways = best[:, None] + transitions
            return ways.max(0) + now, ways

        return lax.scan(step, start + emissions[0], emissions[1:])

    @jax.custom_vjp
    def score(start, transitions, emissions):
        return forward(start, transitions, emissions)[0].max()

    def fwd(start, transitions, emissions):
        best, ways = forward(start, transitions, emissions)
        return best.max(), (best, ways, emissions[-1])

    def bwd(res, g):
        best, ways, emission = res

        def shares(values):
            winners = (values == values.max(0)).astype(values.dtype)
            return winners / winners.sum(0)

        def back(at, table):
            pairs = shares(table) * at
            return pairs.sum(1), (pairs, at)

        end = g * shares(emission if slip == "last state" else best)
        first, (pairs, states) = lax.scan(back, end, ways, reverse=True)
        counts = (pairs[1:] if slip == "first pair" else pairs).sum(0)
        if slip == "direction of the transitions":
            counts = counts.T
        return first, counts, jnp.concatenate([first[None], states])

    score.defvjp(fwd, bwd)
    return score, score.fun


RING = np.array(
    [
        [0, 1, 0, 0, 1],
        [1, 0, 1, 1, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 1, 0, 1],
        [1, 0, 0, 1, 0],
    ]
)


@case(
    "numpyro.distributions.CAR: conditional autoregressive fields",
    "log-density",
    lambda rng: (
        normal(rng, 5),
        jnp.zeros(5, jnp.float32),
        jnp.float32(0.5),
        jnp.float32(1.0),
    ),
    Twin(
        "determinant's correlation",
        "term|path",
        "correlation",
        "The log-determinant is held fixed.",
    ),
    Twin(
        "neighbours of the field",
        "operand|term|path|factor",
        "x loc",
        "The slope has the precision's diagonal only.",
    ),
    Twin(
        "volume of the precision",
        "ratio|factor|constant|term",
        "precision",
        "The log of the precision counts once, not for each half of the places.",
    ),
    fixed=(2,),
    narrow=False,
)
def car_log_density(slip):
    """Adjacency is closed over; its eigenvalues are made once, outside."""
    degrees = RING.sum(1)
    roots = np.sqrt(degrees)
    eigenvalues = np.linalg.eigvalsh(RING / roots / roots[:, None])

    def parts(x, loc, correlation):
        gap = x - loc
        around = jnp.asarray(RING, x.dtype) @ gap
        return gap, around, jnp.asarray(degrees, x.dtype) * gap - correlation * around

    @jax.custom_vjp
    def log_density(x, loc, correlation, precision):
        gap, _, turned = parts(x, loc, correlation)
        ends = jnp.log1p(-correlation * jnp.asarray(eigenvalues, x.dtype)).sum()
        volume = len(x) * jnp.log(precision) + ends + np.log(degrees).sum()
        whole = volume - len(x) * np.log(2 * np.pi) - precision * (gap @ turned)
        return (0.5 * whole).astype(x.dtype)

    def fwd(x, loc, correlation, precision):
        res = x, loc, correlation, precision
        return log_density.fun(*res), res

    def bwd(res, g):
        x, loc, correlation, precision = res
        gap, around, turned = parts(x, loc, correlation)
        dx = -g * precision * turned
        if slip == "neighbours of the field":
            dx = -g * precision * jnp.asarray(degrees, x.dtype) * gap
        values = jnp.asarray(eigenvalues, x.dtype)
        by_correlation = precision * (gap @ around)
        if slip != "determinant's correlation":
            by_correlation -= (values / (1 - correlation * values)).sum()
        count = 1 if slip == "volume of the precision" else len(x)
        by_precision = count / precision - gap @ turned
        return dx, -dx, g * by_correlation / 2, g * by_precision / 2

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


def hours(rng):
    x = normal(rng, 8, 2)
    y = jnp.maximum(x @ jnp.array([1.0, -0.5], jnp.float32) + normal(rng, 8), 0)
    return x, y, jnp.array([0.8, -0.3], jnp.float32), jnp.float32(0.0)


@case(
    "Tobit regressions in numpyro: outcomes that are cut at zero",
    "log-likelihood",
    hours,
    Twin(
        "cut rows and the scale",
        "term|path|mask|region",
        "log_scale",
        "Rows at zero have no slope by the scale.",
    ),
    Twin(
        "cut rows' ratio",
        "function|operand|factor",
        "x weights log_scale",
        "The normal density stands where it should be divided by the probability.",
    ),
    Twin(
        "sign of the cut",
        "sign|ratio",
        "x weights log_scale",
        "The probability is taken to grow with the mean.",
    ),
    fixed=(1, 3),
    options=lambda plain: {"nondiff": ("y",)},
    narrow=False,
    scales=(0.1, 1.0, 3.0),
)
def tobit_likelihood(slip):
    """Sum over the rows."""

    def log_normal(z):
        return -0.5 * z * z - 0.5 * jnp.log(2 * jnp.pi).astype(z.dtype)

    @jax.custom_vjp
    def log_likelihood(x, y, weights, log_scale):
        z = (y - x @ weights) / jnp.exp(log_scale)
        return jnp.where(y > 0, log_normal(z) - log_scale, log_ndtr(z)).sum()

    def fwd(x, y, weights, log_scale):
        res = x, y, weights, log_scale
        return log_likelihood.fun(*res), res

    def bwd(res, g):
        x, y, weights, log_scale = res
        scale = jnp.exp(log_scale)
        z = (y - x @ weights) / scale
        ratio = jnp.exp(log_normal(z) - log_ndtr(z))
        if slip == "cut rows' ratio":
            ratio = jnp.exp(log_normal(z))
        if slip == "sign of the cut":
            ratio = -ratio
        dz = g * jnp.where(y > 0, -z, ratio)
        by_mean = -dz / scale
        by_scale = -dz * z - jnp.where(y > 0, g, 0)
        if slip == "cut rows and the scale":
            by_scale = jnp.where(y > 0, by_scale, 0)
        dx = jnp.outer(by_mean, weights)
        return dx, jnp.zeros_like(y), by_mean @ x, by_scale.sum()

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun

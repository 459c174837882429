"""Statistics: hidden Markov chains, directions, ordered categories."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import i0e, i1e

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


def chain(rng):
    moves = positive(rng, 3, 3)
    moves = moves / moves.sum(1, keepdims=True)
    return jnp.full(3, 1 / 3, jnp.float32), moves, normal(rng, 6, 3)


@case(
    "dynamax: hmm_filter's marginal likelihood",
    "hidden Markov model",
    chain,
    Twin(
        "expected counts",
        "factor|operand|ratio",
        "initial moves",
        "The expected counts of the EM algorithm are returned as gradients.",
    ),
    Twin(
        "filtered",
        "term|path|operand|factor",
        "logs",
        "The filtered probabilities are taken for the smoothed ones.",
    ),
    Twin(
        "moves transposed",
        "transpose",
        "initial moves logs",
        "Backward, the moves go from the column to the row.",
    ),
    fixed=(0, 1),
    narrow=False,
)
def hmm_log_likelihood(slip):
    """Probabilities of the first state and of moves; logs of the observations'."""

    def run(initial, moves, logs):
        top = lax.stop_gradient(logs.max(-1, keepdims=True))
        weights = jnp.exp(logs - top)

        def step(predicted, w):
            joint = predicted * w
            total = joint.sum()
            filtered = joint / total
            return filtered @ moves, (total, filtered)

        _, (totals, filtered) = lax.scan(step, initial, weights)
        return jnp.log(totals).sum() + top.sum(), (weights, totals, filtered)

    @jax.custom_vjp
    def log_likelihood(initial, moves, logs):
        return run(initial, moves, logs)[0]

    def fwd(initial, moves, logs):
        value, states = run(initial, moves, logs)
        return value, (initial, moves, states)

    def bwd(res, g):
        initial, moves, (weights, totals, filtered) = res
        back_moves = moves.T if slip == "moves transposed" else moves

        def back(later, row):
            w, total = row
            here = w * later / total
            return back_moves @ here, (here, later)

        ones = jnp.ones_like(initial)
        _, (ahead, later) = lax.scan(back, ones, (weights, totals), reverse=True)
        dmoves = filtered[:-1].T @ ahead[1:]
        dinitial = ahead[0]
        if slip == "expected counts":
            dmoves, dinitial = dmoves * moves, dinitial * initial
        dlogs = filtered if slip == "filtered" else filtered * later
        return g * dinitial, g * dmoves, g * dlogs

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


def angles(rng):
    return 2 * normal(rng, 3, 5), normal(rng, 5), positive(rng, 5, high=4.0)


@case(
    "numpyro.distributions.VonMises",
    "log-density",
    angles,
    Twin(
        "normaliser",
        "term|path",
        "concentration",
        "That the density's constant depends on it is forgotten.",
    ),
    Twin(
        "scaled Bessel functions",
        "term|constant|function|ratio|affine",
        "concentration",
        "The slope of the scaled function is taken for the plain one's.",
    ),
    Twin(
        "mean over rows",
        "sum|ratio|factor",
        "loc concentration",
        "Averaged over the observations, not summed.",
    ),
    fixed=(2,),
    narrow=False,
)
def von_mises_log_prob(slip):
    """Rows of angles x; loc and concentration by columns."""

    @jax.custom_vjp
    def log_prob(x, loc, concentration):
        k = concentration
        bend = -2 * k * jnp.sin((x - loc) / 2) ** 2
        return bend + (k - jnp.abs(k)) - jnp.log(2 * jnp.pi * i0e(k))

    def fwd(x, loc, concentration):
        return log_prob.fun(x, loc, concentration), (x, loc, concentration)

    def bwd(res, g):
        x, loc, k = res
        dx = -g * k * jnp.sin(x - loc)
        slope = -2 * jnp.sin((x - loc) / 2) ** 2
        ratio = i1e(k) / i0e(k)
        if slip == "normaliser":
            slope = slope + 1
        elif slip == "scaled Bessel functions":
            slope = slope + 2 - ratio
        else:
            slope = slope + (1 - ratio)
        dk = g * slope
        if slip == "mean over rows":
            return dx, -dx.mean(0), dk.mean(0)
        return dx, -dx.sum(0), dk.sum(0)

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun


def ratings(rng):
    cuts = jnp.array([-1.0, 0.2, 1.5], jnp.float32)
    return normal(rng, 8), cuts, integers(rng, 4, 8)


@case(
    "numpyro.distributions.OrderedLogistic",
    "log-probability of categories",
    ratings,
    Twin(
        "first category",
        "index|region|mask|elements|operand",
        "predictor cuts",
        "Its lower end, which is none, is the cut that the index -1 says.",
    ),
    Twin(
        "width",
        "term|path",
        "cuts",
        "The part of the interval's width is left out.",
    ),
    Twin(
        "repeated labels",
        "duplicates|index",
        "cuts",
        "Cuts are set, not added to, where labels repeat.",
    ),
    fixed=(1,),
    narrow=False,
)
def ordered_logistic(slip):
    """log(sigmoid(upper - x) - sigmoid(lower - x)), cuts increasing."""

    def ends(predictor, cuts, labels):
        infinite = jnp.full_like(cuts, jnp.inf, shape=(1,))
        padded = jnp.concatenate([-infinite, cuts, infinite])
        return padded[labels] - predictor, padded[labels + 1] - predictor

    @jax.custom_vjp
    def log_prob(predictor, cuts, labels):
        lower, upper = ends(predictor, cuts, labels)
        both = jax.nn.log_sigmoid(upper) + jax.nn.log_sigmoid(-lower)
        return both + jnp.log1p(-jnp.exp(lower - upper))

    def fwd(predictor, cuts, labels):
        return log_prob.fun(predictor, cuts, labels), (predictor, cuts, labels)

    def bwd(res, g):
        predictor, cuts, labels = res
        lower, upper = ends(predictor, cuts, labels)
        if slip == "first category":
            lower = cuts[labels - 1] - predictor
        above, below = jax.nn.sigmoid(-upper), jax.nn.sigmoid(lower)
        width = 0 if slip == "width" else 1 / jnp.expm1(upper - lower)
        to_upper, to_lower = g * (above + width), -g * (below + width)
        if slip == "first category":
            dcuts = jnp.zeros_like(cuts).at[labels - 1].add(to_lower)
            return g * (below - above), dcuts.at[labels].add(to_upper), None
        padded = jnp.zeros_like(cuts, shape=(cuts.size + 2,))
        if slip == "repeated labels":
            padded = padded.at[labels].set(to_lower)
            padded = padded + jnp.zeros_like(padded).at[labels + 1].set(to_upper)
        else:
            padded = padded.at[labels].add(to_lower).at[labels + 1].add(to_upper)
        return g * (below - above), padded[1:-1], None

    log_prob.defvjp(fwd, bwd)
    return log_prob, log_prob.fun

"""Ratings that are updated in a scan, beams of complex weights, sums of tasks."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def season(rng):
    games = rng.permuted(np.tile(np.arange(5), (8, 1)), axis=1)[:, :2]
    results = rng.choice([0.0, 0.5, 1.0], 8)
    ratings = 1500 + normal(rng, 5, std=100.0)
    games, results = jnp.asarray(games, jnp.int32), jnp.asarray(results, jnp.float32)
    return ratings, jnp.float32(32.0), games, results


@case(
    "Elo ratings over a season, fitted for the first ratings and the size of updates",
    "recurrence with updates in place",
    season,
    Twin(
        "updates as given",
        "term|path",
        "ratings size results",
        "That an update depends on the ratings before it is left out.",
    ),
    Twin(
        "final ratings",
        "residual|operand",
        "ratings size results",
        "The expected results are those of the ratings at the end.",
    ),
    Twin(
        "both gain",
        "sign|ratio|swap",
        "ratings size results",
        "The losing side's share of an update is pulled back as a gain.",
    ),
    fixed=(0, 1, 3),
    narrow=False,
)
def elo_ratings(slip):
    """The final ratings, and the surprise of the results."""
    per_point = 0.0057564627  # log(10) / 400

    def play(ratings, size, games, results):
        def step(now, game):
            (a, b), y = game
            z = per_point * (now[a] - now[b])
            gain = size * (y - jax.nn.sigmoid(z))
            later = now.at[a].add(gain).at[b].add(-gain)
            return later, (z, jax.nn.softplus(z) - y * z)

        return lax.scan(step, ratings, (games, results))

    def plain(ratings, size, games, results):
        last, (_, surprise) = play(ratings, size, games, results)
        return last, surprise.mean()

    def fwd(ratings, size, games, results):
        last, (z, surprise) = play(ratings, size, games, results)
        if slip == "final ratings":
            z = per_point * (last[games[:, 0]] - last[games[:, 1]])
        return (last, surprise.mean()), (z, size, games, results)

    def bwd(res, g):
        z, size, games, results = res
        dsurprise = g[1] / len(z)

        def step(carry, now):
            dratings, dsize = carry
            (a, b), z, y = now
            p = jax.nn.sigmoid(z)
            other = dratings[b] if slip == "both gain" else -dratings[b]
            dgain = dratings[a] + other
            dz = dsurprise * (p - y)
            if slip != "updates as given":
                dz = dz - size * dgain * p * jax.nn.sigmoid(-z)
            dy = size * dgain - dsurprise * z
            dratings = dratings.at[a].add(per_point * dz).at[b].add(-per_point * dz)
            return (dratings, dsize + dgain * (y - p)), dy

        start = (g[0], jnp.zeros_like(size))
        games_back = (games, z, results)
        (dratings, dsize), dy = lax.scan(step, start, games_back, reverse=True)
        return dratings, dsize, None, dy

    ratings_of = jax.custom_vjp(plain)
    ratings_of.defvjp(fwd, bwd)
    return ratings_of, plain


def array_of_microphones(rng):
    def numbers(*shape):
        return lax.complex(normal(rng, *shape), normal(rng, *shape))

    return numbers(4), numbers(4, 6), 0.1


@case(
    "power of a beam of complex weights, and a penalty on the gain, for arrays in JAX",
    "complex objective",
    array_of_microphones,
    Twin(
        "weights not conjugated",
        "operand|sign|transpose",
        "w",
        "The weights' gradient lacks a conjugate.",
    ),
    Twin(
        "Wirtinger's half",
        "ratio|factor",
        "w x",
        "The derivative in the conjugate is taken, half of JAX's gradient.",
    ),
    Twin(
        "snapshots",
        "operand|sign|transpose",
        "x",
        "The snapshots' gradient is conjugated, as torch would have it.",
    ),
    narrow=False,
)
def beam_power(slip):
    def plain(w, x, penalty):
        y = jnp.conj(w) @ x
        gain = (jnp.conj(w) * w).real.sum() - 1
        return (y * jnp.conj(y)).real.mean() + penalty * gain**2

    power = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(w, x, penalty):
        return plain(w, x, penalty), (w, x)

    def bwd(penalty, res, g):
        w, x = res
        y = jnp.conj(w) @ x
        gain = (jnp.conj(w) * w).real.sum() - 1
        two = 1 if slip == "Wirtinger's half" else 2
        dy = two * g * jnp.conj(y) / x.shape[1]
        dw = x @ dy
        if slip != "weights not conjugated":
            dw = jnp.conj(dw)
        dw = dw + 2 * two * g * penalty * gain * jnp.conj(w)
        dx = jnp.conj(w)[:, None] * dy
        return dw, jnp.conj(dx) if slip == "snapshots" else dx

    power.defvjp(fwd, bwd)
    return power, plain


def tasks(rng):
    losses = {name: positive(rng) for name in ("depth", "labels", "pose")}
    return losses, jax.tree.map(jnp.zeros_like, losses)


def later(rng):
    losses, _ = tasks(rng)
    return losses, {name: normal(rng) for name in losses}


@case(
    "losses of tasks weighted by their uncertainties (Kendall), in dictionaries",
    "loss with pytrees",
    tasks,
    Twin(
        "precision",
        "factor|operand|ratio|function",
        "losses log_variances",
        "The exponentials of the logarithms are left out, which are 1 at the start.",
        witness=later,
    ),
    Twin(
        "logarithm of the variance",
        "term|path",
        "log_variances",
        "The term that keeps the variances small has no gradient.",
    ),
)
def task_uncertainty_loss(slip):
    @jax.custom_vjp
    def total(losses, log_variances):
        def one(loss, s):
            return jnp.exp(-s) * loss + s

        return sum(jax.tree.leaves(jax.tree.map(one, losses, log_variances)))

    def fwd(losses, log_variances):
        return total.fun(losses, log_variances), (losses, log_variances)

    def bwd(res, g):
        losses, log_variances = res

        def precision(s):
            return jnp.ones_like(s) if slip == "precision" else jnp.exp(-s)

        constant = 0 if slip == "logarithm of the variance" else 1

        def slope(loss, s):
            return g * (constant - precision(s) * loss)

        dlosses = jax.tree.map(lambda s: g * precision(s), log_variances)
        return dlosses, jax.tree.map(slope, losses, log_variances)

    total.defvjp(fwd, bwd)
    return total, total.fun

"""Log-densities of walks, vectors, comparisons, and a function for them."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
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


def near_zero(low=False):
    def args(rng):
        x = normal(rng, 7, std=0.4)
        return (jnp.clip(x, -0.8, 2).at[3].set(-1.5 if low else 0.01),)

    return args


@case(
    "log1p(x) - x of tensorflow-probability and of pymc's special functions",
    "special function",
    near_zero(),
    Twin(
        "x forgotten",
        "term",
        "x",
        "The derivative is that of the logarithm alone.",
    ),
    Twin(
        "below the floor",
        "mask|region|edge",
        "x",
        "Below the floor, where the value is constant, the slope is that of the floor.",
        witness=near_zero(low=True),
    ),
    Twin(
        "denominator",
        "quotient|function|factor",
        "x",
        "The derivative is the first term of its series, -x.",
    ),
)
def log1p_minus_x(slip):
    floor, near = -0.99, 0.04

    @jax.custom_vjp
    def value(x):
        x = jnp.maximum(x, floor)
        small = jnp.abs(x) < near
        s = jnp.where(small, x, 0)
        series = jnp.zeros_like(x)
        for k in range(12, 1, -1):
            series = s * series + (-1) ** (k + 1) / k
        safe = jnp.where(small, 1, x)
        return jnp.where(small, s * s * series, jnp.log1p(safe) - safe)

    def fwd(x):
        return value.fun(x), x

    def bwd(x, g):
        safe = jnp.maximum(x, floor)
        slope = -safe / (1 + safe)
        if slip == "x forgotten":
            slope = 1 / (1 + safe)
        if slip == "denominator":
            slope = -safe
        keep = True if slip == "below the floor" else x > floor
        return (jnp.where(keep, g * slope, 0),)

    value.defvjp(fwd, bwd)
    return value, value.fun


def points(rng):
    tril = 0.4 * jnp.tril(normal(rng, 3, 3), -1) + jnp.diag(positive(rng, 3))
    return normal(rng, 5, 3), normal(rng, 3), tril, normal(rng, mean=1.0)


@case(
    "MultivariateStudentT in numpyro",
    "log-density with a triangular factor",
    points,
    Twin(
        "normal's pull",
        "factor|function|term",
        "x loc tril",
        "Far points are not weighted down: the distance's slope is the normal's.",
    ),
    Twin(
        "upper half",
        "mask|index|region",
        "tril",
        "The factor's unused upper half gets a gradient.",
    ),
    Twin(
        "degrees in the denominator",
        "term|quotient",
        "log_df",
        "The degrees of freedom below the distance are held.",
    ),
    narrow=False,
)
def multivariate_student_t(slip):
    def pieces(x, loc, tril, log_df):
        z = solve_triangular(tril, (x - loc).T, lower=True).T
        return z, (z * z).sum(-1), jnp.exp(jnp.minimum(log_df, 4)), x.shape[-1]

    def plain(x, loc, tril, log_df):
        _, m, df, d = pieces(x, loc, tril, log_df)
        norm = gammaln((df + d) / 2) - gammaln(df / 2) - d / 2 * jnp.log(jnp.pi * df)
        log_det = jnp.log(jnp.abs(jnp.diagonal(tril))).sum()
        return norm - log_det - (df + d) / 2 * jnp.log1p(m / df)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, loc, tril, log_df):
        return plain(x, loc, tril, log_df), (x, loc, tril, log_df)

    def bwd(res, g):
        *_, tril, log_df = res
        z, m, df, d = pieces(*res)
        over = (df + d) / df if slip == "normal's pull" else (df + d) / (df + m)
        dz = -(g * over)[:, None] * z
        dx = solve_triangular(tril, dz.T, lower=True, trans=1).T
        dtril = -dx.T @ z
        if slip != "upper half":
            dtril = jnp.tril(dtril)
        dtril = dtril - jnp.diag(g.sum() / jnp.diagonal(tril))
        of_norm = digamma((df + d) / 2) - digamma(df / 2) - d / df
        each = (of_norm - jnp.log1p(m / df)) / 2
        if slip != "degrees in the denominator":
            each = each + (df + d) / 2 * (m / (df + m)) / df
        dlog_df = jnp.where(log_df < 4, (g * each).sum() * df, 0)
        return dx, -dx.sum(0), dtril, dlog_df

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


def matches(rng):
    winner = integers(rng, 4, 9)
    loser = (winner + 1 + integers(rng, 3, 9)) % 4
    where = integers(rng, 3, 9) - 1
    return normal(rng, 4), normal(rng), winner, loser, where, positive(rng, 9), 0.1


@case(
    "Bradley-Terry ratings fitted by jaxopt",
    "loss of comparisons",
    matches,
    Twin(
        "last match",
        "duplicates|index|sum",
        "strength",
        "Of the matches that a player lost only one counts.",
    ),
    Twin(
        "ground",
        "sign|factor|mask",
        "home",
        "Matches that are won away count as those at home.",
    ),
    Twin(
        "penalty of the loss",
        "term",
        "strength",
        "The penalty of the strengths is left out.",
    ),
)
def bradley_terry_nll(slip):
    def margin(strength, home, winner, loser, where):
        gap = strength.at[winner].get(mode="clip") - strength.at[loser].get(mode="clip")
        return gap + home * where.astype(home.dtype)

    def plain(strength, home, winner, loser, where, weights, penalty):
        short = jax.nn.softplus(-margin(strength, home, winner, loser, where))
        return (weights * short).sum() + penalty / 2 * (strength**2).sum()

    nll = jax.custom_vjp(plain, nondiff_argnums=(6,))

    def fwd(strength, home, winner, loser, where, weights, penalty):
        value = plain(strength, home, winner, loser, where, weights, penalty)
        return value, (strength, home, winner, loser, where, weights)

    def bwd(penalty, res, g):
        strength, home, winner, loser, where, weights = res
        z = margin(strength, home, winner, loser, where)
        down = -g * weights * jax.nn.sigmoid(-z)
        lost = jnp.zeros_like(strength).at[loser]
        put = lost.set if slip == "last match" else lost.add
        dstrength = put(-down, mode="clip").at[winner].add(down, mode="clip")
        if slip != "penalty of the loss":
            dstrength = dstrength + g * penalty * strength
        ground = jnp.abs(where) if slip == "ground" else where
        dhome = (down * ground.astype(down.dtype)).sum()
        return dstrength, dhome, None, None, None, g * jax.nn.softplus(-z)

    nll.defvjp(fwd, bwd)
    return nll, plain


def walks(rng):
    lengths = jnp.asarray([6, 4, 2], jnp.int32)
    steps = normal(rng, 3, 6)
    return jnp.cumsum(steps, 1), lengths, normal(rng, std=0.3), normal(rng, std=0.3)


@case(
    "GaussianRandomWalk with lengths in numpyro",
    "log-density of padded series",
    walks,
    Twin(
        "next step",
        "term|index",
        "x",
        "A value is also where the next step starts, which is left out.",
    ),
    Twin(
        "padding",
        "mask|edge|index",
        "x",
        "The last value of a series gets a gradient from the padding after it.",
    ),
    Twin(
        "normaliser by the longest",
        "mask|ratio|factor|sum",
        "log_scale",
        "The normaliser is counted for all the steps, the padded ones too.",
    ),
)
def gaussian_random_walk_log_prob(slip):
    def steps(x, lengths, drift, log_scale):
        before = jnp.pad(x, ((0, 0), (1, 0)))[:, :-1]
        seen = jnp.arange(x.shape[1]) < lengths[:, None]
        return (x - before - drift) * jnp.exp(-log_scale), seen

    def plain(x, lengths, drift, log_scale):
        z, seen = steps(x, lengths, drift, log_scale)
        each = -0.5 * z * z - log_scale - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.where(seen, each, 0).sum(-1)

    log_prob = jax.custom_vjp(plain)

    def fwd(x, lengths, drift, log_scale):
        return plain(x, lengths, drift, log_scale), (x, lengths, drift, log_scale)

    def bwd(res, g):
        z, seen = steps(*res)
        down = -g[:, None] * z * jnp.exp(-res[3])
        live = jnp.where(seen, down, 0)
        after = down if slip == "padding" else live
        after = jnp.pad(after, ((0, 0), (0, 1)))[:, 1:]
        dx = live if slip == "next step" else live - after
        if slip == "padding":
            dx = jnp.where(seen, dx, 0)
        count = seen | (slip == "normaliser by the longest")
        dlog = jnp.where(seen, g[:, None] * z * z, 0) - jnp.where(count, g[:, None], 0)
        return dx, None, -live.sum(), dlog.sum()

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain

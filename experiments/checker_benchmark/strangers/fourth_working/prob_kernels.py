"""Matern's kernels, nested logit, and the logarithm of a Bessel function."""

import jax
import jax.numpy as jnp
from jax.scipy.special import i0e, i1e

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


def points(same: bool, order: float):
    def args(rng):
        x = normal(rng, 4, 2)
        y = x[:3] if same else normal(rng, 3, 2)
        return x, y, jnp.ones(2, jnp.float32), jnp.float32(1.0), order

    return args


def of_lengths(rng):
    x, y, _, amplitude, order = points(False, 2.5)(rng)
    return x, y, positive(rng, 2), amplitude, order


@case(
    "tinygp.kernels.Matern52 and Matern32, a length per axis",
    "kernel matrix",
    points(False, 2.5),
    Twin(
        "cube of the lengths",
        "ratio|factor|operand",
        "lengths",
        "The slope by a length has its square below the line, not its cube.",
        witness=of_lengths,
    ),
    Twin(
        "points that coincide",
        "edge|nan|finite",
        "x y lengths",
        "The slope is by the distance, which is then divided by it.",
        witness=points(True, 2.5),
    ),
    Twin(
        "order of one and a half",
        "option|function|factor",
        "x y lengths",
        "It has the slope of the smoother kernel.",
        witness=points(False, 1.5),
    ),
    fixed=(2,),
)
def matern_kernel(slip):
    """amplitude times the kernel of order 1.5 or 2.5 of each x and y."""

    def gaps_and_root(x, y, lengths, order):
        gaps = x[:, None] - y
        square = 2 * order * ((gaps / lengths) ** 2).sum(-1)
        apart = square > 0
        return gaps, jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)

    def unit(root, order):
        smooth = 1 + root if order == 1.5 else 1 + root + root**2 / 3
        return smooth * jnp.exp(-root)

    def plain(x, y, lengths, amplitude, order):
        return amplitude * unit(gaps_and_root(x, y, lengths, order)[1], order)

    kernel = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, y, lengths, amplitude, order):
        return plain(x, y, lengths, amplitude, order), (x, y, lengths, amplitude)

    def bwd(order, res, g):
        x, y, lengths, amplitude = res
        gaps, root = gaps_and_root(x, y, lengths, order)
        factor = jnp.exp(-root)
        if order == 2.5 or slip == "order of one and a half":
            factor = factor * (1 + root) / 3
        if slip == "points that coincide":
            factor = factor * root / jnp.sqrt(root * root)
        by_square = -0.5 * g * amplitude * factor
        by_gap = (4 * order * by_square)[..., None] * gaps / lengths**2
        power = 0 if slip == "cube of the lengths" else 1
        dlengths = -(by_gap * gaps).sum((0, 1)) / lengths**power
        damplitude = (g * unit(root, order)).sum()
        return by_gap.sum(1), -by_gap.sum(0), dlengths, damplitude

    kernel.defvjp(fwd, bwd)
    return kernel, plain


def travellers(rng):
    nests = (0, 0, 1, 1, 1)
    return (
        normal(rng, 6, 5),
        positive(rng, 2, low=0.5, high=1.0),
        integers(rng, 5, 6),
        nests,
    )


@case(
    "discrete choice in JAX: nested logit",
    "log-probability of choices",
    travellers,
    Twin(
        "inclusive value",
        "term|path",
        "dissimilarity",
        "A nest's inclusive value does not depend on its dissimilarity.",
    ),
    Twin(
        "within the nest",
        "factor|ratio|operand",
        "utilities",
        "The shares in the chosen nest are not divided by the dissimilarity.",
    ),
    Twin(
        "other nests",
        "term|mask|region|path",
        "utilities dissimilarity",
        "The sum over all nests is left out of the slopes.",
    ),
    fixed=(1,),
    narrow=False,
)
def nested_logit(slip):
    """Of the alternatives chosen; `nests` has the nest of each."""

    def parts(utilities, dissimilarity, nests):
        member = jnp.arange(len(dissimilarity))[:, None] == jnp.array(nests)
        scaled = utilities[:, None] / dissimilarity[:, None]
        hidden = jnp.where(member, scaled, -jnp.inf)
        inclusive = jax.nn.logsumexp(hidden, -1)
        return scaled, hidden, inclusive

    def plain(utilities, dissimilarity, chosen, nests):
        scaled, _, inclusive = parts(utilities, dissimilarity, nests)
        rows, nest = jnp.arange(len(chosen)), jnp.array(nests)[chosen]
        within = scaled[rows, nest, chosen] - inclusive[rows, nest]
        worth = dissimilarity * inclusive
        return within + worth[rows, nest] - jax.nn.logsumexp(worth, -1)

    log_prob = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(utilities, dissimilarity, chosen, nests):
        value = plain(utilities, dissimilarity, chosen, nests)
        return value, (utilities, dissimilarity, chosen)

    def bwd(nests, res, g):
        utilities, dissimilarity, chosen = res
        scaled, hidden, inclusive = parts(utilities, dissimilarity, nests)
        shares = jax.nn.softmax(hidden, -1)
        mine = jax.nn.one_hot(jnp.array(nests)[chosen], len(dissimilarity))
        mine = (g[:, None] * mine).astype(utilities.dtype)
        picked = jax.nn.one_hot(chosen, len(nests), dtype=utilities.dtype)
        by_worth = mine
        if slip != "other nests":
            shown = jax.nn.softmax(dissimilarity * inclusive, -1)
            by_worth = mine - g[:, None] * shown
        by_inclusive = by_worth * dissimilarity - mine
        by_scaled = by_inclusive[..., None] * shares
        by_scaled = by_scaled + mine[..., None] * picked[:, None]
        direct = (by_worth * inclusive).sum(0)
        through = -(by_scaled * scaled).sum((0, 2)) / dissimilarity
        if slip == "inclusive value":
            own = mine[..., None] * picked[:, None] * scaled
            through = -own.sum((0, 2)) / dissimilarity
        scale = 1 if slip == "within the nest" else dissimilarity[:, None]
        return (by_scaled / scale).sum(1), direct + through, None

    log_prob.defvjp(fwd, bwd)
    return log_prob, plain


@case(
    "von Mises densities: the logarithm of the Bessel function of order zero",
    "special function",
    draw(x=(6,)),
    Twin(
        "scaled functions",
        "term|path|function",
        "x",
        "The exponential that scales the function is not given back.",
    ),
    Twin(
        "unscaled functions",
        "edge|nan|finite|region",
        "x",
        "The quotient of the functions without scaling overflows.",
        witness=lambda rng: (1000 * normal(rng, 6),),
    ),
    Twin(
        "negative numbers",
        "sign|region|predicate|ratio",
        "x",
        "The slope is that of the absolute value.",
    ),
    narrow=False,
)
def log_bessel_i0(slip):
    @jax.custom_vjp
    def log_i0(x):
        return jnp.abs(x) + jnp.log(i0e(x))

    def fwd(x):
        return log_i0.fun(x), x

    def bwd(x, g):
        ratio = i1e(x) / i0e(x)
        if slip == "scaled functions":
            ratio = ratio - jnp.sign(x)
        if slip == "unscaled functions":
            grown = jnp.exp(jnp.abs(x))
            ratio = (grown * i1e(x)) / (grown * i0e(x))
        if slip == "negative numbers":
            ratio = jnp.abs(ratio)
        return (g * ratio,)

    log_i0.defvjp(fwd, bwd)
    return log_i0, log_i0.fun

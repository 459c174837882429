"""A copula, answers to items, increasing rows, and a discrepancy of samples."""

import jax
import jax.numpy as jnp

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


def answered(missing: bool):
    def args(rng):
        answers = integers(rng, 2, 4, 5)
        if missing:
            answers = answers.at[1, 2].set(-1).at[3, 0].set(-1)
        return normal(rng, 4), jnp.ones(5, jnp.float32), normal(rng, 5), answers

    return args


@case(
    "two-parameter item response models in numpyro",
    "item response",
    answered(False),
    Twin(
        "unanswered items",
        "mask|region",
        "ability discrimination difficulty",
        "Answers that are missing (-1) count as wrong ones in the gradient.",
        witness=answered(True),
    ),
    Twin(
        "discrimination of the difficulty",
        "factor|operand|ratio",
        "difficulty",
        "The slope by the difficulty lacks the item's discrimination.",
        witness=lambda rng: (
            normal(rng, 4),
            positive(rng, 5),
            *answered(False)(rng)[2:],
        ),
    ),
    Twin(
        "origin of the ability",
        "term|path|operand",
        "discrimination",
        "The slope by the discrimination has the ability, not less the difficulty.",
    ),
)
def item_response_2pl(slip):
    """Log-likelihood of each person's answers, 1, 0 or -1 for none."""

    @jax.custom_vjp
    def log_likelihood(ability, discrimination, difficulty, answers):
        logits = discrimination * (ability[:, None] - difficulty)
        signed = jnp.where(answers == 1, logits, -logits)
        return jnp.where(answers >= 0, jax.nn.log_sigmoid(signed), 0).sum(1)

    def fwd(ability, discrimination, difficulty, answers):
        res = ability, discrimination, difficulty, answers
        return log_likelihood.fun(*res), res

    def bwd(res, g):
        ability, discrimination, difficulty, answers = res
        gaps = ability[:, None] - difficulty
        right = (answers == 1).astype(gaps.dtype)
        by_logit = g[:, None] * (right - jax.nn.sigmoid(discrimination * gaps))
        if slip != "unanswered items":
            by_logit = jnp.where(answers >= 0, by_logit, 0)
        away = ability[:, None] if slip == "origin of the ability" else gaps
        each = by_logit.sum(0)
        scale = 1 if slip == "discrimination of the difficulty" else discrimination
        return by_logit @ discrimination, (by_logit * away).sum(0), -scale * each, None

    log_likelihood.defvjp(fwd, bwd)
    return log_likelihood, log_likelihood.fun


@case(
    "copulas of returns in JAX: Clayton's bivariate density",
    "copula",
    lambda rng: (
        positive(rng, 6, low=0.1, high=0.9),
        positive(rng, 6, low=0.1, high=0.9),
        jnp.float32(2.0),
    ),
    Twin(
        "exponent",
        "term|path",
        "theta",
        "The slope by theta leaves out that of the power 1 / theta.",
    ),
    Twin(
        "first factor",
        "term|path",
        "u v",
        "The slope of (u v)^-(1 + theta) is left out.",
    ),
    Twin(
        "theta's share of the sum",
        "sign|ratio|term",
        "theta",
        "The powers' slopes by theta have the other sign.",
    ),
    options=lambda plain: {"edges": False},
    fixed=(0, 1),
    narrow=False,
    scales=(0.5, 1.0, 3.0),
)
def clayton_copula(slip):
    """Log-density for theta > 0; sums of powers are made from their logarithms."""

    def parts(u, v, theta):
        a, b = -theta * jnp.log(u), -theta * jnp.log(v)
        top = jnp.maximum(a, b)
        total = jnp.exp(a - top) + jnp.exp(b - top) - jnp.exp(-top)
        return a, b, top + jnp.log(total)

    @jax.custom_vjp
    def log_density(u, v, theta):
        _, _, log_sum = parts(u, v, theta)
        powers = (1 + theta) * (jnp.log(u) + jnp.log(v))
        return jnp.log1p(theta) - powers - (2 + 1 / theta) * log_sum

    def fwd(u, v, theta):
        return log_density.fun(u, v, theta), (u, v, theta)

    def bwd(res, g):
        u, v, theta = res
        a, b, log_sum = parts(u, v, theta)
        power = 2 + 1 / theta
        share_u, share_v = jnp.exp(a - log_sum), jnp.exp(b - log_sum)
        first = 0 if slip == "first factor" else 1 + theta
        du = (power * theta * share_u - first) / u
        dv = (power * theta * share_v - first) / v
        log_u, log_v = jnp.log(u), jnp.log(v)
        inner = -(share_u * log_u + share_v * log_v)
        if slip == "theta's share of the sum":
            inner = -inner
        by_theta = 1 / (1 + theta) - log_u - log_v - power * inner
        if slip != "exponent":
            by_theta = by_theta + log_sum / theta**2
        return g * du, g * dv, (g * by_theta).sum()

    log_density.defvjp(fwd, bwd)
    return log_density, log_density.fun


@case(
    "numpyro.distributions.transforms.OrderedTransform",
    "transform with two outputs",
    draw(x=(3, 4)),
    Twin(
        "direction of the sum",
        "index|region|transpose",
        "x",
        "The cotangents are summed up to each entry, not from it on.",
    ),
    Twin("volume", "term|path", "x", "The log-determinant's cotangent is dropped."),
    Twin(
        "first entry",
        "factor|region|mask|index",
        "x",
        "It is taken to be a logarithm as the others are.",
    ),
)
def ordered_transform(slip):
    """Increasing rows and their log-determinants."""

    @jax.custom_vjp
    def transform(x):
        steps = jnp.concatenate([x[..., :1], jnp.exp(x[..., 1:])], -1)
        return jnp.cumsum(steps, -1), x[..., 1:].sum(-1)

    def fwd(x):
        return transform.fun(x), x

    def bwd(x, cotangents):
        dy, dvolume = cotangents
        after = jnp.flip(jnp.cumsum(jnp.flip(dy, -1), -1), -1)
        if slip == "direction of the sum":
            after = jnp.cumsum(dy, -1)
        if slip == "first entry":
            dx = after * jnp.exp(x)
        else:
            rest = after[..., 1:] * jnp.exp(x[..., 1:])
            dx = jnp.concatenate([after[..., :1], rest], -1)
        if slip != "volume":
            dx = dx.at[..., 1:].add(dvolume[..., None])
        return (dx,)

    transform.defvjp(fwd, bwd)
    return transform, transform.fun


@case(
    "maximum mean discrepancy in ott-jax's and flows' tests of two samples",
    "discrepancy",
    lambda rng: (normal(rng, 5, 2), normal(rng, 4, 2, mean=0.5), jnp.float32(1.0)),
    Twin(
        "both places of a sample",
        "factor|ratio|term|path",
        "x y",
        "Within a sample, the kernel's slope is by its first argument only.",
    ),
    Twin(
        "cross term",
        "factor|ratio|term",
        "x y bandwidth",
        "It is subtracted once in the gradient, not twice.",
    ),
    Twin(
        "size of the other sample",
        "ratio|factor|constant|operand",
        "y",
        "The mean within the second sample is over the first one's pairs.",
    ),
    scales=(0.1, 1.0, 3.0),
)
def mmd_squared(slip):
    """The biased estimate, with a Gaussian kernel."""

    def kernel(x, y, bandwidth):
        square = ((x[:, None] - y) ** 2).sum(-1)
        return square, jnp.exp(-square / (2 * bandwidth**2))

    @jax.custom_vjp
    def mmd(x, y, bandwidth):
        within = kernel(x, x, bandwidth)[1].mean() + kernel(y, y, bandwidth)[1].mean()
        return within - 2 * kernel(x, y, bandwidth)[1].mean()

    def fwd(x, y, bandwidth):
        return mmd.fun(x, y, bandwidth), (x, y, bandwidth)

    def bwd(res, g):
        x, y, bandwidth = res

        def slopes(a, b, weight):
            """Of weight times the mean kernel, by a, b and the bandwidth."""
            square, k = kernel(a, b, bandwidth)
            each = g * weight / k.size * k
            gaps = each[..., None] * (a[:, None] - b) / bandwidth**2
            return -gaps.sum(1), gaps.sum(0), (each * square).sum() / bandwidth**3

        other = 1
        if slip == "size of the other sample":
            other = len(y) ** 2 / len(x) ** 2
        xx, yy = slopes(x, x, 1), slopes(y, y, 1)
        xy = slopes(x, y, -1 if slip == "cross term" else -2)
        second = 0 if slip == "both places of a sample" else 1
        dx = xx[0] + second * xx[1] + xy[0]
        dy = other * (yy[0] + second * yy[1]) + xy[1]
        return dx, dy, xx[2] + yy[2] + xy[2]

    mmd.defvjp(fwd, bwd)
    return mmd, mmd.fun

"""Losses of separated sources, of variances, mixed labels and evidence."""

import itertools

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


def separated(rng):
    source, noise = draw(source=(4, 3, 6), noise=(4, 3, 6))(rng)
    return 0.5 * noise + jnp.roll(source, 1, 1), source


@case(
    "permutation-invariant training in asteroid and SpeechBrain",
    "loss with the best permutation",
    separated,
    Twin(
        "sources not put back",
        "index|transpose",
        "source",
        "The sources' gradients stay in the estimates' order.",
    ),
    Twin(
        "permutation undone",
        "index|transpose|swap",
        "estimate",
        "The estimates meet the sources in the inverse order in the backward.",
    ),
    Twin(
        "sum over time",
        "ratio|factor|sum",
        "estimate source",
        "The mean over sources and time is pulled back as a sum over time.",
    ),
)
def pit_mse_loss(slip):
    def best(estimate, source):
        orders = jnp.array(list(itertools.permutations(range(source.shape[1]))))
        gaps = ((estimate[:, :, None] - source[:, None]) ** 2).mean(-1)
        each = gaps[:, jnp.arange(source.shape[1]), orders].mean(-1)
        return each.min(-1), orders[each.argmin(-1)]

    @jax.custom_vjp
    def loss(estimate, source):
        return best(estimate, source)[0].mean()

    def fwd(estimate, source):
        each, order = best(estimate, source)
        return each.mean(), (estimate, source, order)

    def bwd(res, g):
        estimate, source, order = res
        batch = jnp.arange(len(order))[:, None]
        meets = jnp.argsort(order, -1) if slip == "permutation undone" else order
        d = estimate - source[batch, meets]
        count = len(d) * d.shape[1] if slip == "sum over time" else d.size
        d = 2 * g * d / count
        if slip == "sources not put back":
            return d, -d
        e = estimate - source[batch, order]
        back = jnp.zeros_like(source).at[batch, order].set(-2 * g * e / count)
        return d, back

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def predictions(low, high):
    def args(rng):
        mean, target = draw(mean=(4, 3), target=(4, 3))(rng)
        return mean, target, positive(rng, 4, 1, low=low, high=high), 0.1, "mean"

    return args


@case(
    "GaussianNLLLoss of PyTorch, in ports, with a floor under the variance",
    "loss with options",
    predictions(0.3, 2.0),
    Twin(
        "half of the square",
        "factor|term|ratio",
        "variance",
        "The square's part of the variance's gradient lacks its half.",
    ),
    Twin(
        "floor learns",
        "mask|region|predicate",
        "variance",
        "Variances under the floor have a gradient.",
        witness=predictions(0.01, 0.2),
    ),
    Twin(
        "shared variance",
        "ratio|sum|factor",
        "variance",
        "One variance for all columns gets their mean, not their sum.",
    ),
    narrow=False,
)
def gaussian_nll_loss(slip):
    def plain(mean, target, variance, floor, reduction):
        v = jnp.where(variance > floor, variance, floor)
        each = 0.5 * (jnp.log(v) + (mean - target) ** 2 / v)
        if reduction == "none":
            return each
        return each.mean() if reduction == "mean" else each.sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(mean, target, variance, floor, reduction):
        value = plain(mean, target, variance, floor, reduction)
        return value, (mean - target, variance)

    def bwd(floor, reduction, res, g):
        d, variance = res
        g = jnp.broadcast_to(g / d.size if reduction == "mean" else g, d.shape)
        v = jnp.where(variance > floor, variance, floor)
        square = d * d / (v * v)
        if slip != "half of the square":
            square = 0.5 * square
        dv = g * (0.5 / v - square)
        lead = dv.ndim - variance.ndim
        ones = [i for i in range(lead, dv.ndim) if variance.shape[i - lead] == 1]
        total = jnp.mean if slip == "shared variance" else jnp.sum
        dv = total(dv, axis=(*range(lead), *ones)).reshape(variance.shape)
        if slip != "floor learns":
            dv = jnp.where(variance > floor, dv, 0)
        return g * d / v, -g * d / v, dv

    loss.defvjp(fwd, bwd)
    return loss, plain


def mixed_images(rng):
    one, two = integers(rng, 5, 4), integers(rng, 5, 4)
    return normal(rng, 4, 5), one, two, positive(rng, 4, low=0.1, high=0.9), 0.1


@case(
    "mixup with label smoothing in timm and mixup-cifar10",
    "loss of mixed labels",
    mixed_images,
    Twin(
        "second label",
        "term",
        "share",
        "The share's gradient has the first label's loss only.",
    ),
    Twin(
        "shares exchanged",
        "swap",
        "logits",
        "In the backward the first label has the second's share.",
    ),
    Twin(
        "smoothing",
        "option|term",
        "logits",
        "The backward is that of labels which are not smoothed.",
    ),
    fixed=(3,),
)
def mixup_cross_entropy(slip):
    def aims(like, labels, smoothing):
        hot = jax.nn.one_hot(labels, like.shape[-1], dtype=like.dtype)
        return (1 - smoothing) * hot + smoothing / like.shape[-1]

    def losses(logits, one, two, smoothing):
        logp = jax.nn.log_softmax(logits)
        return [-(aims(logits, y, smoothing) * logp).sum(-1) for y in (one, two)]

    def plain(logits, one, two, share, smoothing):
        a, b = losses(logits, one, two, smoothing)
        return (share * a + (1 - share) * b).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(logits, one, two, share, smoothing):
        value = plain(logits, one, two, share, smoothing)
        return value, (logits, one, two, share)

    def bwd(smoothing, res, g):
        logits, one, two, share = res
        g = g / len(logits)
        a, b = losses(logits, one, two, smoothing)
        dshare = g * (a if slip == "second label" else a - b)
        s = share[:, None]
        if slip == "shares exchanged":
            s = 1 - s
        if slip == "smoothing":
            smoothing = 0.0
        first, second = (aims(logits, y, smoothing) for y in (one, two))
        aim = s * first + (1 - s) * second
        return g * (jax.nn.softmax(logits) - aim), None, None, dshare

    loss.defvjp(fwd, bwd)
    return loss, plain


def evidence(rng):
    target, raw = draw(target=(6,), raw=(6, 4))(rng)
    return target, raw, 0.2


@case(
    "deep evidential regression (Amini et al.) in evidential-deep-learning",
    "loss of a predicted distribution",
    evidence,
    Twin(
        "nu in omega",
        "term|path",
        "raw",
        "nu's gradient leaves out that omega = 2 beta (1 + nu) contains it.",
    ),
    Twin(
        "regulariser of the evidence",
        "term|path",
        "raw",
        "The regulariser gives its gradient to the error, not to the evidence.",
    ),
    Twin(
        "softplus",
        "factor|function",
        "raw",
        "alpha's gradient is not pulled through its softplus.",
    ),
    narrow=False,
)
def evidential_regression_nll(slip):
    def numbers(raw):
        nu, alpha, beta = (jax.nn.softplus(raw[:, i]) + 1e-3 for i in (1, 2, 3))
        return raw[:, 0], nu, alpha + 1, beta

    def plain(target, raw, weight):
        gamma, nu, alpha, beta = numbers(raw)
        e = target - gamma
        omega = 2 * beta * (1 + nu)
        lgamma = jax.lax.lgamma
        nll = (
            0.5 * jnp.log(jnp.pi / nu)
            - alpha * jnp.log(omega)
            + (alpha + 0.5) * jnp.log(nu * e * e + omega)
            + lgamma(alpha)
            - lgamma(alpha + 0.5)
        )
        return (nll + weight * jnp.abs(e) * (2 * nu + alpha)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(target, raw, weight):
        return plain(target, raw, weight), (target, raw)

    def bwd(weight, res, g):
        target, raw = res
        gamma, nu, alpha, beta = numbers(raw)
        e = target - gamma
        omega = 2 * beta * (1 + nu)
        whole = nu * e * e + omega
        power = (alpha + 0.5) / whole
        de = 2 * power * nu * e + weight * jnp.sign(e) * (2 * nu + alpha)
        dnu = -0.5 / nu + power * e * e
        if slip != "nu in omega":
            dnu = dnu - alpha / (1 + nu) + 2 * power * beta
        digamma = jax.lax.digamma
        dalpha = jnp.log(whole / omega) + digamma(alpha) - digamma(alpha + 0.5)
        dbeta = -alpha / beta + 2 * power * (1 + nu)
        if slip != "regulariser of the evidence":
            dnu = dnu + 2 * weight * jnp.abs(e)
            dalpha = dalpha + weight * jnp.abs(e)
        slopes = jax.nn.sigmoid(raw[:, 1:])
        if slip == "softplus":
            slopes = slopes.at[:, 1].set(1)
        rest = jnp.stack([dnu, dalpha, dbeta], 1) * slopes
        g = g / len(target)
        return g * de, g * jnp.concatenate([-de[:, None], rest], 1)

    loss.defvjp(fwd, bwd)
    return loss, plain

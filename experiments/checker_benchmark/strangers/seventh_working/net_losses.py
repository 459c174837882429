"""Losses of every day: logits, residuals, margins, masks and a prior."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def reduced(loss, reduction):
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def soft_labels(rng):
    return normal(rng, 4, 3), jnp.asarray(rng.uniform(0, 1, (4, 3)), jnp.float32)


@case(
    "sigmoid_binary_cross_entropy in optax",
    "binary cross-entropy",
    soft_labels,
    Twin(
        "labels are constants",
        "zero|term|path",
        "labels",
        "The labels are soft and learned, their gradient is a zero.",
    ),
    Twin(
        "saved logits",
        "residual|function",
        "logits",
        "The logits are saved where the probabilities are expected.",
    ),
    fixed=(1,),
)
def bce_with_logits(slip):
    def plain(logits, labels):
        log_p = jax.nn.log_sigmoid(logits)
        log_not_p = jax.nn.log_sigmoid(-logits)
        return -labels * log_p - (1 - labels) * log_not_p

    bce = jax.custom_vjp(plain)

    def fwd(logits, labels):
        saved = logits if slip == "saved logits" else jax.nn.sigmoid(logits)
        return plain(logits, labels), (saved, logits, labels)

    def bwd(res, g):
        p, logits, labels = res
        dlabels = -g * logits
        if slip == "labels are constants":
            dlabels = jnp.zeros_like(labels)
        return g * (p - labels), dlabels

    bce.defvjp(fwd, bwd)
    return bce, plain


def residuals(rng):
    return normal(rng, 6, std=2.0), normal(rng, 6), 1.0, "mean"


@case(
    "huber_loss in optax, HuberLoss in PyTorch",
    "loss with options",
    residuals,
    Twin(
        "sum for mean",
        "option|factor|ratio|sum",
        "prediction target",
        "The mean's division by the number of residuals is missing.",
    ),
    Twin(
        "slope of one",
        "option|factor|ratio|term",
        "prediction target",
        "In the linear part the slope is a sign and not delta times the sign.",
        witness=lambda rng: (*residuals(rng)[:2], 0.4, "mean"),
    ),
    Twin(
        "unclipped",
        "mask|region|term",
        "prediction target",
        "The gradient is the residual in the linear part, too.",
    ),
)
def huber_loss(slip):
    def plain(prediction, target, delta, reduction):
        error = jnp.abs(prediction - target)
        square = jnp.minimum(error, delta)
        return reduced(0.5 * square**2 + delta * (error - square), reduction)

    huber = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(prediction, target, delta, reduction):
        return plain(prediction, target, delta, reduction), prediction - target

    def bwd(delta, reduction, error, g):
        slope = jnp.clip(error, -delta, delta)
        if slip == "slope of one":
            slope = jnp.where(jnp.abs(error) <= delta, error, jnp.sign(error))
        if slip == "unclipped":
            slope = error
        if reduction == "mean" and slip != "sum for mean":
            slope = slope / error.size
        return g * slope, -g * slope

    huber.defvjp(fwd, bwd)
    return huber, plain


def padded_series(rng):
    mask = jnp.asarray([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], bool)
    return normal(rng, 3, 4, 2), normal(rng, 3, 4, 2), mask


@case(
    "masked mean squared error of time series models in flax",
    "loss with a mask",
    padded_series,
    Twin(
        "padding counts",
        "mask",
        "prediction target",
        "The steps of padding have a gradient.",
    ),
    Twin(
        "every element",
        "factor|ratio",
        "prediction target",
        "It is divided by the number of elements, not by those that are unmasked.",
    ),
    Twin(
        "square's two",
        "factor|ratio",
        "prediction target",
        "The two of the square is missing.",
    ),
)
def mse_masked(slip):
    def count(mask, width):
        return jnp.maximum(mask.sum() * width, 1)

    @jax.custom_vjp
    def mse(prediction, target, mask):
        error = jnp.where(mask[..., None], prediction - target, 0)
        return (error**2).sum() / count(mask, error.shape[-1])

    def fwd(prediction, target, mask):
        return mse.fun(prediction, target, mask), (prediction, target, mask)

    def bwd(res, g):
        prediction, target, mask = res
        error = prediction - target
        n = error.size if slip == "every element" else count(mask, error.shape[-1])
        if slip != "padding counts":
            error = jnp.where(mask[..., None], error, 0)
        two = 1 if slip == "square's two" else 2
        down = two * g * error / n
        return down, -down, None

    mse.defvjp(fwd, bwd)
    return mse, mse.fun


def scored(rng):
    return normal(rng, 4, 5), integers(rng, 5, 4), 1.0


@case(
    "multi-class hinge loss in optax",
    "loss with a margin",
    scored,
    Twin(
        "label's own gradient",
        "term|index|sum",
        "scores",
        "The right class gets minus one for a row, not for each class that is near.",
    ),
    Twin(
        "margin of zero",
        "option|mask|region",
        "scores",
        "The classes that violate are found without the margin.",
    ),
    Twin(
        "sign of the label",
        "sign|term",
        "scores",
        "The right class is pushed down instead of up.",
    ),
)
def multiclass_hinge(slip):
    def violations(scores, label, margin):
        own = jnp.take_along_axis(scores, label[:, None], 1)
        other = jnp.arange(scores.shape[1]) != label[:, None]
        return jnp.where(other, scores - own + margin, 0)

    def plain(scores, label, margin):
        return jax.nn.relu(violations(scores, label, margin)).sum(-1)

    hinge = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(scores, label, margin):
        return plain(scores, label, margin), (scores, label)

    def bwd(margin, res, g):
        scores, label = res
        if slip == "margin of zero":
            margin = 0.0
        near = (violations(scores, label, margin) > 0).astype(scores.dtype)
        count = near.sum(-1)
        if slip == "label's own gradient":
            count = jnp.minimum(count, 1)
        if slip == "sign of the label":
            count = -count
        rows = jnp.arange(len(label))
        return g[:, None] * near.at[rows, label].add(-count), None

    hinge.defvjp(fwd, bwd)
    return hinge, plain


def posterior(rng):
    return {"mean": normal(rng, 3, 4), "log_var": normal(rng, 3, 4, std=0.5)}, 0.5


@case(
    "kl_divergence of the VAE example in flax",
    "divergence with a weight",
    posterior,
    Twin(
        "logarithm of the deviation",
        "function|factor|operand",
        "stats",
        "log_var is pulled back as if it were the logarithm of the deviation.",
    ),
    Twin(
        "weight left out",
        "option|factor|ratio",
        "stats",
        "The weight beta of the divergence isn't in the gradient.",
    ),
    Twin(
        "prior's one",
        "term",
        "stats",
        "The part of -log_var, a minus one, is forgotten.",
    ),
)
def vae_gaussian_kl(slip):
    def plain(stats, beta):
        mean, log_var = stats["mean"], stats["log_var"]
        terms = 1 + log_var - mean**2 - jnp.exp(log_var)
        return -0.5 * beta * terms.sum(-1).mean()

    divergence = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(stats, beta):
        return plain(stats, beta), stats

    def bwd(beta, stats, g):
        weight = 1.0 if slip == "weight left out" else beta
        each = g * weight / len(stats["mean"])
        var = jnp.exp(stats["log_var"])
        if slip == "logarithm of the deviation":
            var = var**2
        one = 0.0 if slip == "prior's one" else 1.0
        return ({"mean": each * stats["mean"], "log_var": 0.5 * each * (var - one)},)

    divergence.defvjp(fwd, bwd)
    return divergence, plain

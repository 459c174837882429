"""Robust losses and losses of ranking and of metrics."""

import jax
import jax.numpy as jnp
from jax import lax

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


def pictures(reduction="mean", weighted=True):
    def args(rng):
        weights = positive(rng, 2, 5) if weighted else None
        return normal(rng, 2, 5), normal(rng, 2, 5), weights, reduction

    return args


def regression(rng):
    params = {"w": normal(rng, 3), "b": normal(rng), "log_scale": normal(rng, std=0.3)}
    return params, normal(rng, 9, 3), 3 * normal(rng, 9), (0.8, 1.6, 3.0)


@case(
    "Hampel's norm of statsmodels in jaxopt M-estimators",
    "robust regression with a pytree",
    regression,
    Twin(
        "falling part",
        "function|term|mask",
        "params x y",
        "Between b and c the influence stays at a instead of falling to zero.",
    ),
    Twin(
        "scale of the residuals",
        "term|path",
        "params",
        "The scale's gradient is that of the log-determinant alone.",
    ),
    Twin(
        "outliers pull",
        "mask|region",
        "params x y",
        "Beyond c the falling part is continued: far points push.",
    ),
)
def hampel_loss(slip):
    def residuals(params, x, y):
        return (y - x @ params["w"] - params["b"]) * jnp.exp(-params["log_scale"])

    def plain(params, x, y, bends):
        a, b, c = bends
        z = jnp.abs(residuals(params, x, y))
        top = a * (b + c - a) / 2
        fall = top - a * (c - jnp.clip(z, b, c)) ** 2 / (2 * (c - b))
        inner = jnp.where(z <= a, jnp.minimum(z, a) ** 2 / 2, a * z - a * a / 2)
        return jnp.where(z <= b, inner, fall).sum() + y.size * params["log_scale"]

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(params, x, y, bends):
        return plain(params, x, y, bends), (params, x, y)

    def bwd(bends, res, g):
        a, b, c = bends
        params, x, y = res
        z = residuals(params, x, y)
        far = jnp.abs(z)
        falling = a * (c - far) / (c - b)
        if slip == "falling part":
            falling = jnp.where(far < c, a, 0.0)
        elif slip != "outliers pull":
            falling = jnp.maximum(falling, 0)
        size = jnp.where(far <= a, far, jnp.where(far <= b, a, falling))
        dz = g * size.astype(z.dtype) * jnp.sign(z)
        dy = dz * jnp.exp(-params["log_scale"])
        dlog = g * y.size
        if slip != "scale of the residuals":
            dlog = dlog - (dz * z).sum()
        dparams = {"w": -x.T @ dy, "b": -dy.sum(), "log_scale": dlog}
        return dparams, -dy[:, None] * params["w"], dy

    loss.defvjp(fwd, bwd)
    return loss, plain


def lists(rng):
    relevant = jnp.asarray([[1, 0, 0, 1, 0], [0, 2, 0, 0, 1], [0, 0, 0, 0, 0]])
    lengths = jnp.asarray([5, 4, 3], jnp.int32)
    scores = normal(rng, 3, 5)
    return scores, relevant.astype(jnp.int32), lengths, positive(rng, 3), 0.7


@case(
    "approximate mean reciprocal rank in rax",
    "ranking loss of padded lists",
    lists,
    Twin(
        "one side of the pair",
        "term|transpose|sum",
        "scores",
        "A score lowers others' ranks too, which is left out.",
    ),
    Twin(
        "padding ranked",
        "mask",
        "scores",
        "Pairs with padding are counted in the backward pass.",
    ),
    Twin(
        "temperature",
        "option|factor|ratio",
        "scores",
        "The division of the differences by the temperature is not pulled back.",
    ),
)
def approx_mrr_loss(slip):
    def pieces(scores, relevant, lengths, temperature):
        n = scores.shape[-1]
        valid = jnp.arange(n) < lengths[:, None]
        pairs = valid[:, :, None] & valid[:, None] & ~jnp.eye(n, dtype=bool)
        steps = (scores[:, None, :] - scores[:, :, None]) / temperature
        rank = 1 + jnp.where(pairs, jax.nn.sigmoid(steps), 0).sum(-1)
        gain = jnp.where(valid, relevant, 0).astype(scores.dtype)
        gain = gain / jnp.maximum(gain.sum(-1, keepdims=True), 1)
        return pairs, steps, rank, gain

    def plain(scores, relevant, lengths, weights, temperature):
        _, _, rank, gain = pieces(scores, relevant, lengths, temperature)
        return -(weights * (gain / rank).sum(-1)).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(scores, relevant, lengths, weights, temperature):
        value = plain(scores, relevant, lengths, weights, temperature)
        return value, (scores, relevant, lengths, weights)

    def bwd(temperature, res, g):
        scores, relevant, lengths, weights = res
        pairs, steps, rank, gain = pieces(scores, relevant, lengths, temperature)
        drank = g * weights[:, None] * gain / rank**2
        slope = jax.nn.sigmoid(steps) * jax.nn.sigmoid(-steps)
        if slip != "padding ranked":
            slope = jnp.where(pairs, slope, 0)
        dsteps = drank[:, :, None] * slope
        if slip != "temperature":
            dsteps = dsteps / temperature
        dscores = -dsteps.sum(-1)
        if slip != "one side of the pair":
            dscores = dscores + dsteps.sum(-2)
        return dscores, None, None, -g * (gain / rank).sum(-1)

    loss.defvjp(fwd, bwd)
    return loss, plain


def proxies(rng):
    labels = integers(rng, 3, 6)
    return normal(rng, 6, 4), normal(rng, 4, 4), labels, 5.0, 0.1


@case(
    "proxy anchor loss of pytorch-metric-learning in flax ports",
    "metric loss with proxies",
    proxies,
    Twin(
        "all proxies counted",
        "ratio|factor",
        "embeddings proxies",
        "The pull is divided by all proxies, not by those that have a sample.",
    ),
    Twin(
        "softmax without the one",
        "term|function|factor",
        "embeddings proxies",
        "The 1 in the logarithm is left out of the weights of the push.",
    ),
    Twin(
        "along the embedding",
        "term|path",
        "embeddings",
        "The normalisation of the embeddings is held.",
    ),
)
def proxy_anchor_loss(slip):
    def unit(x):
        root = lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12)
        return x * root, root

    def parts(embeddings, proxies, labels, alpha, margin):
        cos = unit(embeddings)[0] @ unit(proxies)[0].T
        own = labels[:, None] == jnp.arange(len(proxies))
        pull = jnp.where(own, -alpha * (cos - margin), -jnp.inf)
        push = jnp.where(own, -jnp.inf, alpha * (cos + margin))
        present = jnp.maximum(own.any(0).sum(), 1).astype(cos.dtype)
        return pull, push, present

    def soft(logits):
        return jnp.logaddexp(jax.nn.logsumexp(logits, 0), 0.0)

    def plain(embeddings, proxies, labels, alpha, margin):
        pull, push, present = parts(embeddings, proxies, labels, alpha, margin)
        return soft(pull).sum() / present + soft(push).sum() / len(proxies)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(embeddings, proxies, labels, alpha, margin):
        value = plain(embeddings, proxies, labels, alpha, margin)
        return value, (embeddings, proxies, labels)

    def bwd(alpha, margin, res, g):
        embeddings, proxies, labels = res
        pull, push, present = parts(embeddings, proxies, labels, alpha, margin)
        if slip == "all proxies counted":
            present = len(proxies)
        bare = slip == "softmax without the one"
        norm = jax.nn.logsumexp(push, 0) if bare else soft(push)
        dcos = jnp.exp(push - norm) / len(proxies)
        dcos = g * alpha * (dcos - jnp.exp(pull - soft(pull)) / present)
        u, ru = unit(embeddings)
        v, rv = unit(proxies)
        du, dv = dcos @ v, dcos.T @ u
        if slip != "along the embedding":
            du = du - u * (u * du).sum(-1, keepdims=True)
        dv = dv - v * (v * dv).sum(-1, keepdims=True)
        return ru * du, rv * dv, None

    loss.defvjp(fwd, bwd)
    return loss, plain

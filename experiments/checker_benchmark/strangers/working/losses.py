"""Losses of optax, of contrastive training, of reinforcement learning."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    integers,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "optax.softmax_cross_entropy_with_integer_labels(where=)",
    "loss with a mask",
    lambda rng: (
        normal(rng, 4, 6),
        integers(rng, 6, 4),
        jnp.array([True, True, False, True]),
    ),
    Twin("mean of all", "ratio|sum", "logits", "Divided by all rows."),
    Twin("rows unmasked", "mask", "logits", "Other rows have a gradient."),
    Twin("no label", "term|path|index", "logits", "The label's -1 is missing."),
)
def masked_cross_entropy(slip):
    @jax.custom_vjp
    def loss(logits, labels, where):
        logp = jax.nn.log_softmax(logits)
        picked = jnp.take_along_axis(logp, labels[:, None], 1)[:, 0]
        return -jnp.where(where, picked, 0).sum() / jnp.maximum(where.sum(), 1)

    def fwd(logits, labels, where):
        return loss.fun(logits, labels, where), (logits, labels, where)

    def bwd(res, g):
        logits, labels, where = res
        count = jnp.maximum(where.sum(), 1)
        if slip == "mean of all":
            count = where.size
        d = jax.nn.softmax(logits)
        if slip != "no label":
            d = d - jax.nn.one_hot(labels, logits.shape[1], dtype=d.dtype)
        if slip != "rows unmasked":
            d = jnp.where(where[:, None], d, 0)
        return (g / count * d).astype(logits.dtype), None, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "SigLIP in big_vision",
    "contrastive loss",
    lambda rng: (
        normal(rng, 4, 3),
        normal(rng, 4, 3),
        jnp.float32(1.0),
        jnp.float32(0),
    ),
    Twin(
        "temperature as is",
        "factor|operand|function",
        "log_t",
        "No exp(log_t).",
        witness=lambda rng: (
            normal(rng, 4, 3),
            normal(rng, 4, 3),
            jnp.float32(0.6),
            jnp.float32(-1),
        ),
    ),
    Twin("texts transposed", "transpose|swap|operand", "texts", "z for its transpose."),
    scales=(0.1, 1.0),
    fixed=(2, 3),
)
def siglip_loss(slip):
    def signs(n, dtype):
        return 2 * jnp.eye(n, dtype=dtype) - 1

    @jax.custom_vjp
    def siglip(images, texts, log_t, bias):
        z = images @ texts.T * jnp.exp(log_t) + bias
        return -jax.nn.log_sigmoid(signs(len(z), z.dtype) * z).sum() / len(z)

    def fwd(images, texts, log_t, bias):
        return siglip.fun(images, texts, log_t, bias), (images, texts, log_t, bias)

    def bwd(res, g):
        images, texts, log_t, bias = res
        t, s = jnp.exp(log_t), images @ texts.T
        y = signs(len(s), s.dtype)
        dz = -g / len(s) * y * jax.nn.sigmoid(-y * (t * s + bias))
        dt = (dz * s).sum()
        across = dz if slip == "texts transposed" else dz.T
        dlog = dt if slip == "temperature as is" else dt * t
        return t * dz @ texts, t * across @ images, dlog, dz.sum()

    siglip.defvjp(fwd, bwd)
    return siglip, siglip.fun


@case(
    "PPO in rlax and purejaxrl",
    "policy loss",
    lambda rng: (normal(rng, 8, std=0.3), normal(rng, 8, std=0.3), normal(rng, 8)),
    Twin("clip ignored", "mask|predicate|region", "logp", "Clipped terms slope."),
    Twin(
        "sign of advantage ignored",
        "mask|predicate|region",
        "logp",
        "Outside of the window the gradient is always 0.",
    ),
    Twin("ratio forgotten", "factor|operand|function", "logp", "d ratio/d logp is 1."),
    fixed=(0, 1),
    options=lambda plain: {"nondiff": ("old", "advantage")},
)
def clipped_policy_loss(slip):
    @jax.custom_vjp
    def loss(logp, old, advantage):
        ratio = jnp.exp(logp - lax.stop_gradient(old))
        a = lax.stop_gradient(advantage)
        clipped = jnp.clip(ratio, 0.8, 1.2)
        return -jnp.minimum(ratio * a, clipped * a).mean()

    def fwd(logp, old, advantage):
        return loss.fun(logp, old, advantage), (logp, old, advantage)

    def bwd(res, g):
        logp, old, a = res
        ratio = jnp.exp(logp - old)
        active = ~((a > 0) & (ratio > 1.2) | (a < 0) & (ratio < 0.8))
        if slip == "clip ignored":
            active = jnp.ones_like(active)
        if slip == "sign of advantage ignored":
            active = (ratio > 0.8) & (ratio < 1.2)
        slope = a if slip == "ratio forgotten" else a * ratio
        return -g / len(a) * jnp.where(active, slope, 0), None, None

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "Switch transformer's auxiliary loss",
    "mixture of experts",
    lambda rng: (normal(rng, 8, 4),),
    Twin(
        "count not scaled",
        "ratio|factor",
        "logits",
        "The number of experts is left out.",
    ),
    Twin("softmax's row term", "term|path", "logits", "dp instead of dlogits: p * f."),
)
def load_balance_loss(slip):
    @jax.custom_vjp
    def balance(logits):
        p = jax.nn.softmax(logits)
        E = p.shape[-1]
        chosen = jax.nn.one_hot(jnp.argmax(logits, -1), E, dtype=p.dtype)
        return E * (chosen.mean(0) * p.mean(0)).sum()

    def fwd(logits):
        return balance.fun(logits), logits

    def bwd(logits, g):
        p = jax.nn.softmax(logits)
        N, E = p.shape
        f = jax.nn.one_hot(jnp.argmax(logits, -1), E, dtype=p.dtype).mean(0)
        scale = g / N if slip == "count not scaled" else g * E / N
        if slip == "softmax's row term":
            return (scale * p * f,)
        return (scale * p * (f - (p * f).sum(-1, keepdims=True)),)

    balance.defvjp(fwd, bwd)
    return balance, balance.fun

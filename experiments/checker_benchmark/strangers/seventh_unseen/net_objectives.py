"""Objectives: divergences, angles, overlaps, values, styles."""

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


def two_heads(rng):
    student = jax.nn.log_softmax(normal(rng, 4, 5))
    return student, jax.nn.log_softmax(normal(rng, 4, 5)), "batchmean"


@case(
    "kl_divergence_with_log_targets in optax, KLDivLoss in PyTorch",
    "divergence with an option",
    two_heads,
    Twin(
        "entropy's one",
        "term",
        "log_target",
        "The product rule's part of the exponential alone is there.",
    ),
    Twin(
        "batchmean",
        "option|factor|ratio",
        "log_p log_target",
        "batchmean is taken for a mean over all elements.",
    ),
    Twin(
        "student's probabilities",
        "swap|operand|function",
        "log_p",
        "The student's own probabilities stand where the target's are meant.",
    ),
    fixed=(0, 1),
)
def kl_div_loss(slip):
    def count(shape, reduction):
        if reduction == "sum":
            return 1
        size = 1
        for n in shape:
            size *= n
        return shape[0] if reduction == "batchmean" else size

    def plain(log_p, log_target, reduction):
        each = jnp.exp(log_target) * (log_target - log_p)
        return each.sum() / count(each.shape, reduction)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(log_p, log_target, reduction):
        return plain(log_p, log_target, reduction), (log_p, log_target)

    def bwd(reduction, res, g):
        log_p, log_target = res
        if slip == "batchmean" and reduction == "batchmean":
            reduction = "mean"
        g = g / count(log_p.shape, reduction)
        target = jnp.exp(log_target)
        one = 0 if slip == "entropy's one" else 1
        dtarget = g * target * (log_target - log_p + one)
        if slip == "student's probabilities":
            target = jnp.exp(log_p)
        return -g * target, dtarget

    loss.defvjp(fwd, bwd)
    return loss, plain


def pairs(rng):
    a = normal(rng, 6, 4)
    return a, a + normal(rng, 6, 4), jnp.asarray([1, -1, -1, 1, -1, 1]), 0.2


@case(
    "CosineEmbeddingLoss in PyTorch and its ports",
    "loss of pairs",
    pairs,
    Twin(
        "part along",
        "term",
        "b",
        "The length of the second isn't differentiated.",
    ),
    Twin(
        "margin",
        "mask|region|option",
        "a b",
        "An unlike pair is pushed where its cosine is above 0, not above the margin.",
        witness=lambda rng: (*pairs(rng)[:3], 0.9),
    ),
    Twin(
        "unlike pairs",
        "sign",
        "a b",
        "Like and unlike pairs are drawn together both.",
    ),
)
def cosine_embedding_loss(slip):
    eps = 1e-8

    def parts(a, b):
        na = jnp.sqrt((a * a).sum(-1) + eps)
        nb = jnp.sqrt((b * b).sum(-1) + eps)
        return na, nb, (a * b).sum(-1) / (na * nb)

    def plain(a, b, label, margin):
        cos = parts(a, b)[2]
        return jnp.where(label > 0, 1 - cos, jax.nn.relu(cos - margin)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(a, b, label, margin):
        return plain(a, b, label, margin), (a, b, label)

    def bwd(margin, res, g):
        a, b, label = res
        na, nb, cos = parts(a, b)
        push = (cos > (0 if slip == "margin" else margin)).astype(cos.dtype)
        if slip == "unlike pairs":
            push = -push
        dcos = (g / len(a)) * jnp.where(label > 0, -1, push)
        each = (dcos / (na * nb))[:, None]
        along = (dcos * cos)[:, None]
        da = each * b - along * a / (na * na)[:, None]
        db = each * a
        if slip != "part along":
            db = db - along * b / (nb * nb)[:, None]
        return da, db, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def segments(rng):
    labels = jnp.asarray(rng.uniform(size=(2, 4, 5)) < 0.4, jnp.int32)
    return normal(rng, 2, 4, 5), labels, 0.7, 0.3


@case(
    "Tversky loss of segmentation in MONAI's and keras-cv's ports",
    "segmentation loss",
    segments,
    Twin(
        "weights of the errors",
        "swap|option",
        "logits",
        "alpha and beta, of false positives and negatives, are exchanged.",
    ),
    Twin(
        "quotient",
        "term",
        "logits",
        "The denominator is held constant.",
    ),
    Twin(
        "probabilities",
        "factor|function|path",
        "logits",
        "The gradient is that of the probabilities, the sigmoid isn't pulled back.",
    ),
)
def tversky_loss(slip):
    smooth = 1.0

    def parts(logits, labels, alpha, beta):
        p = jax.nn.sigmoid(logits)
        hit = (p * labels).sum((1, 2))
        false = (p * (1 - labels)).sum((1, 2))
        missed = ((1 - p) * labels).sum((1, 2))
        return p, hit + smooth, hit + alpha * false + beta * missed + smooth

    def plain(logits, labels, alpha, beta):
        _, top, bottom = parts(logits, labels, alpha, beta)
        return (1 - top / bottom).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, labels, alpha, beta):
        return plain(logits, labels, alpha, beta), (logits, labels)

    def bwd(alpha, beta, res, g):
        logits, labels = res
        p, top, bottom = parts(logits, labels, alpha, beta)
        if slip == "weights of the errors":
            alpha, beta = beta, alpha
        dbottom = labels + alpha * (1 - labels) - beta * labels
        top, bottom = top[:, None, None], bottom[:, None, None]
        dindex = labels / bottom
        if slip != "quotient":
            dindex = dindex - top * dbottom / bottom**2
        slope = 1 if slip == "probabilities" else p * (1 - p)
        return -g * dindex * slope / len(p), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def transitions(rng):
    q, value, selector = (normal(rng, 5, 3) for _ in range(3))
    reward, discount = normal(rng, 5), jnp.asarray([0.9, 0, 0.9, 0.9, 0], jnp.float32)
    return q, integers(rng, 3, 5), reward, discount, value, selector


@case(
    "double_q_learning in rlax with the target's gradient on",
    "value loss",
    transitions,
    Twin(
        "greedy by the value",
        "index|swap",
        "value",
        "The gradient goes to the action that the value prefers, not the selector.",
    ),
    Twin(
        "after the end",
        "mask|factor|operand",
        "value",
        "The bootstrapped value's cotangent isn't multiplied by the discount.",
    ),
    Twin(
        "reward's sign",
        "sign",
        "reward",
        "The reward gets the sign of the prediction.",
    ),
    fixed=(3,),
)
def double_q_loss(slip):
    def error(q, action, reward, discount, value, selector):
        rows = jnp.arange(len(action))
        best = value[rows, selector.argmax(-1)]
        return reward + discount * best - q[rows, action]

    @jax.custom_vjp
    def loss(q, action, reward, discount, value, selector):
        return 0.5 * error(q, action, reward, discount, value, selector) ** 2

    def fwd(*args):
        return loss(*args), (error(*args), *args)

    def bwd(res, g):
        delta, q, action, _, discount, value, selector = res
        rows = jnp.arange(len(action))
        down = g * delta
        best = selector.argmax(-1)
        dreward = -down if slip == "reward's sign" else down
        ddiscount = down * value[rows, best]
        if slip == "greedy by the value":
            best = value.argmax(-1)
        reach = down if slip == "after the end" else down * discount
        dvalue = jnp.zeros_like(value).at[rows, best].set(reach)
        dq = jnp.zeros_like(q).at[rows, action].set(-down)
        return dq, None, dreward, ddiscount, dvalue, jnp.zeros_like(selector)

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

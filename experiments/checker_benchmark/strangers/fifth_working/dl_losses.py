"""Losses of vision and language: pairs, many labels, distillation."""

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


def pairs(log_scale):
    def args(rng):
        return normal(rng, 5, 6), normal(rng, 5, 6), jnp.float32(log_scale)

    return args


@case(
    "CLIP's symmetric loss with a learned and clipped scale, in open_clip ports",
    "contrastive loss",
    pairs(2.659),
    Twin(
        "one direction",
        "term|path|sum|axis",
        "images texts log_scale",
        "The softmax over the images is left out: only the rows are pulled back.",
    ),
    Twin(
        "clipped scale",
        "mask|region|predicate",
        "log_scale",
        "A scale that is clipped at 100 still gets a gradient.",
        witness=pairs(5.0),
    ),
    Twin(
        "lengths held constant",
        "term|path",
        "images texts",
        "The features are divided by their lengths, which are held constant.",
    ),
    fixed=(2,),
)
def clip_loss(slip):
    def unit(x):
        inverse = jax.lax.rsqrt(jnp.maximum((x * x).sum(-1, keepdims=True), 1e-12))
        return x * inverse, inverse

    def logits(images, texts, log_scale):
        scale = jnp.minimum(jnp.exp(log_scale), 100)
        return scale, unit(images)[0] @ unit(texts)[0].T

    @jax.custom_vjp
    def loss(images, texts, log_scale):
        scale, cosines = logits(images, texts, log_scale)
        scores = scale * cosines
        rows, columns = jax.nn.log_softmax(scores, 1), jax.nn.log_softmax(scores, 0)
        return -(jnp.diagonal(rows) + jnp.diagonal(columns)).mean() / 2

    def fwd(images, texts, log_scale):
        return loss.fun(images, texts, log_scale), (images, texts, log_scale)

    def bwd(res, g):
        images, texts, log_scale = res
        scale, cosines = logits(images, texts, log_scale)
        scores, n = scale * cosines, images.shape[0]
        ds = jax.nn.softmax(scores, 1) - jnp.eye(n, dtype=scores.dtype)
        if slip != "one direction":
            ds = ds + jax.nn.softmax(scores, 0) - jnp.eye(n, dtype=scores.dtype)
        ds = g * ds / (2 * n)
        dscale = (ds * cosines).sum() * jnp.exp(log_scale)
        if slip != "clipped scale":
            dscale = jnp.where(jnp.exp(log_scale) < 100, dscale, 0)

        def pull(x, dunit):
            u, inverse = unit(x)
            if slip == "lengths held constant":
                return inverse * dunit
            long = (x * x).sum(-1, keepdims=True) > 1e-12
            along = jnp.where(long, (u * dunit).sum(-1, keepdims=True), 0)
            return inverse * (dunit - u * along)

        dcos = scale * ds
        dimages = pull(images, dcos @ unit(texts)[0])
        return dimages, pull(texts, dcos.T @ unit(images)[0]), dscale

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


def labelled(rng):
    labels = integers(rng, 2, 4, 5).astype(jnp.float32)
    return normal(rng, 4, 5), labels, 1.0, 4.0, 0.05


@case(
    "asymmetric loss of many labels (ASL) in timm, with shifted probabilities",
    "loss",
    labelled,
    Twin(
        "shift",
        "operand|residual|option",
        "logits",
        "The negatives' focus is weighed by the probability that is not shifted.",
    ),
    Twin(
        "focus held constant",
        "term|path",
        "logits",
        "The focusing weights are not differentiated.",
    ),
    Twin(
        "exponents",
        "option|swap|operand",
        "logits",
        "The positives' exponent is used for the negatives as well.",
    ),
    options=lambda plain: {"nondiff": ("labels",)},
    fixed=(1,),
)
def asymmetric_multilabel_loss(slip):
    def negative(x, margin):
        """Shifted probability, and the logarithm of its complement."""
        q = jnp.maximum(jax.nn.sigmoid(x) - margin, 0)
        if margin == 0:
            return q, -jax.nn.softplus(x)
        return q, jnp.log(jnp.minimum(jax.nn.sigmoid(-x) + margin, 1))

    def plain(logits, labels, pos, neg, margin):
        q, log_rest = negative(logits, margin)
        focus = jax.nn.sigmoid(-logits) ** pos
        positive = focus * jax.nn.softplus(-logits)
        weight = q**neg if neg else 1
        return (labels * positive - (1 - labels) * weight * log_rest).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3, 4))

    def fwd(logits, labels, pos, neg, margin):
        return plain(logits, labels, pos, neg, margin), (logits, labels)

    def bwd(pos, neg, margin, res, g):
        x, labels = res
        p, rest = jax.nn.sigmoid(x), jax.nn.sigmoid(-x)
        focused = slip != "focus held constant"
        dpositive = -(rest ** (pos + 1))
        if focused and pos:
            dpositive = dpositive - pos * p * rest**pos * jax.nn.softplus(-x)
        if slip == "exponents":
            neg = pos
        q, log_rest = negative(x, margin)
        weight = p if slip == "shift" else q
        inside = rest / (rest + margin) if margin else 1
        dnegative = weight**neg * p * inside
        if focused and neg:
            dnegative = dnegative - neg * weight ** (neg - 1) * p * rest * log_rest
        dnegative = jnp.where(p > margin, dnegative, 0)
        dx = g * (labels * dpositive + (1 - labels) * dnegative)
        return dx, jnp.zeros_like(labels)

    loss.defvjp(fwd, bwd)
    return loss, plain


def distilled(beta, temperature, tokens=(1, 1, 1, 1)):
    def args(rng):
        mask = jnp.array(tokens, jnp.float32)
        return normal(rng, 4, 6), normal(rng, 4, 6), mask, beta, temperature

    return args


@case(
    "generalised Jensen-Shannon divergence of distillation (GKD) in trl and Liger",
    "loss with a mask",
    distilled(0.5, 1.0),
    Twin(
        "temperature",
        "ratio|factor|option",
        "student",
        "The student's logits are not divided by the temperature on the way back.",
        witness=distilled(0.5, 2.0),
    ),
    Twin(
        "weight of the student",
        "option|ratio|factor|operand",
        "student",
        "The student's divergence is weighed by beta and not by one less beta.",
        witness=distilled(0.1, 1.0),
    ),
    Twin(
        "count of the tokens",
        "ratio|factor|sum",
        "student",
        "The gradient is divided by all tokens and not by those that count.",
        witness=distilled(0.5, 1.0, (1, 0, 1, 1)),
    ),
    options=lambda plain: {"nondiff": ("teacher", "mask")},
    fixed=(2,),
)
def generalised_jsd(slip):
    def logs(student, teacher, beta, temperature):
        p = jax.nn.log_softmax(student / temperature)
        q = jax.nn.log_softmax(teacher / temperature)
        if beta in (0, 1):
            return p, q, q if beta else p
        return p, q, jnp.logaddexp(q + jnp.log(beta), p + jnp.log1p(-beta))

    def plain(student, teacher, mask, beta, temperature):
        p, q, m = logs(student, teacher, beta, temperature)
        to_teacher = (jnp.exp(q) * (q - m)).sum(-1)
        to_student = (jnp.exp(p) * (p - m)).sum(-1)
        if beta == 0:
            each = to_teacher
        elif beta == 1:
            each = to_student
        else:
            each = beta * to_teacher + (1 - beta) * to_student
        return (mask * each).sum() / jnp.maximum(mask.sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(student, teacher, mask, beta, temperature):
        return plain(student, teacher, mask, beta, temperature), (
            student,
            teacher,
            mask,
        )

    def bwd(beta, temperature, res, g):
        student, teacher, mask = res
        p, q, m = logs(student, teacher, beta, temperature)
        if beta == 0:
            ds = jnp.exp(p) - jnp.exp(q)
        else:
            gap = p - m
            mean = (jnp.exp(p) * gap).sum(-1, keepdims=True)
            share = beta if slip == "weight of the student" else 1 - beta
            ds = (1 if beta == 1 else share) * jnp.exp(p) * (gap - mean)
        if slip != "temperature":
            ds = ds / temperature
        count = jnp.maximum(mask.sum(), 1)
        if slip == "count of the tokens":
            count = mask.shape[0]
        grads = g * mask[:, None] * ds / count
        return grads, jnp.zeros_like(teacher), jnp.zeros_like(mask)

    loss.defvjp(fwd, bwd)
    return loss, plain

"""Losses of policies, world models, embeddings and unbalanced labels."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "categorical latents with free nats in Dreamer",
    "loss",
    lambda rng: (normal(rng, 3, 2, 4), normal(rng, 3, 2, 4), 0.5),
    Twin(
        "prior's sign",
        "sign",
        "prior",
        "posterior - prior where prior - posterior belongs.",
    ),
    Twin(
        "free nats ignored",
        "mask|region|predicate",
        "posterior prior",
        "Rows below the free nats are pulled back too.",
        witness=lambda rng: (normal(rng, 3, 2, 4), normal(rng, 3, 2, 4), 1.5),
    ),
    Twin(
        "row term",
        "term|path|factor|operand",
        "posterior",
        "The divergence itself is not taken away from the log-ratio.",
    ),
)
def free_nats_kl(slip):
    def divergence(posterior, prior):
        logp, logq = jax.nn.log_softmax(posterior), jax.nn.log_softmax(prior)
        return logp, logq, (jnp.exp(logp) * (logp - logq)).sum(-1)

    def plain(posterior, prior, free):
        total = divergence(posterior, prior)[2].sum(-1)
        return jnp.where(total > free, total, free).mean()

    kl = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(posterior, prior, free):
        return plain(posterior, prior, free), (posterior, prior)

    def bwd(free, res, g):
        posterior, prior = res
        logp, logq, each = divergence(posterior, prior)
        counts = each.sum(-1) > free
        if slip == "free nats ignored":
            counts = jnp.ones_like(counts)
        dtotal = jnp.where(counts, g / len(counts), 0)[:, None, None]
        p, q = jnp.exp(logp), jnp.exp(logq)
        mean = 0 if slip == "row term" else each[..., None]
        dprior = (p - q if slip == "prior's sign" else q - p) * dtotal
        return p * (logp - logq - mean) * dtotal, dprior

    kl.defvjp(fwd, bwd)
    return kl, plain


def hinge_args(rng):
    return *(unit_rows(rng, 5, 4) for _ in range(3)), 0.2


def far_negatives(rng):
    anchor, _, negative, margin = hinge_args(rng)
    return anchor, anchor + 0.1 * negative, -anchor, margin


@case(
    "triplet losses in optax and in metric learning in JAX",
    "loss of triplets",
    hinge_args,
    Twin(
        "anchor of the negative",
        "term|path",
        "anchor",
        "The anchor has the positive pair's part only.",
    ),
    Twin(
        "margin not tested",
        "mask|region|predicate",
        "anchor positive negative",
        "Triplets that are apart already are pulled on.",
        witness=far_negatives,
    ),
    Twin("mean", "ratio|factor", "anchor positive negative", "Not over the triplets."),
    scales=(1.0, 10.0),
    narrow=False,
)
def triplet_hinge(slip):
    def distance(a, b):
        return jnp.sqrt(((a - b) ** 2).sum(-1) + 1e-6)

    def plain(anchor, positive, negative, margin):
        gap = distance(anchor, positive) - distance(anchor, negative) + margin
        return jnp.where(gap > 0, gap, 0).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(anchor, positive, negative, margin):
        near, far = distance(anchor, positive), distance(anchor, negative)
        gap = near - far + margin
        res = (anchor - positive, anchor - negative, near, far, gap > 0)
        return jnp.where(gap > 0, gap, 0).mean(), res

    def bwd(margin, res, g):
        to_positive, to_negative, near, far, active = res
        if slip == "margin not tested":
            active = jnp.ones_like(active)
        each = g if slip == "mean" else g / len(active)
        dgap = jnp.where(active, each, 0)[:, None]
        dnear = dgap * to_positive / near[:, None]
        dfar = dgap * to_negative / far[:, None]
        danchor = dnear if slip == "anchor of the negative" else dnear - dfar
        return danchor, -dnear, dfar

    loss.defvjp(fwd, bwd)
    return loss, plain


def few_positives(rng):
    labels = jnp.asarray(rng.integers(0, 2, (4, 3)), jnp.float32)
    return normal(rng, 4, 3), labels, jnp.ones(3)


def weighed_positives(rng):
    logits, labels, _ = few_positives(rng)
    return logits, labels.at[:, 0].set(1.0), positive(rng, 3, low=2.0, high=4.0)


@case(
    "sigmoid cross-entropy with weights of the positives, multi-label",
    "loss",
    few_positives,
    Twin(
        "weight of the negatives",
        "factor|operand|mask",
        "logits",
        "The weight, 1 at first, multiplies both labels' parts.",
        witness=weighed_positives,
    ),
    Twin(
        "weight's gradient",
        "zero|term|path",
        "weight",
        "None is given for the weights.",
    ),
    Twin("label's sign", "sign", "labels", "log(1 + e^x) - ... has the other sign."),
    fixed=(1, 2),
)
def positive_weighted_bce(slip):
    @jax.custom_vjp
    def loss(logits, labels, weight):
        yes = weight * labels * jax.nn.softplus(-logits)
        return (yes + (1 - labels) * jax.nn.softplus(logits)).sum(-1)

    def fwd(logits, labels, weight):
        return loss.fun(logits, labels, weight), (logits, labels, weight)

    def bwd(res, g):
        logits, labels, weight = res
        dy = g[:, None]
        p = jax.nn.sigmoid(logits)
        no = (1 - labels) * p
        if slip == "weight of the negatives":
            no = weight * no
        dlogits = dy * (no - weight * labels * (1 - p))
        yes = jax.nn.softplus(-logits)
        dlabels = dy * (weight * yes - jax.nn.softplus(logits))
        dlabels = -dlabels if slip == "label's sign" else dlabels
        dweight = (dy * labels * yes).sum(0)
        if slip == "weight's gradient":
            dweight = jnp.zeros_like(weight)
        return dlogits, dlabels, dweight

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

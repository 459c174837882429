"""Losses: transducers, logits kept small, preferences, distillation."""

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

NEVER = -1e30


def utterances(frames, lengths):
    def args(rng):
        logits = normal(rng, 2, 4, 3, 5)
        labels = integers(rng, 4, 2, 2) + 1
        sizes = [jnp.array(n, jnp.int32) for n in (frames, lengths)]
        return logits, labels, *sizes

    return args


@case(
    "transducer losses (RNN-T) for speech models in JAX, blank 0",
    "sequence loss",
    utterances([4, 4], [2, 2]),
    Twin(
        "last blank",
        "index|region|edge|term",
        "logits",
        "The blank that ends the sequence has no gradient.",
    ),
    Twin(
        "softmax",
        "term|path",
        "logits",
        "Occupancies are the gradients of log-probabilities; the softmax is forgotten.",
    ),
    Twin(
        "lengths",
        "mask|region|option|index|operand|edge",
        "logits",
        "The backward recursion starts in the last cell of the padded lattice.",
        witness=utterances([4, 3], [2, 1]),
    ),
    narrow=False,
)
def transducer_loss(slip):
    def arcs(logits, labels):
        logp = jax.nn.log_softmax(logits)
        emit = jnp.take_along_axis(logp[:, :-1], labels[None, :, None], -1)[..., 0]
        emit = jnp.pad(emit, ((0, 0), (0, 1)), constant_values=NEVER)
        return logp, logp[..., 0], emit

    def along_labels(base, emit):
        """x[u] = logaddexp(base[u], x[u - 1] + emit[u - 1])."""

        def step(before, here):
            x = jnp.logaddexp(here[0], before)
            return x + here[1], x

        return lax.scan(step, jnp.asarray(NEVER, base.dtype), (base, emit))[1]

    def forward(blank, emit):
        first = jnp.full(blank.shape[1], NEVER, blank.dtype).at[0].set(0)

        def step(base, here):
            alpha = along_labels(base, here[1])
            return alpha + here[0], alpha

        return lax.scan(step, first, (blank, emit))[1]

    def backward(blank, emit, frames, length):
        t, u = blank.shape
        last = (jnp.arange(t)[:, None] == frames - 1) & (jnp.arange(u) == length)

        def step(after, here):
            blank, emit, last = here
            base = jnp.where(last, blank, after + blank)

            def inner(right, cell):
                x = jnp.logaddexp(cell[0], right + cell[1])
                return x, x

            start = jnp.asarray(NEVER, base.dtype)
            beta = lax.scan(inner, start, (base, emit), reverse=True)[1]
            return beta, beta

        start = jnp.full(u, NEVER, blank.dtype)
        return last, lax.scan(step, start, (blank, emit, last), reverse=True)[1]

    def one(logits, labels, frames, length):
        _, blank, emit = arcs(logits, labels)
        alpha = forward(blank, emit)
        return -(alpha + blank)[frames - 1, length]

    def plain(logits, labels, frames, lengths):
        return jax.vmap(one)(logits, labels, frames, lengths)

    def one_grad(logits, labels, frames, length, g):
        logp, blank, emit = arcs(logits, labels)
        alpha = forward(blank, emit)
        total = (alpha + blank)[frames - 1, length]
        if slip == "lengths":
            frames, length = logits.shape[0], logits.shape[1] - 1
        last, beta = backward(blank, emit, frames, length)
        if slip == "lengths":
            total = beta[0, 0]
        next_t = jnp.pad(beta[1:], ((0, 1), (0, 0)), constant_values=NEVER)
        next_u = jnp.pad(beta[:, 1:], ((0, 0), (0, 1)), constant_values=NEVER)
        next_t = jnp.where(last, 0 if slip != "last blank" else NEVER, next_t)
        by_blank = jnp.exp(alpha + blank + next_t - total)
        by_label = jnp.exp(alpha + emit + next_u - total)
        classes = logits.shape[-1]
        hit = jax.nn.one_hot(labels, classes, dtype=logits.dtype)
        hit = jnp.pad(hit, ((0, 1), (0, 0)))
        d = -by_label[..., None] * hit
        d = d.at[..., 0].add(-by_blank)
        if slip != "softmax":
            d = d + jnp.exp(logp) * (by_blank + by_label)[..., None]
        return g * d

    loss = jax.custom_vjp(plain)

    def fwd(logits, labels, frames, lengths):
        return plain(logits, labels, frames, lengths), (logits, labels, frames, lengths)

    def bwd(res, g):
        return jax.vmap(one_grad)(*res, g), None, None, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def classes(rng):
    targets = jax.nn.one_hot(integers(rng, 5, 2, 3), 5)
    return normal(rng, 2, 3, 5), 0.9 * targets + 0.02, 1e-2


def masked_classes(rng):
    logits, targets, z = classes(rng)
    return logits, targets.at[1, 2].set(0), z


@case(
    "t5x and MaxText: cross entropy with soft targets and a z-loss, two outputs",
    "loss with two outputs",
    classes,
    Twin(
        "for logging only",
        "cotangent|term|path|zero",
        "logits",
        "The second output, the z-loss, is pulled back as a constant.",
    ),
    Twin(
        "square of the normaliser",
        "factor|ratio",
        "logits",
        "The z-loss' derivative lacks the 2 of the square.",
    ),
    Twin(
        "targets sum to one",
        "factor|operand|term|mask",
        "logits",
        "softmax - targets also where the targets of a padded row are zeros.",
        witness=masked_classes,
    ),
    scales=(1.0, 3.0),
)
def z_loss_cross_entropy(slip):
    def plain(logits, targets, weight):
        log_z = jax.nn.logsumexp(logits, -1)
        nll = (targets * (log_z[..., None] - logits)).sum(-1)
        z = weight * log_z * log_z
        return nll + z, z

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(logits, targets, weight):
        return plain(logits, targets, weight), (logits, targets)

    def bwd(weight, res, g):
        logits, targets = res
        g_loss, g_z = g
        if slip == "for logging only":
            g_z = jnp.zeros_like(g_z)
        log_z = jax.nn.logsumexp(logits, -1, keepdims=True)
        p = jnp.exp(logits - log_z)
        two = 1 if slip == "square of the normaliser" else 2
        total = targets.sum(-1, keepdims=True)
        if slip == "targets sum to one":
            total = 1
        dnll = total * p - targets
        dz = two * weight * log_z * p
        g_loss, g_z = g_loss[..., None], g_z[..., None]
        return g_loss * dnll + (g_loss + g_z) * dz, g_loss * (log_z - logits)

    loss.defvjp(fwd, bwd)
    return loss, plain


def answers(rng):
    """Log-probabilities of tokens, and which of them belong to the answers."""
    chosen = -jnp.abs(normal(rng, 3, 5))
    rejected = -jnp.abs(normal(rng, 3, 5))
    where = jnp.arange(5) < jnp.array([[5], [3], [4]])
    other = jnp.arange(5) < jnp.array([[4], [5], [2]])
    return chosen, rejected, {"chosen": where, "rejected": other}, 2.0, 1.0


@case(
    "reference-free preferences by mean log-probabilities (SimPO) in JAX trainers",
    "preference loss",
    answers,
    Twin(
        "lengths",
        "ratio|factor",
        "chosen rejected",
        "The tokens' gradients are not divided by the lengths of their answers.",
    ),
    Twin(
        "length of the other",
        "operand|swap|ratio|factor",
        "rejected",
        "The rejected answers are divided by the lengths of the chosen ones.",
    ),
    Twin(
        "prompt and padding",
        "mask|region|predicate",
        "chosen rejected",
        "Tokens that are not of the answers have a gradient.",
    ),
)
def simpo_loss(slip):
    def gap(chosen, rejected, where, beta, margin):
        def mean(logp, real):
            total = jnp.where(real, logp, 0).sum(-1)
            return total / jnp.maximum(real.sum(-1), 1)

        better = mean(chosen, where["chosen"]) - mean(rejected, where["rejected"])
        return beta * better - margin

    def plain(chosen, rejected, where, beta, margin):
        return jax.nn.softplus(-gap(chosen, rejected, where, beta, margin)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(chosen, rejected, where, beta, margin):
        h = gap(chosen, rejected, where, beta, margin)
        return jax.nn.softplus(-h).mean(), (where, h)

    def bwd(beta, margin, res, g):
        where, h = res
        each = -beta * jax.nn.sigmoid(-h) * g / len(h)
        sizes = {side: jnp.maximum(r.sum(-1), 1) for side, r in where.items()}
        if slip == "length of the other":
            sizes["rejected"] = sizes["chosen"]

        def spread(side):
            d = each if slip == "lengths" else each / sizes[side]
            d = jnp.broadcast_to(d[:, None], where[side].shape)
            return d if slip == "prompt and padding" else jnp.where(where[side], d, 0)

        return spread("chosen"), -spread("rejected"), None

    loss.defvjp(fwd, bwd)
    return loss, plain

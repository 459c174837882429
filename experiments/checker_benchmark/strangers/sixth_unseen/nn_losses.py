"""Losses of recognition, distillation and preferences."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def chosen_and_rejected(rng):
    mask = jnp.asarray([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]], jnp.float32)
    draws = [-positive(rng, 3, 4, low=0.1, high=3.0) for _ in range(2)]
    return *draws, mask, mask[::-1], 0.1


@case(
    "odds-ratio preferences (ORPO) in JAX trainers: mean log-probabilities and odds",
    "loss",
    chosen_and_rejected,
    Twin(
        "odds as probabilities",
        "factor|function|term",
        "chosen rejected",
        "The odds are pulled back as if they were the probabilities.",
    ),
    Twin(
        "length of the chosen",
        "ratio|operand|factor|swap",
        "rejected",
        "The rejected answer's tokens are divided by the chosen answer's length.",
    ),
    Twin(
        "likelihood of the chosen",
        "term|path",
        "chosen",
        "The likelihood of the chosen answer is missing from its gradient.",
    ),
    options=lambda plain: {"nondiff": ("mask", "other_mask")},
    fixed=(2, 3),
    narrow=False,
)
def orpo_loss(slip):
    def mean(logps, mask):
        return (logps * mask).sum(-1) / mask.sum(-1)

    def log_odds(mean):
        """log p - log(1 - p), both of its branches without cancellation."""
        near = mean > -0.6931472
        close = jnp.log(-jnp.expm1(jnp.where(near, mean, -1)))
        far = jnp.log1p(-jnp.exp(jnp.where(near, -1, mean)))
        return mean - jnp.where(near, close, far)

    def plain(chosen, rejected, mask, other_mask, weight):
        good, bad = mean(chosen, mask), mean(rejected, other_mask)
        ratio = log_odds(good) - log_odds(bad)
        return (-good - weight * jax.nn.log_sigmoid(ratio)).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(chosen, rejected, mask, other_mask, weight):
        out = plain(chosen, rejected, mask, other_mask, weight)
        return out, (chosen, rejected, mask, other_mask)

    def bwd(weight, res, g):
        chosen, rejected, mask, other_mask = res
        good, bad = mean(chosen, mask), mean(rejected, other_mask)
        ratio = log_odds(good) - log_odds(bad)
        g = g / good.shape[0]
        dratio = -weight * g * jax.nn.sigmoid(-ratio)
        dgood = dratio / -jnp.expm1(good)
        dbad = -dratio / -jnp.expm1(bad)
        if slip == "odds as probabilities":
            dgood, dbad = dratio, -dratio
        if slip != "likelihood of the chosen":
            dgood = dgood - g
        length = mask if slip == "length of the chosen" else other_mask
        dchosen = (dgood / mask.sum(-1))[:, None] * mask
        drejected = (dbad / length.sum(-1))[:, None] * other_mask
        return dchosen, drejected, jnp.zeros_like(mask), jnp.zeros_like(other_mask)

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "relational distillation (RKD) in flax: distances in units of their mean, Huber",
    "loss",
    lambda rng: (normal(rng, 5, 4), normal(rng, 5, 6), 1.0),
    Twin(
        "mean of the distances",
        "term|path",
        "student",
        "The mean that the distances are divided by is taken for a constant.",
    ),
    Twin(
        "one end of a pair",
        "term|path|factor|ratio",
        "student",
        "A distance is pulled back to one of its two rows.",
    ),
    Twin(
        "mean over all pairs",
        "ratio|factor|constant|option",
        "student",
        "The mean's gradient is divided by all pairs, equal rows among them.",
    ),
    options=lambda plain: {"nondiff": ("teacher",)},
    narrow=False,
)
def relational_distillation(slip):
    def distances(x):
        gap = x[:, None] - x
        square = (gap * gap).sum(-1)
        apart = square > 0
        distance = jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1)), 0)
        count = jnp.maximum(apart.sum(), 1).astype(x.dtype)
        return gap, apart, distance, count, distance.sum() / count

    def errors(student, teacher):
        *_, own, _, mean = distances(student)
        *_, other, _, unit = distances(teacher)
        return own / mean - other / unit

    def plain(student, teacher, delta):
        e = errors(student, teacher)
        size = jnp.abs(e)
        huber = jnp.where(size < delta, 0.5 * e * e, delta * (size - 0.5 * delta))
        return huber.mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(student, teacher, delta):
        return plain(student, teacher, delta), (student, teacher)

    def bwd(delta, res, g):
        student, teacher = res
        gap, apart, distance, count, mean = distances(student)
        de = g * jnp.clip(errors(student, teacher), -delta, delta) / distance.size
        dd = de / mean
        if slip != "mean of the distances":
            pairs = distance.size if slip == "mean over all pairs" else count
            dd = dd - (de * distance).sum() / mean**2 / pairs
        dd = jnp.where(apart, dd / jnp.where(apart, distance, 1), 0)
        if slip != "one end of a pair":
            dd = dd + dd.T
        return (dd[..., None] * gap).sum(1), jnp.zeros_like(teacher)

    loss.defvjp(fwd, bwd)
    return loss, plain

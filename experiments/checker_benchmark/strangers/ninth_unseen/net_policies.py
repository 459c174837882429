"""Losses of policies, preferences and rewards."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def pairs(rng):
    chosen, rejected = normal(rng, 3, 5, mean=-2.0), normal(rng, 3, 4, mean=-2.0)
    lengths = jnp.asarray([[5, 2], [3, 4], [1, 3]], jnp.int32)
    return chosen, rejected, normal(rng, 3), lengths, 0.4


@case(
    "identity preference optimisation in TRL, with log-probabilities per word",
    "preference loss",
    pairs,
    Twin(
        "not divided by length",
        "ratio|factor",
        "chosen rejected",
        "The mean over the words is pulled back as a sum.",
    ),
    Twin(
        "same length",
        "swap|ratio|operand|factor",
        "rejected",
        "The rejected answer is divided by the length of the chosen one.",
    ),
    Twin(
        "padding pulls",
        "mask|zero",
        "chosen rejected",
        "Words after an answer's end get its gradient.",
    ),
)
def ipo_loss(slip):
    def seen(x, lengths):
        return jnp.arange(x.shape[1]) < lengths[:, None]

    def mean(x, lengths):
        return jnp.where(seen(x, lengths), x, 0).sum(1) / jnp.maximum(lengths, 1)

    def gap(chosen, rejected, reference_gap, lengths):
        first, second = lengths[:, 0], lengths[:, 1]
        return mean(chosen, first) - mean(rejected, second) - reference_gap

    def plain(chosen, rejected, reference_gap, lengths, beta):
        h = gap(chosen, rejected, reference_gap, lengths)
        return ((h - 1 / (2 * beta)) ** 2).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(chosen, rejected, reference_gap, lengths, beta):
        h = gap(chosen, rejected, reference_gap, lengths)
        return ((h - 1 / (2 * beta)) ** 2).mean(), (chosen, rejected, h, lengths)

    def bwd(beta, res, g):
        chosen, rejected, h, lengths = res
        dh = 2 * (h - 1 / (2 * beta)) * g / len(h)

        def words(x, lengths, divisor):
            each = dh / jnp.maximum(divisor, 1)
            if slip == "not divided by length":
                each = dh
            each = jnp.broadcast_to(each[:, None], x.shape).astype(x.dtype)
            return each if slip == "padding pulls" else each * seen(x, lengths)

        first, second = lengths[:, 0], lengths[:, 1]
        divisor = first if slip == "same length" else second
        dchosen = words(chosen, first, first)
        return dchosen, -words(rejected, second, divisor), -dh, None

    loss.defvjp(fwd, bwd)
    return loss, plain


def rewards(rng):
    return normal(rng, 6), normal(rng, 6), positive(rng, 6), 0.01


@case(
    "reward model's loss with margins and centred rewards in TRL",
    "loss of rewards",
    rewards,
    Twin(
        "margin unused",
        "residual|operand|term",
        "chosen rejected margin",
        "The backward's sigmoid is taken without the margin.",
    ),
    Twin(
        "wrong tail",
        "sign|function",
        "chosen rejected margin",
        "The sigmoid of the gap is used instead of that of minus the gap.",
    ),
    Twin(
        "difference centred",
        "sign|operand|term",
        "rejected",
        "The rejected reward enters the centring with a minus.",
    ),
)
def reward_margin_loss(slip):
    def plain(chosen, rejected, margin, centre):
        fit = -jax.nn.log_sigmoid(chosen - rejected - margin)
        return (fit + centre * (chosen + rejected) ** 2).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(chosen, rejected, margin, centre):
        value = plain(chosen, rejected, margin, centre)
        return value, (chosen, rejected, margin)

    def bwd(centre, res, g):
        chosen, rejected, margin = res
        g = g / len(chosen)
        gap = chosen - rejected
        if slip != "margin unused":
            gap = gap - margin
        pull = g * jax.nn.sigmoid(gap if slip == "wrong tail" else -gap)
        back = 2 * g * centre * (chosen + rejected)
        other = -back if slip == "difference centred" else back
        return back - pull, other + pull, pull

    loss.defvjp(fwd, bwd)
    return loss, plain


def steps(rng):
    old = normal(rng, 5, 3, mean=-1.0, std=0.3)
    new = old + normal(rng, 5, 3, std=0.4)
    mask = jnp.asarray(rng.random((5, 3)) < 0.8)
    return new, old, normal(rng, 5, 3), mask, 0.2, 3.0


def far_off(rng):
    old = normal(rng, 5, 3, mean=-1.0, std=0.3)
    new = old + normal(rng, 5, 3, mean=1.5, std=0.4)
    return new, old, -positive(rng, 5, 3), jnp.ones((5, 3), bool), 0.2, 3.0


@case(
    "dual-clip policy loss in Tianshou and verl",
    "policy loss with a fraction",
    steps,
    Twin(
        "second clip not closed",
        "mask|region|option",
        "new old",
        "Where the second clip holds the ratio still gets a gradient.",
        witness=far_off,
    ),
    Twin(
        "log-probability for ratio",
        "factor|function|ratio",
        "new old",
        "The ratio's derivative lacks the ratio.",
    ),
    Twin(
        "advantage clipped as well",
        "function|operand|ratio|residual",
        "advantages",
        "The advantage's slope is the clipped ratio on both sides.",
    ),
    fixed=(0, 1),
)
def dual_clip_ppo(slip):
    def branches(new, old, advantages, reach, most):
        ratio = jnp.exp(new - old)
        near = jnp.where(ratio > 1 + reach, 1 + reach, ratio)
        near = jnp.where(ratio < 1 - reach, 1 - reach, near)
        bound = ratio * advantages > near * advantages
        low = jnp.where(bound, near * advantages, ratio * advantages)
        second = (advantages < 0) & (low < most * advantages)
        return ratio, near, bound, low, second

    def plain(new, old, advantages, mask, reach, most):
        b = branches(new, old, advantages, reach, most)
        gain = jnp.where(b[4], most * advantages, b[3])
        count = jnp.maximum(mask.sum(), 1)
        clipped = jnp.where(mask, b[2] | b[4], False).sum() / count
        return -jnp.where(mask, gain, 0).sum() / count, clipped

    loss = jax.custom_vjp(plain, nondiff_argnums=(4, 5))

    def fwd(new, old, advantages, mask, reach, most):
        value = plain(new, old, advantages, mask, reach, most)
        return value, (new, old, advantages, mask)

    def bwd(reach, most, res, g):
        new, old, advantages, mask = res
        ratio, near, bound, _, second = branches(new, old, advantages, reach, most)
        d = jnp.where(mask, -g[0] / jnp.maximum(mask.sum(), 1), 0)
        d = d.astype(new.dtype)
        slope = 1 if slip == "log-probability for ratio" else ratio
        closed = bound if slip == "second clip not closed" else bound | second
        dnew = jnp.where(closed, 0, d * advantages * slope)
        if slip == "advantage clipped as well":
            ratio = near
        used = jnp.where(bound, near, ratio)
        dadvantages = d * jnp.where(second, most, used)
        return dnew, -dnew, dadvantages, np.zeros(mask.shape, jax.dtypes.float0)

    loss.defvjp(fwd, bwd)
    return loss, plain


def actors(rng):
    first = {"q1": normal(rng, 6, 4), "q2": normal(rng, 6, 4)}
    return normal(rng, 6, 4), first, normal(rng, mean=-1.0)


@case(
    "discrete soft actor's loss in CleanRL and Spinning Up ports",
    "policy loss with a learned temperature",
    actors,
    Twin(
        "not centred",
        "term|path",
        "logits",
        "The expectation is not subtracted: the softmax is taken as unnormalised.",
    ),
    Twin(
        "larger critic",
        "mask|swap|index",
        "critics",
        "The gradient goes to the critic that was not used.",
    ),
    Twin(
        "temperature itself",
        "factor|ratio|function",
        "log_alpha",
        "The gradient is that of alpha, not of its logarithm.",
    ),
)
def sac_actor_loss(slip):
    def parts(logits, critics, log_alpha):
        logp = jax.nn.log_softmax(logits)
        first = critics["q1"] <= critics["q2"]
        low = jnp.where(first, critics["q1"], critics["q2"])
        return logp, jnp.exp(logp), first, jnp.exp(log_alpha) * logp - low

    @jax.custom_vjp
    def loss(logits, critics, log_alpha):
        _, p, _, cost = parts(logits, critics, log_alpha)
        return (p * cost).sum(1).mean()

    def fwd(logits, critics, log_alpha):
        return loss.fun(logits, critics, log_alpha), (logits, critics, log_alpha)

    def bwd(res, g):
        logits, critics, log_alpha = res
        logp, p, first, cost = parts(logits, critics, log_alpha)
        g = g / len(logits)
        mean = (p * cost).sum(1, keepdims=True)
        if slip == "not centred":
            mean = 0 * mean
        if slip == "larger critic":
            first = ~first
        dlow = -g * p
        dcritics = {"q1": jnp.where(first, dlow, 0), "q2": jnp.where(first, 0, dlow)}
        dalpha = g * (p * logp).sum()
        if slip != "temperature itself":
            dalpha = dalpha * jnp.exp(log_alpha)
        return g * p * (cost - mean), dcritics, dalpha

    loss.defvjp(fwd, bwd)
    return loss, loss.fun

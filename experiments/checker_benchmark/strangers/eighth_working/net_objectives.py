"""Losses and targets of reinforcement learning, noisy labels and landmarks."""

import jax
import jax.numpy as jnp
from jax import lax

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


def weighted_transitions(rng):
    return normal(rng, 5, 4), integers(rng, 4, 5), positive(rng, 5), 0.7


@case(
    "conservative Q-learning in d3rlpy and CORL",
    "penalty of a value function",
    weighted_transitions,
    Twin(
        "temperature twice",
        "factor|ratio|option",
        "q",
        "The softmax is divided by the temperature, which has cancelled.",
    ),
    Twin(
        "sum of the weights is constant",
        "term",
        "weights",
        "The quotient rule's second term is left out.",
    ),
    Twin(
        "policy part only",
        "term|path",
        "q",
        "The value of the data's action has no gradient.",
    ),
)
def cql_penalty(slip):
    def gaps(q, actions, temperature):
        top = temperature * jax.nn.logsumexp(q / temperature, -1)
        return top - jnp.take_along_axis(q, actions[:, None], -1)[:, 0]

    def plain(q, actions, weights, temperature):
        total = jnp.maximum(weights.sum(), 1e-6)
        return (weights * gaps(q, actions, temperature)).sum() / total

    penalty = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(q, actions, weights, temperature):
        value = plain(q, actions, weights, temperature)
        return value, (q, actions, weights, value)

    def bwd(temperature, res, g):
        q, actions, weights, value = res
        whole = weights.sum()
        total = jnp.maximum(whole, 1e-6)
        p = jax.nn.softmax(q / temperature)
        if slip == "temperature twice":
            p = p / temperature
        if slip != "policy part only":
            p = p - jax.nn.one_hot(actions, q.shape[-1], dtype=q.dtype)
        dweights = gaps(q, actions, temperature)
        if slip != "sum of the weights is constant":
            dweights = dweights - jnp.where(whole > 1e-6, value, 0)
        return g * (weights / total)[:, None] * p, None, g * dweights / total

    penalty.defvjp(fwd, bwd)
    return penalty, plain


def trajectory(rng):
    q, following, rewards, ratios = draw(q=(6,), f=(6,), r=(6,), l=(6,))(rng)
    return q, following, rewards, positive(rng, 6, low=0.7, high=1.0), ratios, 0.9


@case(
    "Retrace in rlax's general_off_policy_returns_from_q_and_v",
    "returns by a backward scan",
    trajectory,
    Twin(
        "truncated ratios",
        "mask|predicate|region",
        "log_rho",
        "Ratios that are cut at 1 have a gradient.",
    ),
    Twin(
        "trace of the next step",
        "index|edge",
        "q following rewards discount log_rho",
        "The scan of the cotangents multiplies by this step's trace, not the last.",
    ),
    Twin(
        "discounted value only",
        "term|path",
        "discount",
        "The discount's gradient lacks the returns that it multiplies.",
    ),
)
def retrace_targets(slip):
    def traces(log_rho, lambda_):
        return lambda_ * jnp.exp(jnp.where(log_rho < 0, log_rho, 0))

    def corrections(q, following, rewards, discount, log_rho, lambda_):
        errors = rewards + discount * following - q

        def back(ahead, step):
            error, shrink = step
            return error + shrink * ahead, ahead

        shrink = discount * traces(log_rho, lambda_)
        _, ahead = lax.scan(back, jnp.zeros_like(q[0]), (errors, shrink), reverse=True)
        return errors + shrink * ahead, ahead

    def plain(q, following, rewards, discount, log_rho, lambda_):
        return q + corrections(q, following, rewards, discount, log_rho, lambda_)[0]

    targets = jax.custom_vjp(plain, nondiff_argnums=(5,))

    def fwd(q, following, rewards, discount, log_rho, lambda_):
        args = (q, following, rewards, discount, log_rho)
        added, ahead = corrections(*args, lambda_)
        return q + added, (following, discount, log_rho, ahead)

    def bwd(lambda_, res, g):
        following, discount, log_rho, ahead = res
        trace = traces(log_rho, lambda_)
        shrink = discount * trace
        if slip != "trace of the next step":
            shrink = jnp.concatenate([jnp.zeros_like(shrink[:1]), shrink[:-1]])

        def on(before, step):
            now = step[0] + step[1] * before
            return now, now

        _, u = lax.scan(on, jnp.zeros_like(g[0]), (g, shrink))
        ddiscount = u * following
        if slip != "discounted value only":
            ddiscount = ddiscount + u * trace * ahead
        dlog = u * discount * ahead * trace
        if slip != "truncated ratios":
            dlog = jnp.where(log_rho < 0, dlog, 0)
        return g - u, u * discount, u, ddiscount, dlog

    targets.defvjp(fwd, bwd)
    return targets, plain


def noisy_labels(rng):
    labels = jnp.array([2, 0, -1, 4, 4, -1], jnp.int32)
    return normal(rng, 6, 5), labels, 0.7, "mean"


@case(
    "generalised cross-entropy (Zhang and Sabuncu) in libraries for noisy labels",
    "loss with options",
    noisy_labels,
    Twin(
        "power one lower",
        "factor|function|term",
        "logits",
        "p^(q - 1) is multiplied by the softmax's part without its factor p.",
    ),
    Twin(
        "mean over all rows",
        "ratio|factor|sum",
        "logits",
        "The backward divides by the rows, ignored ones too.",
    ),
    Twin(
        "ignored rows learn",
        "mask",
        "logits",
        "Rows without a label push class 0.",
    ),
)
def generalised_cross_entropy(slip):
    def picked(logits, labels):
        logp = jax.nn.log_softmax(logits)
        at = jnp.maximum(labels, 0)[:, None]
        return jnp.take_along_axis(logp, at, -1)[:, 0]

    def plain(logits, labels, q, reduction):
        logp = picked(logits, labels)
        each = -logp if q == 0 else -jnp.expm1(q * logp) / q
        each = jnp.where(labels >= 0, each, 0)
        if reduction == "none":
            return each
        count = jnp.maximum((labels >= 0).sum(), 1) if reduction == "mean" else 1
        return each.sum() / count

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, labels, q, reduction):
        return plain(logits, labels, q, reduction), (logits, labels)

    def bwd(q, reduction, res, g):
        logits, labels = res
        valid = labels >= 0
        if reduction == "mean":
            counted = jnp.ones_like(valid) if slip == "mean over all rows" else valid
            g = g / jnp.maximum(counted.sum(), 1)
        each = jnp.broadcast_to(g, labels.shape)
        if slip != "ignored rows learn":
            each = jnp.where(valid, each, 0)
        power = q - 1 if slip == "power one lower" else q
        each = each * jnp.exp(power * picked(logits, labels))
        hot = jax.nn.one_hot(jnp.maximum(labels, 0), logits.shape[-1])
        rows = (jax.nn.softmax(logits) - hot) * each[:, None]
        return rows.astype(logits.dtype), None

    loss.defvjp(fwd, bwd)
    return loss, plain


def landmarks(rng):
    truth = normal(rng, 3, 4, 2)
    moved = truth + normal(rng, 3, 4, 2, std=1.5)
    seen = jnp.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 1, 1, 0]], jnp.int32)
    return moved, truth, seen, 1.0, 0.3


@case(
    "wing loss in MMPose and other trainers of landmarks",
    "loss with a logarithm near zero",
    landmarks,
    Twin(
        "one side wide",
        "mask|sign|predicate|function",
        "predicted target",
        "d < width is asked where |d| < width is meant.",
    ),
    Twin(
        "curvature left out",
        "factor|option",
        "predicted target",
        "The logarithm's slope lacks 1/curve: width/(1 + |d|/curve).",
    ),
    Twin(
        "hidden landmarks",
        "mask",
        "predicted target",
        "Landmarks that are not seen have a gradient.",
    ),
)
def wing_loss(slip):
    def plain(predicted, target, seen, width, curve):
        away = jnp.abs(predicted - target)
        offset = width - width * jnp.log1p(width / curve)
        near = width * jnp.log1p(away / curve)
        each = jnp.where(away < width, near, away - offset)
        each = jnp.where((seen > 0)[..., None], each, 0)
        return each.sum() / jnp.maximum((seen > 0).sum(), 1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(predicted, target, seen, width, curve):
        value = plain(predicted, target, seen, width, curve)
        return value, (predicted - target, seen)

    def bwd(width, curve, res, g):
        d, seen = res
        away = jnp.abs(d)
        inside = (d if slip == "one side wide" else away) < width
        if slip == "curvature left out":
            slope = width / (1 + away / curve)
        else:
            slope = width / (curve + away)
        dd = jnp.sign(d) * jnp.where(inside, slope, 1)
        if slip != "hidden landmarks":
            dd = jnp.where((seen > 0)[..., None], dd, 0)
        dd = g * dd / jnp.maximum((seen > 0).sum(), 1)
        return dd, -dd, None

    loss.defvjp(fwd, bwd)
    return loss, plain

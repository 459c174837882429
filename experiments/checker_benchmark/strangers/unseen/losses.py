"""Losses of detection, preference, contrast, segmentation; returns."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    by_reference,
    collect,
    draw,
    normal,
    positive,
    unit_rows,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "optax.sigmoid_focal_loss",
    "loss",
    lambda rng: (
        normal(rng, 4, 3),
        jnp.asarray(rng.integers(0, 2, (4, 3)), jnp.float32),
        0.25,
        2.0,
    ),
    Twin(
        "modulation constant",
        "path|term",
        "logits",
        "(1 - p)^gamma is not differentiated.",
    ),
    Twin(
        "gamma fixed",
        "option|constant|function",
        "logits",
        "gamma is 2 in the backward.",
        witness=lambda rng: (normal(rng, 4, 3), jnp.ones((4, 3)), 0.25, 1.5),
    ),
    options=lambda plain: {"nondiff": ("targets",)},
    fixed=(1,),
)
def sigmoid_focal_loss(slip):
    def plain(logits, targets, alpha, gamma):
        targets = lax.stop_gradient(targets)
        ce = jax.nn.softplus(logits) - targets * logits
        p = jax.nn.sigmoid(logits)
        pt = p * targets + (1 - p) * (1 - targets)
        weight = alpha * targets + (1 - alpha) * (1 - targets)
        return weight * (1 - pt) ** gamma * ce

    focal = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, targets, alpha, gamma):
        return plain(logits, targets, alpha, gamma), (logits, targets)

    def bwd(alpha, gamma, res, g):
        logits, t = res
        gamma = 2.0 if slip == "gamma fixed" else gamma
        p = jax.nn.sigmoid(logits)
        miss = p * (1 - t) + (1 - p) * t
        ce = jax.nn.softplus(logits) - t * logits
        d = miss**gamma * (p - t)
        if slip != "modulation constant":
            sign = 1 - 2 * t
            d = d + gamma * miss ** (gamma - 1) * sign * p * (1 - p) * ce
        return g * (alpha * t + (1 - alpha) * (1 - t)) * d, None

    focal.defvjp(fwd, bwd)
    return focal, plain


@case(
    "dice loss of medical segmentation in flax",
    "loss",
    lambda rng: (
        positive(rng, 2, 6, low=0.05, high=0.95),
        jnp.asarray(rng.integers(0, 2, (2, 6)), jnp.float32),
    ),
    Twin("denominator constant", "path|term", "probs", "The sum below is not derived."),
    Twin("over the batch", "sum|axis", "probs", "Sums run over all images."),
    options=lambda plain: {"nondiff": ("mask",)},
    fixed=(1,),
    scales=(0.5, 1.0),
)
def dice_loss(slip):
    @jax.custom_vjp
    def dice(probs, mask):
        mask = lax.stop_gradient(mask)
        both = (probs * mask).sum(-1)
        return (1 - (2 * both + 1) / (probs.sum(-1) + mask.sum(-1) + 1)).mean()

    def fwd(probs, mask):
        return dice.fun(probs, mask), (probs, mask)

    def bwd(res, g):
        probs, mask = res
        axis = None if slip == "over the batch" else -1
        above = 2 * (probs * mask).sum(axis, keepdims=True) + 1
        below = (probs + mask).sum(axis, keepdims=True) + 1
        d = -2 * mask / below
        if slip != "denominator constant":
            d = d + above / below**2
        return g * d / len(probs), None

    dice.defvjp(fwd, bwd)
    return dice, dice.fun


@case(
    "SimCLR's loss on unit rows",
    "contrastive loss",
    lambda rng: (unit_rows(rng, 6, 4), 0.5),
    Twin("rows only", "term|path|transpose", "z", "The rows as keys have no gradient."),
    Twin("self not masked", "mask", "z", "Each row counts as its own negative."),
    Twin(
        "temperature fixed",
        "option|ratio|constant",
        "z",
        "The temperature is 0.5.",
        witness=lambda rng: (unit_rows(rng, 6, 4), 0.1),
    ),
)
def nt_xent(slip):
    def logits(z, temperature):
        s = z @ z.T / temperature
        return jnp.where(jnp.eye(len(z), dtype=bool), -1e9, s)

    def plain(z, temperature):
        partner = (jnp.arange(len(z)) + len(z) // 2) % len(z)
        logp = jax.nn.log_softmax(logits(z, temperature))
        return -jnp.take_along_axis(logp, partner[:, None], 1).mean()

    loss = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(z, temperature):
        return plain(z, temperature), z

    def bwd(temperature, z, g):
        n = len(z)
        temperature = 0.5 if slip == "temperature fixed" else temperature
        s = logits(z, temperature)
        if slip == "self not masked":
            s = z @ z.T / temperature
        target = jnp.roll(jnp.eye(n, dtype=z.dtype), n // 2, 1)
        ds = (jax.nn.softmax(s) - target) * g / (n * temperature)
        return (ds @ z if slip == "rows only" else (ds + ds.T) @ z,)

    loss.defvjp(fwd, bwd)
    return loss, plain


@case(
    "direct preference optimisation in JAX trainers",
    "loss",
    lambda rng: (*draw(a=(5,), b=(5,), c=(5,), d=(5,))(rng), 0.1),
    Twin(
        "sign of the rejected", "sign", "rejected", "Both log-probabilities pull alike."
    ),
    Twin("beta forgotten", "ratio|factor|option", "chosen rejected", "Not times beta."),
    options=lambda plain: {"nondiff": ("ref_chosen", "ref_rejected")},
)
def dpo_loss(slip):
    def margin(chosen, rejected, ref_chosen, ref_rejected, beta):
        fixed = lax.stop_gradient(ref_chosen - ref_rejected)
        return beta * (chosen - rejected - fixed)

    def plain(chosen, rejected, ref_chosen, ref_rejected, beta):
        m = margin(chosen, rejected, ref_chosen, ref_rejected, beta)
        return -jax.nn.log_sigmoid(m).mean()

    dpo = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(*args):
        return plain(*args), margin(*args)

    def bwd(beta, m, g):
        scale = 1.0 if slip == "beta forgotten" else beta
        d = -g * scale * jax.nn.sigmoid(-m) / len(m)
        return d, d if slip == "sign of the rejected" else -d, None, None

    dpo.defvjp(fwd, bwd)
    return dpo, plain


@case(
    "rlax's advantages, by a scan from the end",
    "returns",
    lambda rng: (normal(rng, 6), normal(rng, 7), 0.9, 0.8),
    Twin(
        "discount twice",
        "ratio|factor|option|function",
        "rewards values",
        "The carry decays by gamma^2 lambda.",
    ),
    Twin(
        "next values dropped",
        "path|term|index",
        "values",
        "Values as targets have no gradient.",
    ),
    options=by_reference,
)
def gae_scan(slip):
    def plain(rewards, values, gamma, decay):
        deltas = rewards + gamma * values[1:] - values[:-1]
        weights = np.tril(np.ones((len(rewards),) * 2)) * (gamma * decay) ** np.maximum(
            np.arange(len(rewards))[:, None] - np.arange(len(rewards)), 0
        )
        return jnp.asarray(weights.T, deltas.dtype) @ deltas

    def run(rewards, values, gamma, decay):
        deltas = rewards + gamma * values[1:] - values[:-1]

        def step(carry, d):
            new = d + gamma * decay * carry
            return new, new

        return lax.scan(step, jnp.zeros((), deltas.dtype), deltas, reverse=True)[1]

    gae = jax.custom_vjp(run, nondiff_argnums=(2, 3))

    def fwd(rewards, values, gamma, decay):
        return run(rewards, values, gamma, decay), None

    def bwd(gamma, decay, _, g):
        rate = gamma * decay * (gamma if slip == "discount twice" else 1)

        def step(carry, g):
            new = g + rate * carry
            return new, new

        d = lax.scan(step, jnp.zeros((), g.dtype), g)[1]
        zero = jnp.zeros(1, d.dtype)
        ahead = jnp.concatenate([zero, gamma * d])
        if slip == "next values dropped":
            ahead = jnp.zeros_like(ahead)
        return d, ahead - jnp.concatenate([d, zero])

    gae.defvjp(fwd, bwd)
    return gae, plain


@case(
    "quantile regression of distributional agents",
    "loss",
    lambda rng: (normal(rng, 5), normal(rng, 4), 1.0),
    Twin(
        "tau unweighted",
        "factor|operand|mask|predicate",
        "quantiles",
        "Over- and underestimation weigh the same.",
    ),
    Twin(
        "not clipped",
        "mask|region|predicate|function",
        "quantiles",
        "Large errors pull quadratically.",
        witness=lambda rng: (normal(rng, 5, std=3.0), normal(rng, 4), 1.0),
    ),
    options=lambda plain: {"nondiff": ("target",)},
)
def quantile_huber(slip):
    def plain(quantiles, target, kappa):
        n = len(quantiles)
        tau = (jnp.arange(n, dtype=quantiles.dtype) + 0.5) / n
        u = lax.stop_gradient(target) - quantiles[:, None]
        small = jnp.minimum(jnp.abs(u), kappa)
        huber = small * (jnp.abs(u) - 0.5 * small) / kappa
        side = jnp.abs(tau[:, None] - (u < 0))
        return (side * huber).mean(1).sum()

    loss = jax.custom_vjp(plain, nondiff_argnums=(2,))

    def fwd(quantiles, target, kappa):
        return plain(quantiles, target, kappa), (quantiles, target)

    def bwd(kappa, res, g):
        quantiles, target = res
        n = len(quantiles)
        tau = (jnp.arange(n, dtype=quantiles.dtype) + 0.5) / n
        u = target - quantiles[:, None]
        side = jnp.abs(tau[:, None] - (u < 0))
        if slip == "tau unweighted":
            side = jnp.full_like(u, 0.5)
        slope = u if slip == "not clipped" else jnp.clip(u, -kappa, kappa)
        return -g * (side * slope / kappa).mean(1), None

    loss.defvjp(fwd, bwd)
    return loss, plain

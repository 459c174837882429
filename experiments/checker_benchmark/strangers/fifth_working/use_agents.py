"""Parts of agents: squashed samples, and temporal differences with priorities."""

import jax
import jax.numpy as jnp

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


def actor(rng):
    return normal(rng, 4, 3), normal(rng, 4, 3, std=0.5), normal(rng, 4, 3), -5.0, 2.0


def wide_actor(rng):
    mean, _, noise, low, high = actor(rng)
    return mean, 2 + normal(rng, 4, 3, std=0.5), noise, low, high


@case(
    "actions of SAC with their log-probability: a squashed Gaussian, noise given",
    "sampling with two outputs",
    actor,
    Twin(
        "clipped deviations",
        "mask|region|predicate",
        "log_std",
        "Logarithms that were clipped have a gradient.",
        witness=wide_actor,
    ),
    Twin(
        "sample in the density",
        "term|path",
        "mean log_std noise",
        "That the log-probability is that of a sample that moves is forgotten.",
    ),
    Twin(
        "slope of tanh",
        "factor|ratio|operand|function",
        "mean log_std noise",
        "The action's cotangent is multiplied by 1 - tanh, not by 1 - tanh squared.",
    ),
    narrow=False,
)
def squashed_gaussian_sample(slip):
    def sample(mean, log_std, noise, low, high):
        std = jnp.exp(jnp.clip(log_std, low, high))
        return std, mean + std * noise

    def plain(mean, log_std, noise, low, high):
        _, u = sample(mean, log_std, noise, low, high)
        log_std = jnp.clip(log_std, low, high)
        gauss = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2 * jnp.pi)
        squash = 2 * (jnp.log(2.0) - u - jax.nn.softplus(-2 * u))
        return jnp.tanh(u), (gauss - squash).sum(-1)

    draw = jax.custom_vjp(plain, nondiff_argnums=(3, 4))

    def fwd(mean, log_std, noise, low, high):
        return plain(mean, log_std, noise, low, high), (mean, log_std, noise)

    def bwd(low, high, res, g):
        mean, log_std, noise = res
        std, u = sample(mean, log_std, noise, low, high)
        daction, dlog = g[0], g[1][:, None]
        slope = 4 * jax.nn.sigmoid(2 * u) * jax.nn.sigmoid(-2 * u)
        if slip == "slope of tanh":
            slope = 1 - jnp.tanh(u)
        du = daction * slope
        if slip != "sample in the density":
            du = du + dlog * 2 * jnp.tanh(u)
        dstd = du * std * noise - dlog
        if slip != "clipped deviations":
            dstd = jnp.where((log_std > low) & (log_std < high), dstd, 0)
        return du, dstd, du * std - dlog * noise

    draw.defvjp(fwd, bwd)
    return draw, plain


def replayed(rng):
    heads = {"value": normal(rng, 6, 1), "advantage": normal(rng, 6, 4)}
    weights = positive(rng, 6, low=0.3, high=1.0)
    return heads, integers(rng, 4, 6), normal(rng, 6), weights, 1.0


@case(
    "duelling heads with a Huber loss and priorities of replay, in ports of Rainbow",
    "value loss with two outputs",
    replayed,
    Twin(
        "mean of the advantages",
        "term|path|sum",
        "heads",
        "The advantages' mean is taken off in the forward pass only.",
    ),
    Twin(
        "priorities",
        "term|path|cotangent",
        "heads target",
        "The cotangent of the priorities is dropped.",
    ),
    Twin(
        "importance",
        "factor|operand|ratio",
        "heads target",
        "The errors' gradient is not multiplied by the weights.",
    ),
    narrow=False,
)
def prioritized_td_loss(slip):
    def errors(heads, action, target):
        advantage = heads["advantage"]
        taken = jnp.take_along_axis(advantage, action[:, None], 1)
        q = heads["value"] + taken - advantage.mean(1, keepdims=True)
        return target - q[:, 0]

    def huber(td, delta):
        size = jnp.abs(td)
        return jnp.where(size <= delta, 0.5 * td * td, delta * (size - 0.5 * delta))

    def plain(heads, action, target, weights, delta):
        td = errors(heads, action, target)
        return (weights * huber(td, delta)).mean(), jnp.abs(td)

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(heads, action, target, weights, delta):
        return plain(heads, action, target, weights, delta), (
            heads,
            action,
            target,
            weights,
        )

    def bwd(delta, res, g):
        heads, action, target, weights = res
        td = errors(heads, action, target)
        dloss = g[0] / len(td)
        importance = 1 if slip == "importance" else weights
        dtd = dloss * importance * jnp.clip(td, -delta, delta)
        if slip != "priorities":
            dtd = dtd + g[1] * jnp.sign(td)
        actions = heads["advantage"].shape[1]
        shares = jax.nn.one_hot(action, actions, dtype=td.dtype)
        if slip != "mean of the advantages":
            shares = shares - 1 / actions
        dq = -dtd[:, None]
        dheads = {"value": dq, "advantage": dq * shares}
        return dheads, None, dtd, dloss * huber(td, delta)

    loss.defvjp(fwd, bwd)
    return loss, plain

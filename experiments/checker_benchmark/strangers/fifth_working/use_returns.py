"""Returns and value losses of reinforcement learning, by scans written by hand."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
)

CASES: list[Stranger] = []
case = collect(CASES)


def rollout(rng):
    value, reward = normal(rng, 6), normal(rng, 6)
    ratio = jnp.exp(normal(rng, 6, std=0.3))
    return value, normal(rng), reward, jnp.full(6, 0.9, jnp.float32), ratio, 1.0, 1.0


@case(
    "V-trace targets and advantages of IMPALA in rlax, with gradients into the values",
    "returns with two outputs",
    rollout,
    Twin(
        "trace of the same step",
        "index|residual|operand",
        "value bootstrap reward discount ratio",
        "The adjoint recurrence has the trace of its own step, not the one before.",
    ),
    Twin(
        "clipped ratios",
        "mask|region|predicate",
        "ratio",
        "Ratios above the threshold have a gradient.",
    ),
    Twin(
        "targets in the advantages",
        "term|path|index",
        "value bootstrap reward discount ratio",
        "The advantages' cotangent does not reach the next targets.",
    ),
    fixed=(3, 4),
    narrow=False,
)
def vtrace_targets(slip):
    def shift(x, last):
        return jnp.append(x[1:], last)

    def errors(td, decay):
        def step(later, now):
            error = now[0] + now[1] * later
            return error, error

        return lax.scan(step, jnp.zeros_like(td[0]), (td, decay), reverse=True)[1]

    def plain(value, bootstrap, reward, discount, ratio, most_rho, most_c):
        rho, c = jnp.minimum(most_rho, ratio), jnp.minimum(most_c, ratio)
        td = reward + discount * shift(value, bootstrap) - value
        target = value + errors(rho * td, discount * c)
        advantage = reward + discount * shift(target, bootstrap) - value
        return target, rho * advantage

    vtrace = jax.custom_vjp(plain, nondiff_argnums=(5, 6))

    def fwd(value, bootstrap, reward, discount, ratio, most_rho, most_c):
        out = plain(value, bootstrap, reward, discount, ratio, most_rho, most_c)
        return out, (value, bootstrap, reward, discount, ratio, out[0])

    def bwd(most_rho, most_c, res, g):
        value, bootstrap, reward, discount, ratio, target = res
        rho, c = jnp.minimum(most_rho, ratio), jnp.minimum(most_c, ratio)
        ahead, error = shift(value, bootstrap), target - value
        later = shift(target, bootstrap)
        td = reward + discount * ahead - value

        dadvantage = g[1] * rho
        drho = g[1] * (reward + discount * later - value)
        dlater = dadvantage * discount
        dtarget = g[0]
        if slip != "targets in the advantages":
            dtarget = dtarget.at[1:].add(dlater[:-1])

        decay = discount * c
        into = decay
        if slip != "trace of the same step":
            into = jnp.append(jnp.zeros_like(decay[:1]), decay[:-1])

        def step(before, now):
            m = now[0] + now[1] * before
            return m, m

        m = lax.scan(step, jnp.zeros_like(td[0]), (dtarget, into))[1]
        dtd, dc = m * rho, m * discount * shift(error, 0)
        drho = drho + m * td
        dahead = dtd * discount
        dvalue = dtarget - dtd - dadvantage
        dvalue = dvalue.at[1:].add(dahead[:-1])
        ddiscount = dadvantage * later + dtd * ahead + m * c * shift(error, 0)
        if slip != "clipped ratios":
            drho = jnp.where(ratio < most_rho, drho, 0)
            dc = jnp.where(ratio < most_c, dc, 0)
        last = dlater[-1] + dahead[-1]
        return dvalue, last, dadvantage + dtd, ddiscount, drho + dc

    vtrace.defvjp(fwd, bwd)
    return vtrace, plain


def imagined(rng):
    keep = jnp.full((5, 3), 0.95, jnp.float32)
    return {"reward": normal(rng, 5, 3), "value": normal(rng, 5, 3), "keep": keep}, 0.9


@case(
    "lambda returns of Dreamer, over imagined trajectories in a dictionary",
    "returns",
    imagined,
    Twin(
        "mixed the other way",
        "swap|factor|ratio|operand",
        "path",
        "The values get lambda and the returns get one minus lambda.",
    ),
    Twin(
        "last value",
        "term|path|index|factor|ratio",
        "path",
        "The last value's gradient is that of the others, though it ends the returns.",
    ),
    Twin(
        "bootstrap of returns",
        "operand|residual",
        "path",
        "The discount's gradient has the next returns for the mixture with values.",
    ),
    narrow=False,
)
def lambda_returns(slip):
    def scan(path, mix):
        def step(later, now):
            mixed = (1 - mix) * now["value"] + mix * later
            total = now["reward"] + now["keep"] * mixed
            return total, (total, mixed)

        return lax.scan(step, path["value"][-1], path, reverse=True)[1]

    def plain(path, mix):
        return scan(path, mix)[0]

    returns = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(path, mix):
        total, mixed = scan(path, mix)
        return total, (total, mixed, path)

    def bwd(mix, res, g):
        total, mixed, path = res
        one, other = (1 - mix, mix)
        if slip == "mixed the other way":
            one, other = other, one

        def step(carry, now):
            m = now[0] + carry
            return other * now[1] * m, m

        last, m = lax.scan(step, jnp.zeros_like(g[0]), (g, path["keep"]))
        dvalue = one * path["keep"] * m
        if slip != "last value":
            dvalue = dvalue.at[-1].add(last)
        if slip == "bootstrap of returns":
            mixed = jnp.concatenate([total[1:], path["value"][-1:]])
        return ({"reward": m, "value": dvalue, "keep": m * mixed},)

    returns.defvjp(fwd, bwd)
    return returns, plain


def minibatch(rng):
    old = normal(rng, 8)
    value = old + normal(rng, 8, std=0.3)
    return value, old, normal(rng, 8), jnp.ones(8, bool), 0.2


def padded(rng):
    value, old, returns, _, clip = minibatch(rng)
    return value, old, returns, jnp.arange(8) < 5, clip


@case(
    "clipped value loss of PPO with a mask, as in purejaxrl and TRL ports",
    "value loss",
    minibatch,
    Twin(
        "cut wherever clipped",
        "mask|region|predicate",
        "value",
        "There is no gradient where the value is clipped, though that loss be smaller.",
    ),
    Twin(
        "mean of all",
        "ratio|factor|mask|sum",
        "value old returns",
        "Divided by the size of the padded batch.",
        witness=padded,
    ),
    Twin(
        "error of the value",
        "operand|residual",
        "returns",
        "Where the clipped loss counts, the returns get the error that is not clipped.",
    ),
)
def clipped_value_loss(slip):
    def pieces(value, old, returns, clip):
        kept = old + jnp.clip(value - old, -clip, clip)
        raw, cut = value - returns, kept - returns
        return raw, cut, cut**2 > raw**2, jnp.abs(value - old) > clip

    def plain(value, old, returns, mask, clip):
        raw, cut, _, _ = pieces(value, old, returns, clip)
        each = 0.5 * jnp.maximum(raw**2, cut**2)
        count = jnp.maximum(mask.sum(), 1).astype(each.dtype)
        return jnp.where(mask, each, 0).sum() / count

    loss = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(value, old, returns, mask, clip):
        return plain(value, old, returns, mask, clip), (value, old, returns, mask)

    def bwd(clip, res, g):
        value, old, returns, mask = res
        raw, cut, larger, outside = pieces(value, old, returns, clip)
        count = mask.size if slip == "mean of all" else jnp.maximum(mask.sum(), 1)
        each = jnp.where(mask, g / jnp.asarray(count, g.dtype), 0)
        held = outside if slip == "cut wherever clipped" else outside & larger
        dvalue = jnp.where(held, 0, each * raw)
        dold = jnp.where(outside & larger, each * cut, 0)
        error = jnp.where(outside & larger, cut, raw)
        if slip == "error of the value":
            error = raw
        return dvalue, dold, -each * error, None

    loss.defvjp(fwd, bwd)
    return loss, plain

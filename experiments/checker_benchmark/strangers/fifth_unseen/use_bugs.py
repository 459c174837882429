"""Bugs with their threads: ties, thresholds, and indices beyond the end."""

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


def two_models(rng):
    return jax.nn.softmax(normal(rng, 4, 6)), jax.nn.softmax(normal(rng, 4, 6))


def padded_vocabulary(rng):
    p, q = two_models(rng)
    return p.at[:, 4:].set(0), q.at[:, 4:].set(0)


@case(
    "linkedin/Liger-Kernel#1373",
    "loss of distillation",
    two_models,
    Twin(
        "as reported",
        "edge|mask|region|predicate|sign|function",
        "p q",
        "Where both probabilities are the same, the gradient is that of a smaller p.",
        witness=padded_vocabulary,
    ),
    kind="bug",
    name="tvd_loss Liger-Kernel#1373",
    fixed=(0, 1),
)
def tvd_loss(slip):
    @jax.custom_vjp
    def loss(p, q):
        return 0.5 * (jnp.maximum(p, q) - jnp.minimum(p, q)).sum() / len(p)

    def fwd(p, q):
        return loss.fun(p, q), (p, q)

    def bwd(res, g):
        p, q = res
        sign = jnp.where(p > q, 1.0, -1.0) if slip else jnp.sign(p - q)
        dp = (0.5 * g / len(p) * sign).astype(p.dtype)
        return dp, -dp

    loss.defvjp(fwd, bwd)
    return loss, loss.fun


@case(
    "BobMcDear/attorch#13",
    "loss",
    lambda rng: (normal(rng, 6, 4), normal(rng, 6, 4), 1.0),
    Twin(
        "as reported",
        "mask|region|predicate|sign|function|forward",
        "x y",
        "Differences below minus beta are on the quadratic piece.",
    ),
    kind="bug",
    name="smooth_l1 attorch#13",
)
def smooth_l1(slip):
    def value(x, y, beta, signed):
        d = x - y
        near = (d if signed else jnp.abs(d)) < beta
        return jnp.where(near, 0.5 * d * d / beta, jnp.abs(d) - 0.5 * beta).mean()

    def plain(x, y, beta):
        return value(x, y, beta, False)

    def run(x, y, beta):
        return value(x, y, beta, bool(slip))

    loss = jax.custom_vjp(run, nondiff_argnums=(2,))

    def fwd(x, y, beta):
        return run(x, y, beta), (x, y)

    def bwd(beta, res, g):
        x, y = res
        d = x - y
        near = (d if slip else jnp.abs(d)) < beta
        dx = g / d.size * jnp.where(near, d / beta, jnp.sign(d))
        return dx, -dx

    loss.defvjp(fwd, bwd)
    return loss, plain


def same(rng):
    x = normal(rng, 10)
    return x, x


@case(
    "Theano/Theano#6470",
    "elementwise",
    lambda rng: (normal(rng, 10), normal(rng, 10)),
    Twin(
        "as reported",
        "edge|mask|region|predicate|ratio|factor|sum",
        "x y",
        "Where both are the same, each of them gets the whole cotangent.",
        witness=same,
    ),
    kind="bug",
    name="minimum Theano#6470",
)
def minimum(slip):
    @jax.custom_vjp
    def least(x, y):
        return jnp.minimum(x, y)

    def fwd(x, y):
        return least.fun(x, y), (x, y)

    def bwd(res, g):
        x, y = res
        tied = g if slip else g / 2
        dx = jnp.where(x == y, tied, jnp.where(x < y, g, 0))
        dy = jnp.where(x == y, tied, jnp.where(y < x, g, 0))
        return dx, dy

    least.defvjp(fwd, bwd)
    return least, least.fun


@case(
    "apache/mxnet#18563",
    "reduction",
    lambda rng: (normal(rng, 4, 3), 0),
    Twin(
        "as reported",
        "edge|mask|region|predicate|ratio|factor|sum",
        "x",
        "Each of the entries that are the largest gets the whole cotangent.",
        witness=lambda rng: (jnp.ones((4, 3), jnp.float32), 0),
    ),
    kind="bug",
    name="max_over_axis mxnet#18563",
)
def max_over_axis(slip):
    def plain(x, axis):
        return x.max(axis)

    most = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axis):
        y = plain(x, axis)
        return y, (x, y)

    def bwd(axis, res, g):
        x, y = res
        here = x == jnp.expand_dims(y, axis)
        g = jnp.expand_dims(g, axis)
        if not slip:
            g = g / here.sum(axis, keepdims=True).astype(g.dtype)
        return (jnp.where(here, g, 0),)

    most.defvjp(fwd, bwd)
    return most, plain


@case(
    "jax-ml/jax#40626",
    "scatter",
    lambda rng: (normal(rng, 5), integers(rng, 5, 4), normal(rng, 4)),
    Twin(
        "as reported",
        "edge|nan|finite|index",
        "x",
        "Indices beyond the end are clipped, but do not count as uses of a place.",
        witness=lambda rng: (
            normal(rng, 5),
            jnp.array([-3, 8, 2], jnp.int32),
            normal(rng, 3),
        ),
    ),
    kind="bug",
    name="scatter_max jax#40626",
)
def scatter_max(slip):
    @jax.custom_vjp
    def write(x, index, new):
        return x.at[jnp.clip(index, 0, len(x) - 1)].max(new)

    def fwd(x, index, new):
        y = write.fun(x, index, new)
        return y, (x, index, new, y)

    def bwd(res, g):
        x, index, new, y = res
        at = jnp.clip(index, 0, len(x) - 1)
        counted = jnp.where(index < 0, len(x), index) if slip else at
        won = (new == y[at]).astype(g.dtype)
        kept = x[at] == y[at]
        zero = jnp.zeros_like(g)
        winners = zero.at[at].add(won)[at]
        uses = zero.at[counted].add(1, mode="drop")[at]
        share = 1 / jnp.where(kept, winners + 1, jnp.maximum(winners, 1))
        dnew = won * share * g[at]
        left = (jnp.where(kept, share, 0) - 1) / uses
        return g.at[at].add(left * g[at]), None, dnew

    write.defvjp(fwd, bwd)
    return write, write.fun


@case(
    "pytorch/pytorch#51408",
    "activation",
    lambda rng: (normal(rng, 4, 4),),
    Twin(
        "as reported",
        "mask|region|predicate|edge",
        "x",
        "Below minus three, where it is flat, the slope is a sixth.",
        witness=lambda rng: (jnp.asarray(rng.uniform(-5, -2, (4, 4)), jnp.float32),),
    ),
    kind="bug",
    name="hardsigmoid pytorch#51408",
)
def hardsigmoid(slip):
    @jax.custom_vjp
    def gate(x):
        return jnp.clip(x + 3, 0, 6) / 6

    def fwd(x):
        return gate.fun(x), x

    def bwd(x, g):
        inside = x < 3
        if not slip:
            inside = inside & (x > -3)
        return (jnp.where(inside, g / 6, 0),)

    gate.defvjp(fwd, bwd)
    return gate, gate.fun

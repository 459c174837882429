"""Losses over samples of a large table, and over bins of a value."""

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


def candidates(rng):
    labels, drawn = integers(rng, 12, 6), integers(rng, 12, 5)
    table = {"kernel": normal(rng, 12, 4, std=0.5), "bias": jnp.zeros(12)}
    rates = jnp.log(5 / (jnp.arange(12) + 2.0)).astype(jnp.float32)
    return normal(rng, 6, 4), table, labels, drawn, rates


def with_a_hit(rng):
    hidden, table, labels, _, rates = candidates(rng)
    return hidden, table, labels, labels[:5], rates


@case(
    "sampled softmax of recommenders, corrected for the rates, accidental hits removed",
    "loss of a large vocabulary",
    candidates,
    Twin(
        "accidental hits",
        "mask|region|predicate",
        "hidden table rates",
        "Draws that are the label itself count in the gradient.",
        witness=with_a_hit,
    ),
    Twin(
        "label and draws",
        "duplicates|index|sum|term|path",
        "table",
        "Rows that are both drawn and a label keep one of the gradients.",
        witness=with_a_hit,
    ),
    Twin(
        "sign of the correction",
        "sign|ratio",
        "rates",
        "The logarithms of the rates are subtracted; their gradient is added.",
    ),
    fixed=(4,),
    narrow=False,
)
def sampled_softmax_loss(slip):
    def logits(hidden, table, labels, drawn, rates):
        shifted = table["bias"] - rates
        own = (hidden * table["kernel"][labels]).sum(-1) + shifted[labels]
        other = hidden @ table["kernel"][drawn].T + shifted[drawn]
        hit = labels[:, None] == drawn
        return own, other, hit

    def joined(own, other, hit):
        return jnp.column_stack([own, jnp.where(hit, -jnp.inf, other)])

    def plain(hidden, table, labels, drawn, rates):
        every = joined(*logits(hidden, table, labels, drawn, rates))
        return jax.nn.logsumexp(every, -1) - every[:, 0]

    loss = jax.custom_vjp(plain)

    def fwd(hidden, table, labels, drawn, rates):
        given = (hidden, table, labels, drawn, rates)
        return plain(*given), given

    def bwd(res, g):
        hidden, table, labels, drawn, _ = res
        own, other, hit = logits(*res)
        if slip == "accidental hits":
            hit = jnp.zeros_like(hit)
        p = jax.nn.softmax(joined(own, other, hit))
        down, dother = g * (p[:, 0] - 1), g[:, None] * p[:, 1:]
        kernel = table["kernel"]
        dhidden = down[:, None] * kernel[labels] + dother @ kernel[drawn]

        def put(like, first, second):
            d = jnp.zeros_like(like).at[drawn].add(second)
            if slip == "label and draws":
                return d.at[labels].set(first)
            return d.at[labels].add(first)

        dkernel = put(kernel, down[:, None] * hidden, dother.T @ hidden)
        dbias = put(table["bias"], down, dother.sum(0))
        shift = jnp.zeros_like(dbias).at[drawn].add(dother.sum(0)).at[labels].add(down)
        drates = shift if slip == "sign of the correction" else -shift
        return dhidden, {"kernel": dkernel, "bias": dbias}, None, None, drates

    loss.defvjp(fwd, bwd)
    return loss, plain


def critic(rng):
    return normal(rng, 5, 9), normal(rng, 5, std=3.0), -4.0, 4.0


@case(
    "two-hot losses of values in symlog bins (Dreamer), targets that may learn",
    "value loss",
    critic,
    Twin(
        "slope of symlog",
        "factor|ratio|function",
        "target",
        "The target's gradient is that of its symlog.",
    ),
    Twin(
        "nearest bin",
        "index|mask|region|function|elements",
        "logits",
        "The labels are one-hot at the nearest bin.",
    ),
    Twin(
        "neighbours swapped",
        "sign|swap|ratio",
        "target",
        "The lower bin's share is taken to grow with the target.",
    ),
    narrow=False,
)
def two_hot_value_loss(slip):
    def bins(logits, target, low, high):
        last = logits.shape[-1] - 1
        low_side = target < 0
        size = jnp.log1p(jnp.where(low_side, -target, target))
        place = jnp.where(low_side, -size, size)
        place = (place - low) / (high - low) * last
        inside = (place > 0) & (place < last)
        place = jnp.clip(place, 0, last)
        left = jnp.minimum(jnp.floor(place), last - 1).astype(jnp.int32)
        return left, place - left, inside

    def two(logits, left, share):
        n = logits.shape[-1]
        lower = jax.nn.one_hot(left, n, dtype=logits.dtype)
        upper = jax.nn.one_hot(left + 1, n, dtype=logits.dtype)
        return (1 - share)[:, None] * lower + share[:, None] * upper

    def plain(logits, target, low, high):
        left, share, _ = bins(logits, target, low, high)
        log_p = jax.nn.log_softmax(logits)
        return -(two(logits, left, share) * log_p).sum(-1)

    loss = jax.custom_vjp(plain, nondiff_argnums=(2, 3))

    def fwd(logits, target, low, high):
        return plain(logits, target, low, high), (logits, target)

    def bwd(low, high, res, g):
        logits, target = res
        left, share, inside = bins(logits, target, low, high)
        label = two(logits, left, share)
        if slip == "nearest bin":
            label = two(logits, left, jnp.round(share))
        dlogits = g[:, None] * (jax.nn.softmax(logits) - label)
        log_p = jax.nn.log_softmax(logits)
        steps = jnp.take_along_axis(log_p, jnp.stack([left, left + 1], 1), 1)
        dshare = g * (steps[:, 0] - steps[:, 1])
        if slip == "neighbours swapped":
            dshare = -dshare
        slope = (logits.shape[-1] - 1) / (high - low)
        dtarget = jnp.where(inside, dshare * slope, 0)
        if slip != "slope of symlog":
            dtarget = dtarget / (1 + jnp.abs(target))
        return dlogits, dtarget

    loss.defvjp(fwd, bwd)
    return loss, plain

"""The last linear layer and its loss by definition: arguments, options, all logits.

The plain form is what `jax.grad` differentiates to judge the rule.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxninja.rule import along_last, expect, expect_floats
from jaxninja.rules.losses import arguments, chunks


class Options(NamedTuple):
    """The static arguments, together."""

    ignore_index: int
    reduction: str
    smoothing: float
    cap: float | None
    z_loss: float
    chunk: int | None


def dense(x, W, b, labels, *static):
    """The plain form, with all the logits at once; NaN where a row to ignore has it."""
    options = Options(*static)
    check_arguments(x, W, b, labels, options)
    labels = arguments.signed(labels)
    z = logits(x, W, b, options)
    m = lax.stop_gradient(z.max(1))
    shifted = z - m[:, None]
    log_sum = jnp.log(jnp.exp(shifted).sum(1))
    index = jnp.clip(labels, 0, W.shape[1] - 1)[:, None]
    picked = jnp.take_along_axis(shifted, index, 1)[:, 0]
    spread = shifted.mean(1) if options.smoothing else 0.0
    return loss_from(picked, spread, m, log_sum, labels, W, options)


def logits(x, W, b, options):
    """z [N, V], or those of the columns of W and b that are given."""
    a = chunks.product(x, W)
    a = a if b is None else a + along_last(b.astype(a.dtype), a)
    return a if options.cap is None else options.cap * jnp.tanh(a / options.cap)


def loss_from(picked, spread, m, log_sum, labels, W, options):
    """The loss from z[label] - m, mean_v (z - m), m and log sum e^(z - m), all [N]."""
    counts = labels != options.ignore_index
    unknown = counts & ((labels < 0) | (labels >= W.shape[1]))
    picked = jnp.where(unknown, jnp.nan, picked)
    target = (1 - options.smoothing) * picked + options.smoothing * spread
    rows = log_sum - target + options.z_loss * (m + log_sum) ** 2
    rows = jnp.where(counts, rows, 0)
    if options.reduction == "none":
        return rows
    return rows.sum() / counts.sum().clip(1).astype(rows.dtype)


def weights(labels, options, dtype):
    """d(loss) / d(loss of row n): 1 or 0, over the rows that count for the mean."""
    counts = (labels != options.ignore_index).astype(dtype)
    return counts if options.reduction == "none" else counts / counts.sum().clip(1)


def check_arguments(x, W, b, labels, options):
    check = partial(expect, "linear_cross_entropy")

    def shape(name, array, expected, fits):
        check(name, f"of shape {array.shape}", expected, fits)

    def option(name, value, expected, fits):
        check(name, repr(value), expected, fits)

    shape("x", x, "[N, D], not empty", x.ndim == 2 and x.size > 0)
    N, D = x.shape
    fits = W.ndim == 2 and len(W) == D and W.size > 0
    shape("W", W, f"[{D}, V], as x is {x.shape}", fits)
    expect_floats("linear_cross_entropy", x=x)
    expect_floats("linear_cross_entropy", W=W)
    if b is not None:
        shape("b", b, f"[{W.shape[1]}], as W is {W.shape}", b.shape == W.shape[1:])
        expect_floats("linear_cross_entropy", b=b)
    arguments.classes("linear_cross_entropy", labels, N, f"x is {x.shape}")
    _, reduction, s, cap, k, chunk = options
    arguments.options("linear_cross_entropy", reduction, s, k)
    option("softcap", cap, "None or a number above 0", cap is None or cap > 0)
    option("chunk", chunk, "None, or 1 or more", chunk is None or chunk >= 1)

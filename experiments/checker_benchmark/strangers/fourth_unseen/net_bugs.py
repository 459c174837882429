"""Bugs of layers with their threads: windows, gates, states, tails and options."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


@case(
    "jmschrei/cherimoya#25",
    "convolution",
    lambda rng: (normal(rng, 2, 9, 3), normal(rng, 3, 3), jnp.zeros(3), 2),
    Twin(
        "as reported",
        "term|sum|duplicates|index|path",
        "x",
        "The three taps load, add and store the same entries: the last store remains.",
    ),
    kind="bug",
    name="dilated_conv cherimoya#25",
)
def dilated_conv(slip):
    def shifted(x, by):
        """x[:, l + by], zero beyond the ends."""
        padded = jnp.pad(x, ((0, 0), (abs(by), abs(by)), (0, 0)))
        return lax.dynamic_slice_in_dim(padded, abs(by) + by, x.shape[1], 1)

    def plain(x, w, bias, dilation):
        taps = (shifted(x, dilation * (i - 1)) * w[i] for i in range(3))
        return sum(taps) + bias

    conv = jax.custom_vjp(plain, nondiff_argnums=(3,))

    def fwd(x, w, bias, dilation):
        return plain(x, w, bias, dilation), (x, w)

    def bwd(dilation, res, g):
        x, w = res
        dx = jnp.zeros_like(x)
        place = jnp.arange(x.shape[1])
        for i in (1, 0, 2):
            to = place + dilation * (i - 1)
            to = jnp.where(to < 0, x.shape[1], to)  # beyond the ends: dropped
            if slip:
                dx = dx.at[:, to].set(g * w[i], mode="drop")
            else:
                dx = dx.at[:, to].add(g * w[i], mode="drop")
        seen = [shifted(x, dilation * (i - 1)) for i in range(3)]
        dw = jnp.stack([(g * s).sum((0, 1)) for s in seen])
        return dx, dw, g.sum((0, 1))

    conv.defvjp(fwd, bwd)
    return conv, plain


@case(
    "tensorflow/tensorflow#124833",
    "activation",
    lambda rng: (normal(rng, 3, 5),),
    Twin(
        "as reported",
        "edge|zero|precision|region|function",
        "x",
        "The slope is the output plus 1: where the output has rounded to -1, it is 0.",
        witness=lambda rng: (-positive(rng, 3, 5, low=39.0, high=45.0),),
    ),
    kind="bug",
    name="elu tensorflow#124833",
)
def elu(slip):
    @jax.custom_vjp
    def act(x):
        return jnp.where(x > 0, x, jnp.exp(jnp.where(x > 0, 0, x)) - 1)

    def fwd(x):
        y = act.fun(x)
        return y, (x, y)

    def bwd(res, g):
        x, y = res
        slope = y + 1 if slip else jnp.exp(jnp.where(x > 0, 0, x))
        return (jnp.where(x > 0, g, g * slope),)

    act.defvjp(fwd, bwd)
    return act, act.fun


@case(
    "FluxML/NNlib.jl#148",
    "softmax",
    lambda rng: (normal(rng, 4, 5), -1),
    Twin(
        "as reported",
        "axis|sum|option|operand|function",
        "x",
        "The softmax in the gradient is over the default axis, whatever was asked for.",
        witness=lambda rng: (normal(rng, 4, 5), 0),
    ),
    kind="bug",
    name="logsoftmax NNlib.jl#148",
)
def logsoftmax(slip):
    def plain(x, axis):
        shifted = x - lax.stop_gradient(x.max(axis, keepdims=True))
        return shifted - jnp.log(jnp.exp(shifted).sum(axis, keepdims=True))

    layer = jax.custom_vjp(plain, nondiff_argnums=(1,))

    def fwd(x, axis):
        return plain(x, axis), x

    def bwd(axis, x, g):
        p = jax.nn.softmax(x, axis=-1 if slip else axis)
        return (g - g.sum(axis, keepdims=True) * p,)

    layer.defvjp(fwd, bwd)
    return layer, plain


@case(
    "fla-org/flash-linear-attention#388",
    "convolution",
    lambda rng: (normal(rng, 2, 7, 3), normal(rng, 3, 4), jnp.zeros(3)),
    Twin(
        "as reported",
        "operand|residual|index",
        "weight",
        "All taps' weights see the input at the output's place, not at their own.",
    ),
    kind="bug",
    name="canon_conv flash-linear-attention#388",
)
def canon_conv(slip):
    def delayed(x, by):
        return jnp.pad(x, ((0, 0), (by, 0), (0, 0)))[:, : x.shape[1]]

    @jax.custom_vjp
    def layer(x, weight, bias):
        width = weight.shape[1]
        taps = (delayed(x, i) * weight[:, width - 1 - i] for i in range(width))
        return x + sum(taps) + bias

    def fwd(x, weight, bias):
        return layer.fun(x, weight, bias), (x, weight)

    def bwd(res, g):
        x, weight = res
        width, length = weight.shape[1], x.shape[1]
        dx, dweight = g, []
        for i in range(width):
            ahead = jnp.pad(g, ((0, 0), (0, i), (0, 0)))[:, i : i + length]
            dx = dx + ahead * weight[:, width - 1 - i]
            seen = x if slip else delayed(x, i)
            dweight.append((g * seen).sum((0, 1)))
        return dx, jnp.stack(dweight[::-1], -1), g.sum((0, 1))

    layer.defvjp(fwd, bwd)
    return layer, layer.fun

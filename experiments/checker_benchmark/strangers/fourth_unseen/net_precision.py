"""Layers in few bits or mixed precision, as large models are trained and tuned."""

import jax
import jax.numpy as jnp

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
)

CASES: list[Stranger] = []
case = collect(CASES)


def full_precision(args, dy):
    x, w = args
    return dy @ w.T, x.T @ dy


@case(
    "SwitchBack layers: int8 forward, gradients in full precision, in AQT style",
    "quantised dense layer",
    draw(x=(4, 6), w=(6, 6)),
    Twin(
        "not transposed",
        "transpose",
        "x",
        "The cotangent is multiplied by w: it is square, so the shapes agree.",
    ),
    Twin(
        "codes of the weights",
        "factor|operand|residual|ratio",
        "x",
        "The integers of the weights are used without their scale.",
    ),
    Twin(
        "codes of the rows",
        "factor|operand|residual|ratio",
        "w",
        "The weights' gradient takes the integers of the rows without their scales.",
    ),
    options=lambda plain: {"surrogate": full_precision},
    narrow=False,
)
def switchback_dense(slip):
    def quantise(a, axis):
        top = jnp.abs(a).max(axis, keepdims=True)
        scale = jnp.where(top > 0, top, 1) / 127
        return jnp.round(a / scale).astype(jnp.int8), scale

    @jax.custom_vjp
    def dense(x, w):
        (qx, sx), (qw, sw) = quantise(x, 1), quantise(w, None)
        y = jnp.dot(qx, qw, preferred_element_type=jnp.int32)
        return y.astype(x.dtype) * sx * sw

    def fwd(x, w):
        return dense.fun(x, w), (x, w)

    def bwd(res, g):
        x, w = res
        rows, weights = x, w
        if slip == "codes of the rows":
            rows = quantise(x, 1)[0].astype(x.dtype)
        if slip == "codes of the weights":
            weights = quantise(w, None)[0].astype(w.dtype)
        back = weights if slip == "not transposed" else weights.T
        return g @ back, rows.T @ g

    dense.defvjp(fwd, bwd)
    return dense, dense.fun

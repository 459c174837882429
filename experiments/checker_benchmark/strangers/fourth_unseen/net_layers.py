"""Layers: activations with parameters, normalisations, convolutions and products."""

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


@case(
    "PolyNorm of Liger-Kernel: normalised powers with learned weights",
    "activation with normalisation",
    lambda rng: (normal(rng, 4, 6), jnp.full(3, 1 / 3, jnp.float32), jnp.zeros(1)),
    Twin(
        "slope of the powers",
        "factor|function|ratio",
        "x",
        "The powers are pulled back without their exponents.",
    ),
    Twin(
        "length of the cube",
        "term|path",
        "x",
        "The mean square of the cube is taken for a constant.",
    ),
    Twin(
        "order of the weights",
        "swap|index|operand|transpose",
        "weight",
        "The gradients of the weights begin with the first power, not with the third.",
    ),
    narrow=False,
)
def poly_norm(slip):
    eps = 1e-6

    def pieces(x, power):
        u = x**power
        root = jax.lax.rsqrt((u * u).mean(-1, keepdims=True) + eps)
        return u * root, root

    @jax.custom_vjp
    def act(x, weight, bias):
        third, second, first = (pieces(x, p)[0] for p in (3, 2, 1))
        return weight[0] * third + weight[1] * second + weight[2] * first + bias

    def fwd(x, weight, bias):
        return act.fun(x, weight, bias), (x, weight)

    def bwd(res, g):
        x, weight = res
        dx, dweights = jnp.zeros_like(x), []
        for i, power in enumerate((3, 2, 1)):
            normed, root = pieces(x, power)
            dweights.append((g * normed).sum())
            dn = weight[i] * g
            inner = (dn * normed).mean(-1, keepdims=True)
            if slip == "length of the cube" and power == 3:
                inner = 0
            du = root * (dn - normed * inner)
            factor = 1 if slip == "slope of the powers" else power
            dx = dx + factor * x ** (power - 1) * du
        if slip == "order of the weights":
            dweights = dweights[::-1]
        return dx, jnp.stack(dweights), g.sum().reshape(1)

    act.defvjp(fwd, bwd)
    return act, act.fun


def leaky_start(rng):
    top = [0.02996348, 0.61690165, 2.37539147, 3.06608078, 1.52474449, 0.25281987]
    bottom = [1.19160814, 4.40811795, 0.91111034, 0.34885983]
    return normal(rng, 3, 8), jnp.array(top), jnp.array(bottom)


@case(
    "safe rational activations (Pade units) in flax, started as a leaky ReLU",
    "activation with learned parameters",
    leaky_start,
    Twin(
        "absolute value",
        "sign|factor|term",
        "x bottom",
        "The denominator's absolute value is pulled back as if it were none.",
    ),
    Twin(
        "denominator once",
        "function|factor|operand",
        "x bottom",
        "The quotient's part in the denominator is divided once, not twice.",
    ),
    Twin(
        "first power",
        "index|operand|factor",
        "bottom",
        "The powers of the denominator are counted from 0.",
    ),
    fixed=(1, 2),
    narrow=False,
)
def rational_activation(slip):
    def powers(x, count):
        return x[..., None] ** jnp.arange(count)

    def pieces(x, top, bottom):
        p = powers(x, len(top)) @ top
        inner = x * (powers(x, len(bottom)) @ bottom)
        return p, inner, 1 + jnp.abs(inner)

    @jax.custom_vjp
    def act(x, top, bottom):
        p, _, q = pieces(x, top, bottom)
        return p / q

    def fwd(x, top, bottom):
        return act.fun(x, top, bottom), (x, top, bottom)

    def bwd(res, g):
        x, top, bottom = res
        p, inner, q = pieces(x, top, bottom)
        degrees = jnp.arange(1, max(len(top), len(bottom) + 1)).astype(x.dtype)
        dp = powers(x, len(top) - 1) @ (degrees[: len(top) - 1] * top[1:])
        dinner = powers(x, len(bottom)) @ (degrees[: len(bottom)] * bottom)
        sign = 1 if slip == "absolute value" else jnp.where(inner < 0, -1, 1)
        down = -g * p / q if slip == "denominator once" else -g * p / (q * q)
        down = down * sign
        rows = powers(x, len(bottom))
        if slip != "first power":
            rows = x[..., None] * rows
        axes = tuple(range(x.ndim))
        dbottom = (down[..., None] * rows).sum(axes)
        dtop = ((g / q)[..., None] * powers(x, len(top))).sum(axes)
        return g / q * dp + down * dinner, dtop, dbottom

    act.defvjp(fwd, bwd)
    return act, act.fun


def inpainting(rng):
    mask = jnp.ones((2, 8, 1)).at[0, 2:4].set(0).at[1, 4:].set(0)
    return normal(rng, 2, 8, 3), mask, normal(rng, 3, 3, 4), jnp.zeros(4)


@case(
    "partial convolutions of inpainting, over one axis, in flax ports",
    "convolution with a mask",
    inpainting,
    Twin(
        "hidden inputs",
        "mask|region|factor",
        "x",
        "What is hidden by the mask has a gradient.",
    ),
    Twin(
        "share of the window",
        "factor|operand",
        "w",
        "The windows' rescaling is not in the filters' gradient.",
    ),
    Twin(
        "bias of empty windows",
        "mask|region|sum|predicate",
        "bias",
        "Windows without any input add to the bias's gradient.",
    ),
    options=lambda plain: {"nondiff": ("mask",)},
    fixed=(1,),
)
def partial_conv(slip):
    def convolve(x, w):
        return lax.conv_general_dilated(
            x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    def shares(mask, w):
        seen = convolve(mask, jnp.ones((len(w), 1, 1), mask.dtype))
        full = seen > 0
        return full, jnp.where(full, len(w) / jnp.where(full, seen, 1), 0)

    @jax.custom_vjp
    def conv(x, mask, w, bias):
        full, share = shares(mask, w)
        return jnp.where(full, convolve(x * mask, w) * share + bias, 0)

    def fwd(x, mask, w, bias):
        return conv.fun(x, mask, w, bias), (x, mask, w)

    def bwd(res, g):
        x, mask, w = res
        full, share = shares(mask, w)
        dz = g * share
        pull = jax.vjp(convolve, x * mask, w)[1]
        dx, dw = pull(dz)
        if slip == "share of the window":
            dw = pull(jnp.where(full, g, 0))[1]
        if slip != "hidden inputs":
            dx = dx * mask
        dbias = g if slip == "bias of empty windows" else jnp.where(full, g, 0)
        return dx, jnp.zeros_like(mask), dw, dbias.sum((0, 1))

    conv.defvjp(fwd, bwd)
    return conv, conv.fun

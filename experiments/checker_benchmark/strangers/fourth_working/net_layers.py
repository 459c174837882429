"""Layers: activations with parameters, normalisations, convolutions and products."""

import jax
import jax.numpy as jnp
from jax import lax

from experiments.checker_benchmark.strangers.record import (
    Stranger,
    Twin,
    collect,
    draw,
    normal,
    positive,
)

CASES: list[Stranger] = []
case = collect(CASES)


def generator(rng):
    x, style = normal(rng, 2, 6, 3), positive(rng, 2, 3)
    return x, normal(rng, 3, 3, 4, std=0.5), style


@case(
    "modulated convolution of StyleGAN2, over time, in flax ports",
    "convolution",
    generator,
    Twin(
        "demodulation held",
        "term|path",
        "style",
        "The style's part in the length of the filters is forgotten.",
    ),
    Twin(
        "length of the filters",
        "term|path",
        "w",
        "The filters are pulled back as if their length were a constant.",
    ),
    Twin(
        "power of the root",
        "function|factor|operand",
        "w style",
        "The inverse root is pulled back with its square, not with its cube.",
    ),
    narrow=False,
)
def modulated_conv(slip):
    def convolve(x, w):
        return lax.conv_general_dilated(
            x, w, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")
        )

    def lengths(w, style):
        return lax.rsqrt((style * style) @ (w * w).sum(0) + 1e-8)

    @jax.custom_vjp
    def conv(x, w, style):
        return convolve(x * style[:, None], w) * lengths(w, style)[:, None]

    def fwd(x, w, style):
        d = lengths(w, style)
        z = convolve(x * style[:, None], w)
        return z * d[:, None], (x, w, style, z, d)

    def bwd(res, g):
        x, w, style, z, d = res
        scaled = x * style[:, None]
        du, dw = jax.vjp(convolve, scaled, w)[1](g * d[:, None])
        power = d * d if slip == "power of the root" else d * d * d
        dsquare = -0.5 * (g * z).sum(1) * power
        dstyle = (du * x).sum(1)
        if slip != "demodulation held":
            dstyle = dstyle + 2 * style * (dsquare @ (w * w).sum(0).T)
        if slip != "length of the filters":
            dw = dw + 2 * w * ((style * style).T @ dsquare)
        return du * style[:, None], dw, dstyle

    conv.defvjp(fwd, bwd)
    return conv, conv.fun


@case(
    "adaptive instance normalisation, content and style (AdaIN), in flax ports",
    "normalisation with a condition",
    draw(content=(2, 3, 4, 3), style=(2, 4, 4, 3)),
    Twin(
        "deviation of the style",
        "term|path",
        "style",
        "The style has the gradient of its mean only.",
    ),
    Twin(
        "mean of the content",
        "term|path|sum",
        "content",
        "The mean of the cotangent is not taken away.",
    ),
    Twin(
        "Bessel's correction",
        "ratio|factor|option|constant",
        "style",
        "The variance's slope is over n - 1, in the forward it is over n.",
    ),
    narrow=False,
)
def adain(slip):
    def stats(x):
        mean = x.mean((1, 2), keepdims=True)
        var = ((x - mean) ** 2).mean((1, 2), keepdims=True)
        return mean, jnp.sqrt(var + 1e-5)

    @jax.custom_vjp
    def norm(content, style):
        mean, std = stats(content)
        aim, spread = stats(style)
        return (content - mean) / std * spread + aim

    def fwd(content, style):
        mean, std = stats(content)
        aim, spread = stats(style)
        normed = (content - mean) / std
        return normed * spread + aim, (normed, std, style, aim, spread)

    def bwd(res, g):
        normed, std, style, aim, spread = res
        total = g.mean((1, 2), keepdims=True)
        along = (g * normed).mean((1, 2), keepdims=True)
        centred = g if slip == "mean of the content" else g - total
        dcontent = spread / std * (centred - normed * along)
        here = g.shape[1] * g.shape[2]
        count = style.shape[1] * style.shape[2]
        dstyle = jnp.broadcast_to(total * here / count, style.shape)
        if slip == "Bessel's correction":
            count = count - 1
        if slip != "deviation of the style":
            dstyle = dstyle + along * here / count * (style - aim) / spread
        return dcontent, dstyle

    norm.defvjp(fwd, bwd)
    return norm, norm.fun


def evolved(rng):
    x = normal(rng, 2, 3, 2, 6)
    return x, jnp.ones(6), jnp.zeros(6), jnp.ones(6), 3


@case(
    "EvoNorm-S0 of timm, channels last",
    "normalisation with an activation",
    evolved,
    Twin(
        "deviation held",
        "term|path",
        "x",
        "The groups' deviation is taken for a constant.",
    ),
    Twin(
        "gate of the numerator",
        "term|factor|function|path",
        "x",
        "The sigmoid in the numerator is held fixed.",
    ),
    Twin(
        "not centred",
        "operand|term|residual",
        "x",
        "The variance is pulled back to x, not to x less its mean.",
    ),
    narrow=False,
)
def evonorm_s0(slip):
    def grouped(x, groups):
        return x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)

    def deviation(x, groups):
        parts = grouped(x, groups)
        mean = parts.mean((1, 3), keepdims=True)
        var = ((parts - mean) ** 2).mean((1, 3), keepdims=True)
        return parts, mean, jnp.sqrt(var + 1e-5)

    def plain(x, weight, bias, sharp, groups):
        std = deviation(x, groups)[2]
        y = grouped(x * jax.nn.sigmoid(sharp * x), groups) / std
        return y.reshape(x.shape) * weight + bias

    norm = jax.custom_vjp(plain, nondiff_argnums=(4,))

    def fwd(x, weight, bias, sharp, groups):
        return plain(x, weight, bias, sharp, groups), (x, weight, sharp)

    def bwd(groups, res, g):
        x, weight, sharp = res
        parts, mean, std = deviation(x, groups)
        gate = jax.nn.sigmoid(sharp * x)
        swished = grouped(x * gate, groups)
        dy = grouped(g * weight, groups)
        dnum = (dy / std).reshape(x.shape)
        slope = gate * jax.nn.sigmoid(-sharp * x)
        dx = dnum * gate
        if slip != "gate of the numerator":
            dx = dx + dnum * x * sharp * slope
        if slip != "deviation held":
            dvar = (dy * swished).mean((1, 3), keepdims=True) / std**3
            off = parts if slip == "not centred" else parts - mean
            dx = dx - (dvar * off).reshape(x.shape)
        axes = tuple(range(x.ndim - 1))
        dweight = (g * (swished / std).reshape(x.shape)).sum(axes)
        return dx, dweight, g.sum(axes), (dnum * x * x * slope).sum(axes)

    norm.defvjp(fwd, bwd)
    return norm, plain

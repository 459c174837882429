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


def vocoder(rng):
    return normal(rng, 2, 5, 4), jnp.zeros(4), jnp.zeros(4)


def trained_vocoder(rng):
    return normal(rng, 2, 5, 4), normal(rng, 4, std=0.5), normal(rng, 4, std=0.5)


@case(
    "SnakeBeta activation of BigVGAN, with logarithmic scales",
    "activation with learned parameters",
    vocoder,
    Twin(
        "scale of the logarithm",
        "factor|operand",
        "alpha",
        "The gradient of alpha itself is given to its logarithm.",
        witness=trained_vocoder,
    ),
    Twin(
        "double angle",
        "ratio|factor|function",
        "x alpha",
        "Sine times cosine of the angle, without the 2 of the square.",
    ),
    Twin(
        "sign of the divisor",
        "sign|ratio",
        "beta",
        "beta divides, its gradient is as if it multiplied.",
    ),
)
def snake_beta(slip):
    tiny = 1e-9

    @jax.custom_vjp
    def snake(x, alpha, beta):
        wave = jnp.sin(jnp.exp(alpha) * x)
        return x + wave * wave / (jnp.exp(beta) + tiny)

    def fwd(x, alpha, beta):
        return snake.fun(x, alpha, beta), (x, alpha, beta)

    def bwd(res, g):
        x, alpha, beta = res
        a, b = jnp.exp(alpha), jnp.exp(beta)
        wave, cosine = jnp.sin(a * x), jnp.cos(a * x)
        twice = wave * cosine if slip == "double angle" else 2 * wave * cosine
        dwave = g / (b + tiny)
        dx = g + dwave * a * twice
        rate = 1 if slip == "scale of the logarithm" else a
        dalpha = (dwave * rate * x * twice).sum((0, 1))
        dbeta = (dwave * wave * wave).sum((0, 1)) * (b / (b + tiny))
        return dx, dalpha, dbeta if slip == "sign of the divisor" else -dbeta

    snake.defvjp(fwd, bwd)
    return snake, snake.fun


@case(
    "the cross network of DCN v2 in recommender models in JAX",
    "products of features",
    lambda rng: (normal(rng, 4, 5), normal(rng, 3, 5, 5, std=0.4), jnp.zeros((3, 5))),
    Twin(
        "features of the last layer",
        "term|path|sum",
        "x",
        "The first features enter each layer; the last layer's use alone is counted.",
    ),
    Twin("skip", "term|path", "x w b", "The sum with a layer's input is forgotten."),
    Twin(
        "order of the layers",
        "index|transpose|residual",
        "x w b",
        "The layers are pulled back from the first to the last.",
    ),
)
def cross_network(slip):
    def layers(x, w, b):
        def layer(h, params):
            w, b = params
            return x * (h @ w + b) + h, h

        return lax.scan(layer, x, (w, b))

    @jax.custom_vjp
    def net(x, w, b):
        return layers(x, w, b)[0]

    def fwd(x, w, b):
        y, inputs = layers(x, w, b)
        return y, (x, w, b, inputs)

    def bwd(res, g):
        x, w, b, inputs = res

        def layer(dh, item):
            h, w, b = item
            dz = dh * x
            back = dz @ w.T
            if slip != "skip":
                back = back + dh
            return back, (h.T @ dz, dz.sum(0), dh * (h @ w + b))

        turned = slip != "order of the layers"
        dh, found = lax.scan(layer, g, (inputs, w, b), reverse=turned)
        dw, db, uses = found
        dx = uses[-1] if slip == "features of the last layer" else uses.sum(0)
        return dx + dh, dw, db

    net.defvjp(fwd, bwd)
    return net, net.fun

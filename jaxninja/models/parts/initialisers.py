"""Initialisations by name: the stages of the lecture's Part 3, and those in use.

A linear layer sums fan_in terms. If the x have mean square q and the weights standard
deviation s, independent and of mean zero, then

    (x W) has mean square  fan_in s^2 q

so s = gain / sqrt(fan_in) keeps it at q behind an activation that shrinks a standard
normal to a root mean square of 1 / gain. Backwards the sum is over fan_out terms, and
the compromise of Glorot is s = gain sqrt(2 / (fan_in + fan_out)).

At the output the logits should start near zero: the loss is then log V, and none of the
first steps is spent on taking confidence away.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

# 1 / sqrt(E[f(z)^2]) for z standard normal: exact for relu, numerical for gelu. For
# tanh that is 1.59; 5/3 is the custom, and the lecture's. sigmoid(0) is 1/2, not 0: its
# output has no mean of zero, and 1 is a convention.
GAIN = {
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "sigmoid": 1.0,
    "gelu": 1.5336,
    "gelu-tanh": 1.5336,
}


class Scheme(NamedTuple):
    """Standard deviations of the weights, all of which are normal with mean zero."""

    weight: Callable[[int, int, float], float]  # of fan_in, fan_out, gain
    bias: float
    output: Callable[[int], float]  # of the last layer's weights, from fan_in
    output_bias: float
    batchnorm: float = 0.0  # of gamma, around 1, and beta, around 0


def _kaiming(fan_in, fan_out, gain):
    return gain / math.sqrt(fan_in)


def _xavier(fan_in, fan_out, gain):
    return gain * math.sqrt(2 / (fan_in + fan_out))


def _constant(scale: float) -> Callable[..., float]:
    return lambda *_: scale


SCHEMES = {
    # Part 3, in the order of the lecture's loss log; its batchnorm stage is kaiming
    "original": Scheme(_constant(1.0), 1.0, _constant(1.0), 1.0),
    "softmax": Scheme(_constant(1.0), 1.0, _constant(0.01), 0.0),
    "saturation": Scheme(_constant(0.2), 0.01, _constant(0.01), 0.0),
    "kaiming": Scheme(_kaiming, 0.01, _constant(0.01), 0.0),
    "xavier": Scheme(_xavier, 0.01, _constant(0.01), 0.0),
    # Part 3's network of layer objects: its output is as wide as its inputs suggest,
    # and a last batchnorm with gamma = 0.1 makes it less confident
    "deep": Scheme(_kaiming, 0.0, lambda fan_in: 1 / math.sqrt(fan_in), 0.0),
    # Part 4: no zeros, no ones, since such data hide wrong gradients
    "part4": Scheme(_kaiming, 0.1, _constant(0.1), 0.1, 0.1),
}


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Standard normals of JAX's float type, drawn in float32 whatever that is.

    In 64-bit mode JAX would draw other numbers from the same key.
    """
    drawn = jax.random.normal(key, shape, jnp.float32)
    return drawn.astype(jnp.result_type(float))


def uniform(key: jax.Array, shape: tuple[int, ...], fan_in: int) -> jax.Array:
    """Between -1 / sqrt(fan_in) and 1 / sqrt(fan_in): how PyTorch draws both weights
    and biases of nn.Linear and, with fan_in the hidden units, of nn.LSTM.

    In float32 first, as `normal` does.
    """
    drawn = jax.random.uniform(key, shape, jnp.float32, -1, 1) / math.sqrt(fan_in)
    return drawn.astype(jnp.result_type(float))

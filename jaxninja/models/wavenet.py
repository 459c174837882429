"""Lecture 5's network: neighbours are joined two by two, like a tree of dilations.

    ids [N, T] -> embedding [N, T, E]
        -> (join neighbours [N, T/2, 2 E] -> linear -> batchnorm -> tanh) x log2 T
        -> [N, H] -> linear [N, V] -> cross entropy

T is a power of 2. Layer l has W<l>, gamma<l> and beta<l>, and no bias, which batchnorm
would take away; its batchnorm goes over examples and places, T / 2^l of them. The last
layer, l = layers + 1, makes the logits with W<l> and b<l>.
Source: Karpathy's lecture "Building a WaveNet", after van den Oord et al. 2016.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.errors import ArgumentError
from jaxninja.models.parts import Params, Statistics, linear, unnamed
from jaxninja.models.parts.initialisers import normal
from jaxninja.models.parts.normalised_layers import by_batch, by_statistics
from jaxninja.rules import manual


@dataclass(frozen=True)
class Wavenet:
    """Sizes and constants; the defaults are lecture 5's, 76,579 parameters.

    In `dtype` bfloat16 the products of the training step take bfloat16 and all else
    stays as it is: parameters, sums, batchnorm, the loss.
    """

    vocabulary: int = 27
    context: int = 8
    embedding: int = 24
    hidden: int = 128
    eps: float = 1e-5
    ddof: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.context < 2 or self.context & (self.context - 1):
            raise ArgumentError(
                f"context is {self.context}, expected a power of 2, 2 or more: "
                "neighbours are joined two by two until one is left"
            )

    @property
    def layers(self) -> int:
        """How often neighbours are joined."""
        return self.context.bit_length() - 1

    @property
    def normalised(self) -> tuple[int, ...]:
        """The layers with batchnorm, counted from 1."""
        return tuple(range(1, self.layers + 1))

    def places(self, layer: int) -> int:
        """Rows of an example that a layer's batchnorm goes over."""
        return self.context >> layer


def init(key: Array, model: Wavenet) -> Params:
    """The lecture's: normal weights over sqrt(fan_in), a tenth of that at the output.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H, layers = model.vocabulary, model.embedding, model.hidden, model.layers
    params = {"C": normal(jax.random.fold_in(key, 0), (V, E))}
    for layer in model.normalised:
        fan_in = 2 * (E if layer == 1 else H)
        drawn = normal(jax.random.fold_in(key, layer), (fan_in, H))
        params[f"W{layer}"] = drawn / fan_in**0.5
        params |= {f"gamma{layer}": jnp.ones(H), f"beta{layer}": jnp.zeros(H)}
    drawn = normal(jax.random.fold_in(key, layers + 1), (H, V))
    last = {f"W{layers + 1}": 0.1 * drawn / H**0.5, f"b{layers + 1}": jnp.zeros(V)}
    return params | last


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N"],
    model: Wavenet,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Training loss on a batch in nats, and the batch's statistics.

    Args:
        params: as made by `init`.
        ids: [N, T] context symbols, in [0, V).
        labels: [N] next symbols, in [0, V).
        model: sizes and constants.
        ops: `manual` or `autodiff`.
        name: called with each intermediate and its name, and returns it; give
            `jax.ad_checkpoint.checkpoint_name` to read their gradients.

    Returns:
        Mean cross entropy in nats, and mean<l>, var<l> [H] of what each batchnorm saw.
    """
    normalise, statistics = by_batch(params, model, ops)
    logits = _forward(params, ids, model, ops, normalise, model.dtype, name)
    return name(ops.cross_entropy(logits, labels), "loss"), statistics


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Wavenet
) -> Float[Array, "N V"]:
    """Logits at inference: batchnorm with given statistics, so a batch of one works."""
    normalise = by_statistics(params, statistics, model)
    return _forward(params, ids, model, manual, normalise)


def preactivation(
    params: Params,
    statistics: Statistics,
    ids: Int[Array, "N T"],
    model: Wavenet,
    layer: int,
) -> Float[Array, "N S H"]:
    """What the batchnorm of a layer normalises, S = T / 2^layer rows an example, with
    given statistics below it."""
    normalise = by_statistics(params, statistics, model)
    return _forward(params, ids, model, manual, normalise, stop=layer)


def _forward(
    params, ids, model, ops, normalise, dtype="float32", name=unnamed, stop=None
):
    """Logits [N, V]; with `stop`, only up to that layer's linear map."""
    x = name(ops.embedding(params["C"], ids), "emb")  # [N, T, E]
    for layer in model.normalised:
        joined = x.reshape(len(ids), model.places(layer), -1)  # neighbours in a row
        W = params[f"W{layer}"]
        no_bias = jnp.zeros_like(W[0])
        x = name(linear(ops, joined, W, no_bias, dtype), f"pre{layer}")
        if layer == stop:
            return x
        x = name(normalise(layer, x), f"norm{layer}")
        x = name(ops.tanh(x), f"h{layer}")
    W, b = (params[f"{kind}{model.layers + 1}"] for kind in "Wb")
    return name(linear(ops, x[:, 0], W, b, dtype), "logits")


def activations(model: Wavenet) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {f"h{layer}": "tanh" for layer in model.normalised}

"""Any number of hidden layers, with or without batchnorm: the networks of Part 3.

    ids [N, T] -> embedding -> concatenate [N, T E]
        -> (linear -> batchnorm -> activation) x layers
        -> linear (-> batchnorm) -> logits [N, V] -> cross entropy

A composition of rules, as `ninja` is; its routes are `rules` and `autodiff`. Layer l
has the parameters W<l>, and b<l> or, where it is normalised, gamma<l> and beta<l>,
since batchnorm takes every bias away. The last layer, l = layers + 1, makes the logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, unnamed
from jaxninja.models.parts.initialisers import GAIN, SCHEMES, normal
from jaxninja.models.parts.normalised_layers import by_batch, by_statistics
from jaxninja.rules import manual


@dataclass(frozen=True)
class Deep:
    """Sizes and constants; the defaults are the lecture's net of 47,024 parameters.

    Attributes:
        activation: tanh, relu, sigmoid, gelu (its erf form) or gelu-tanh.
        batchnorm: none; hidden, before each activation; all, after the last layer too.
        init: a name of `jaxninja.models.parts.initialisers.SCHEMES`.
        gain: of the hidden layers' weights; None takes the activation's own.
    """

    vocabulary: int = 27
    context: int = 3
    embedding: int = 10
    hidden: int = 100
    layers: int = 5
    activation: str = "tanh"
    batchnorm: str = "all"
    init: str = "deep"
    gain: float | None = 1.0
    eps: float = 1e-5
    ddof: int = 1

    @property
    def normalised(self) -> tuple[int, ...]:
        """The layers with batchnorm, counted from 1."""
        count = {"none": 0, "hidden": self.layers, "all": self.layers + 1}
        return tuple(range(1, count[self.batchnorm] + 1))

    @property
    def widths(self) -> tuple[int, ...]:
        """Features before and after each layer: layers + 2 numbers."""
        hidden = (self.hidden,) * self.layers
        return (self.context * self.embedding, *hidden, self.vocabulary)


def init(key: Array, model: Deep) -> Params:
    """Random parameters by the scheme of `model.init`.

    Each has a key of its own, folded from `key` by its place. A last batchnorm begins
    with gamma a tenth of the others', for logits near zero.
    """
    table: dict[str, tuple] = {"C": ((model.vocabulary, model.embedding), 1.0, 0.0)}
    for layer in range(1, model.layers + 2):
        table |= _layer_table(model, layer)
    return {
        name: shift + scale * normal(jax.random.fold_in(key, i), shape)
        for i, (name, (shape, scale, shift)) in enumerate(table.items())
    }


def _layer_table(model: Deep, layer: int) -> dict[str, tuple]:
    """name -> (shape, scale, shift) of one layer's parameters."""
    scheme, last = SCHEMES[model.init], layer > model.layers
    fan_in, fan_out = model.widths[layer - 1 : layer + 1]
    gain = GAIN[model.activation] if model.gain is None else model.gain
    weight = (
        scheme.output(fan_in) if last else scheme.weight(fan_in, fan_out, float(gain))
    )
    table: dict[str, tuple] = {f"W{layer}": ((fan_in, fan_out), weight, 0.0)}
    if layer in model.normalised:
        table[f"gamma{layer}"] = ((fan_out,), scheme.batchnorm, 0.1 if last else 1.0)
        table[f"beta{layer}"] = ((fan_out,), scheme.batchnorm, 0.0)
    else:
        bias = scheme.output_bias if last else scheme.bias
        table[f"b{layer}"] = ((fan_out,), bias, 0.0)
    return table


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N"],
    model: Deep,
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
    logits = _forward(params, ids, model, ops, normalise, name)
    return name(ops.cross_entropy(logits, labels), "loss"), statistics


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Deep
) -> Float[Array, "N V"]:
    """Logits at inference: batchnorm with given statistics, so a batch of one works."""
    normalise = by_statistics(params, statistics, model)
    return _forward(params, ids, model, manual, normalise)


def preactivation(
    params: Params,
    statistics: Statistics,
    ids: Int[Array, "N T"],
    model: Deep,
    layer: int,
) -> Float[Array, "N D"]:
    """What the batchnorm of a layer normalises, with given statistics below it."""
    normalise = by_statistics(params, statistics, model)
    return _forward(params, ids, model, manual, normalise, stop=layer)


def _forward(params, ids, model, ops, normalise, name=unnamed, stop=None):
    """Logits [N, V]; with `stop`, only up to that layer's linear map."""
    x = name(ops.embedding(params["C"], ids), "emb").reshape(len(ids), -1)
    for layer in range(1, model.layers + 2):
        last, normal = layer > model.layers, layer in model.normalised
        W = params[f"W{layer}"]
        b = jnp.zeros_like(W[0]) if normal else params[f"b{layer}"]
        x = ops.linear(x, W, b)
        if normal or not last:
            x = name(x, f"pre{layer}")
        if layer == stop:
            return x
        if normal:
            x = normalise(layer, x)
            x = x if last else name(x, f"norm{layer}")
        if not last:
            x = name(activate(x, model.activation, ops), f"h{layer}")
    return name(x, "logits")


def activate(x: Array, activation: str, ops: SimpleNamespace = manual) -> Array:
    """An activation function by name."""
    if activation.startswith("gelu"):
        return ops.gelu(x, activation == "gelu-tanh")
    return getattr(ops, activation)(x)


def activations(model: Deep) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {f"h{layer}": model.activation for layer in range(1, model.layers + 1)}

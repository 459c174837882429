"""The lecture's network as a composition of rules: the routes `rules` and `autodiff`.

    ids [N, T] -> embedding [N, T, E] -> concatenate [N, T E] -> linear [N, H]
        -> batchnorm -> tanh -> linear [N, V] -> cross entropy

`loss` takes the rules to compose: `manual` (hand-derived backward passes) or `autodiff`
(the same forwards, left to `jax.grad`). Parameters carry the lecture's names.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, linear, unnamed
from jaxninja.models.parts.initialisers import normal
from jaxninja.rules import manual
from jaxninja.rules.normalisation.batchnorm import batch_statistics


@dataclass(frozen=True)
class Ninja:
    """Sizes and constants of the network; the defaults are the lecture's.

    In `dtype` bfloat16 the matrix products of the training step take bfloat16 and all
    else stays as it is: parameters, sums, batchnorm, the loss.
    """

    vocabulary: int = 27
    context: int = 3
    embedding: int = 10
    hidden: int = 200
    eps: float = 1e-5
    ddof: int = 1
    dtype: str = "float32"


def init(key: Array, model: Ninja) -> Params:
    """The lecture's initialisation: no zeros, no ones, as they mask wrong gradients.

    Weights are scaled to their fan-in (gain 5/3 for tanh); biases, the output layer and
    the batchnorm parameters are 0.1 times a normal, around 1 for the gain. Each has a
    key of its own, folded from `key` by its place in this list.
    """
    V, T, E, H = model.vocabulary, model.context, model.embedding, model.hidden
    fan_in = T * E
    shape_scale_shift = {
        "C": ((V, E), 1.0, 0.0),
        "W1": ((fan_in, H), (5 / 3) / fan_in**0.5, 0.0),
        "b1": ((H,), 0.1, 0.0),
        "W2": ((H, V), 0.1, 0.0),
        "b2": ((V,), 0.1, 0.0),
        "bngain": ((H,), 0.1, 1.0),
        "bnbias": ((H,), 0.1, 0.0),
    }
    return {
        name: shift + scale * normal(jax.random.fold_in(key, i), shape)
        for i, (name, (shape, scale, shift)) in enumerate(shape_scale_shift.items())
    }


def hidden_preactivation(
    params: Params,
    ids: Int[Array, "N T"],
    ops: SimpleNamespace = manual,
    dtype: str = "float32",
) -> Float[Array, "N H"]:
    """hprebn: what batchnorm normalises."""
    emb = ops.embedding(params["C"], ids)
    embcat = emb.reshape(len(ids), -1)
    return linear(ops, embcat, params["W1"], params["b1"], dtype)


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N"],
    model: Ninja,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Training loss on a batch, and the batch's statistics.

    Args:
        params: as made by `init`.
        ids: [N, T] context symbols, in [0, V).
        labels: [N] next symbols, in [0, V).
        model: sizes and constants.
        ops: `manual` or `autodiff`.
        name: called with each intermediate and its name, and returns it; give
            `jax.ad_checkpoint.checkpoint_name` to read their gradients.

    Returns:
        Mean cross entropy in nats, and mean and variance [H] of the batch before
        batchnorm, for the running statistics.
    """
    hprebn = name(hidden_preactivation(params, ids, ops, model.dtype), "hprebn")
    mean, var = batch_statistics(hprebn, model.ddof)
    value = head_loss(params, hprebn, labels, model, ops, name)
    return value, {"mean": mean, "var": var}


def head_loss(
    params: Params,
    hprebn: Float[Array, "N H"],
    labels: Int[Array, "N"],
    model: Ninja,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> Float[Array, ""]:
    """The part of the loss above hprebn: batchnorm, tanh, linear, cross entropy."""
    gain, bias = params["bngain"], params["bnbias"]
    hpreact = ops.batchnorm(hprebn, gain, bias, model.eps, model.ddof)
    h = name(ops.tanh(name(hpreact, "hpreact")), "h")
    logits = linear(ops, h, params["W2"], params["b2"], model.dtype)
    return name(ops.cross_entropy(name(logits, "logits"), labels), "loss")


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Ninja
) -> Float[Array, "N V"]:
    """Logits at inference: batchnorm with given statistics, so a batch of one works."""
    hprebn = hidden_preactivation(params, ids)
    scale = params["bngain"] * jax.lax.rsqrt(statistics["var"] + model.eps)
    h = jnp.tanh((hprebn - statistics["mean"]) * scale + params["bnbias"])
    return h @ params["W2"] + params["b2"]


def preactivation(
    params: Params,
    statistics: Statistics,
    ids: Int[Array, "N T"],
    model: Ninja,
    layer: int = 1,
) -> Float[Array, "N H"]:
    """What the batchnorm of a layer normalises; here is one only, with none below."""
    return hidden_preactivation(params, ids)


def activations(model: Ninja) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {"h": "tanh"}

"""makemore.py's MLP: the next symbol from the last `context` symbols, at every place.

    ids [N, T] -> windows [N, T, K] of K = context symbols, the latest first
        -> embedding [N, T, K, E] -> concatenate [N, T, K E]
        -> linear [N, T, H] -> tanh -> linear [N, T, V] -> cross entropy

Where a window reaches beyond the beginning stands a blank, which is row V of the table.
Source: Karpathy's makemore.py, after Bengio et al. 2003, JMLR 3.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, linear, unnamed
from jaxninja.models.parts.initialisers import normal, uniform
from jaxninja.models.parts.sequences import mean_loss
from jaxninja.rules import manual


@dataclass(frozen=True)
class Mlp:
    """Sizes; the defaults are makemore.py's, 69,147 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, the loss.
    """

    vocabulary: int = 27
    context: int = 16
    embedding: int = 64
    hidden: int = 64
    dtype: str = "float32"


def init(key: Array, model: Mlp) -> Params:
    """As PyTorch draws nn.Embedding, normal, and nn.Linear, uniform by its fan-in.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H = model.vocabulary, model.embedding, model.hidden
    fan_in, keys = model.context * E, [jax.random.fold_in(key, i) for i in range(5)]
    return {
        "C": normal(keys[0], (V + 1, E)),
        "W1": uniform(keys[1], (fan_in, H), fan_in),
        "b1": uniform(keys[2], (H,), fan_in),
        "W2": uniform(keys[3], (H, V), H),
        "b2": uniform(keys[4], (V,), H),
    }


def windows(ids: Int[Array, "N T"], model: Mlp) -> Int[Array, "N T K"]:
    """The last K = context symbols at each place, the latest first, then blanks."""
    K, T = model.context, ids.shape[1]
    blanks = ((0, 0), (K - 1, 0))
    padded = jnp.pad(ids, blanks, constant_values=model.vocabulary)
    return jnp.stack([padded[:, K - 1 - k :][:, :T] for k in range(K)], -1)


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Mlp,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.
    """
    logits = _forward(params, ids, model, ops, name)
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Mlp
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    emb = name(ops.embedding(params["C"], windows(ids, model)), "emb")
    embcat = emb.reshape(*ids.shape, -1)
    hpre = linear(ops, embcat, params["W1"], params["b1"], model.dtype)
    h = name(ops.tanh(name(hpre, "hpre")), "h")
    return name(linear(ops, h, params["W2"], params["b2"], model.dtype), "logits")


def activations(model: Mlp) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {"h": "tanh"}

"""makemore.py's bag of words: the mean of all symbols so far, and a small MLP.

    ids [N, T] -> embedding + place [N, T, E] -> x + mean of x up to here
        -> x + mlp(x):  linear [N, T, H] -> tanh -> linear [N, T, E]
        -> linear [N, T, V] -> cross entropy
Source: Karpathy's makemore.py.
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
from jaxninja.models.parts.sequences import check_length, mean_loss
from jaxninja.rules import manual


@dataclass(frozen=True)
class Bow:
    """Sizes; the defaults are makemore.py's, 12,827 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, the loss.
    """

    vocabulary: int = 27
    context: int = 16
    embedding: int = 64
    hidden: int = 64
    dtype: str = "float32"


def init(key: Array, model: Bow) -> Params:
    """As PyTorch draws nn.Embedding, normal, and nn.Linear, uniform by its fan-in.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H = model.vocabulary, model.embedding, model.hidden
    keys = [jax.random.fold_in(key, i) for i in range(8)]
    return {
        "C": normal(keys[0], (V, E)),
        "P": normal(keys[1], (model.context, E)),
        "W1": uniform(keys[2], (E, H), E),
        "b1": uniform(keys[3], (H,), E),
        "W2": uniform(keys[4], (H, E), H),
        "b2": uniform(keys[5], (E,), H),
        "W": uniform(keys[6], (E, V), E),
        "bout": uniform(keys[7], (V,), E),
    }


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Bow,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.

    Raises:
        ValueError: T is above the context.
    """
    logits = _forward(params, ids, model, ops, name)
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Bow
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    check_length("bow", ids, model.context)
    T, dtype = ids.shape[1], model.dtype
    emb = name(ops.embedding(params["C"], ids), "emb")
    x = emb + ops.embedding(params["P"], jnp.arange(T))
    so_far = jnp.arange(1, T + 1, dtype=x.dtype)[:, None]
    x = x + name(ops.cumsum(x, 1) / so_far, "bag")
    h = ops.tanh(linear(ops, x, params["W1"], params["b1"], dtype))
    x = x + linear(ops, name(h, "h"), params["W2"], params["b2"], dtype)
    return name(linear(ops, x, params["W"], params["bout"], dtype), "logits")


def activations(model: Bow) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {"h": "tanh"}

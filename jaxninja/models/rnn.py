"""makemore.py's RNN: the symbols so far in one state, renewed at every place.

    ids [N, T] -> embedding [N, T, E] -> h[t] = tanh(x[t] Wx + h[t-1] Wh + b) [N, T, H]
        -> linear [N, T, V] -> cross entropy

The state before the first place, `start`, is learned.
Source: Karpathy's makemore.py; Elman 1990, Cognitive Science 14.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, in_dtype, linear, unnamed
from jaxninja.models.parts.initialisers import normal, uniform
from jaxninja.models.parts.sequences import mean_loss
from jaxninja.rules import manual


@dataclass(frozen=True)
class Rnn:
    """Sizes; the defaults are makemore.py's, 11,803 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, the loss; `rules` and `autodiff` round the states as well.
    """

    vocabulary: int = 27
    context: int = 16
    embedding: int = 64
    hidden: int = 64
    dtype: str = "float32"


def init(key: Array, model: Rnn) -> Params:
    """As PyTorch draws nn.Embedding, normal, and nn.Linear, uniform by its fan-in,
    which is that of x and h together; the start is zero.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H = model.vocabulary, model.embedding, model.hidden
    keys = [jax.random.fold_in(key, i) for i in range(7)]
    return {
        "C": normal(keys[0], (V, E)),
        "start": jnp.zeros((1, H)),
        "Wx": uniform(keys[2], (E, H), E + H),
        "Wh": uniform(keys[3], (H, H), E + H),
        "b": uniform(keys[4], (H,), E + H),
        "W": uniform(keys[5], (H, V), H),
        "bout": uniform(keys[6], (V,), H),
    }


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Rnn,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.
    """
    logits = _forward(params, ids, model, ops, name)
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Rnn
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    emb = name(ops.embedding(params["C"], ids), "emb")
    start = jnp.broadcast_to(params["start"], (len(ids), model.hidden))
    weights = (params["Wx"], params["Wh"], params["b"])
    arrays = (in_dtype(a, model.dtype) for a in (emb.swapaxes(0, 1), start, *weights))
    h = ops.rnn(*arrays).swapaxes(0, 1).astype(emb.dtype)
    h = name(h, "h")
    return name(linear(ops, h, params["W"], params["bout"], model.dtype), "logits")


def activations(model: Rnn) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function."""
    return {"h": "tanh"}

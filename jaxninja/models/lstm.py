"""An LSTM in the place of makemore.py's RNN: a second state that gates protect.

    ids [N, T] -> embedding [N, T, E] -> a = x[t] Wx + h[t-1] Wh + b, four times H
        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)     g = tanh(a_g)
        c[t] = f c[t-1] + i g           h[t] = o tanh(c[t])            [N, T, H]
        -> linear [N, T, V] -> cross entropy

The gates are in PyTorch's order i, f, g, o. makemore.py leaves this model out; as in
its RNN, the states before the first place, `start` of h and `start_c` of c, are
learned.
Source: Hochreiter, Schmidhuber 1997, Neural Computation 9; PyTorch's nn.LSTM.
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
class Lstm:
    """Sizes; the defaults, makemore.py's, make 36,635 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, the loss; `rules` and `autodiff` round the states as well.
    """

    vocabulary: int = 27
    context: int = 16
    embedding: int = 64
    hidden: int = 64
    dtype: str = "float32"


def init(key: Array, model: Lstm) -> Params:
    """As PyTorch draws nn.Embedding, normal, nn.LSTM, uniform by the hidden units,
    and nn.Linear, uniform by its fan-in; the starts are zero. nn.LSTM has two biases,
    of which only the sum counts: b is such a sum.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H = model.vocabulary, model.embedding, model.hidden
    keys = [jax.random.fold_in(key, i) for i in range(9)]
    return {
        "C": normal(keys[0], (V, E)),
        "start": jnp.zeros((1, H)),
        "start_c": jnp.zeros((1, H)),
        "Wx": uniform(keys[3], (E, 4 * H), H),
        "Wh": uniform(keys[4], (H, 4 * H), H),
        "b": uniform(keys[5], (4 * H,), H) + uniform(keys[6], (4 * H,), H),
        "W": uniform(keys[7], (H, V), H),
        "bout": uniform(keys[8], (V,), H),
    }


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Lstm,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.
    """
    logits = _forward(params, ids, model, ops, name)
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Lstm
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    emb = name(ops.embedding(params["C"], ids), "emb")
    shape = (len(ids), model.hidden)
    starts = [jnp.broadcast_to(params[k], shape) for k in ("start", "start_c")]
    weights = (params["Wx"], params["Wh"], params["b"])
    arrays = (in_dtype(a, model.dtype) for a in (emb.swapaxes(0, 1), *starts, *weights))
    h, _ = ops.lstm(*arrays)
    h = name(h.swapaxes(0, 1).astype(emb.dtype), "h")
    return name(linear(ops, h, params["W"], params["bout"], model.dtype), "logits")


def activations(model: Lstm) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function, or the array's part."""
    return {"h": "state"}

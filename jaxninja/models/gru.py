"""makemore.py's GRU: a state that two gates renew at every place.

    ids [N, T] -> embedding [N, T, E] -> p = x Wx + b [N, T, 3 H] = (p_z, p_r, p_c)
        z = sigmoid(p_z + h[t-1] Whz)       r = sigmoid(p_r + h[t-1] Whr)
        c = tanh(p_c + (r h[t-1]) Whc)      h[t] = (1 - z) h[t-1] + z c      [N, T, H]
        -> linear [N, T, V] -> cross entropy

The gate r comes before the product with Whc, as in the paper. In PyTorch's GRU, which
is the rule `gru`, it comes behind, and z and 1 - z are exchanged. So the cell is
composed here. Whz and Whr stand side by side in Wg [H, 2 H]. The state before the first
place, `start`, is learned.
Source: Karpathy's makemore.py; Cho et al. 2014, arXiv:1406.1078.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.parts import Params, Statistics, linear, unnamed
from jaxninja.models.parts.initialisers import normal, uniform
from jaxninja.models.parts.sequences import mean_loss
from jaxninja.rules import manual


@dataclass(frozen=True)
class Gru:
    """Sizes; the defaults are makemore.py's, 28,315 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, states, the loss.
    """

    vocabulary: int = 27
    context: int = 16
    embedding: int = 64
    hidden: int = 64
    dtype: str = "float32"


def init(key: Array, model: Gru) -> Params:
    """As PyTorch draws nn.Embedding, normal, and nn.Linear, uniform by its fan-in,
    which is that of x and h together; the start is zero.

    Each parameter has a key of its own, folded from `key` by its place in this list.
    """
    V, E, H = model.vocabulary, model.embedding, model.hidden
    keys = [jax.random.fold_in(key, i) for i in range(8)]
    return {
        "C": normal(keys[0], (V, E)),
        "start": jnp.zeros((1, H)),
        "Wx": uniform(keys[2], (E, 3 * H), E + H),
        "Wg": uniform(keys[3], (H, 2 * H), E + H),
        "Wc": uniform(keys[4], (H, H), E + H),
        "b": uniform(keys[5], (3 * H,), E + H),
        "W": uniform(keys[6], (H, V), H),
        "bout": uniform(keys[7], (V,), H),
    }


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Gru,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats on a batch of items, and {}: it has no statistics.

    Arguments as in `parts.sequences`; labels of -1 do not count.
    """
    logits = _forward(params, ids, model, ops, name)
    return name(mean_loss(logits, labels, ops), "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Gru
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    emb = name(ops.embedding(params["C"], ids), "emb")
    dtype, H = model.dtype, model.hidden
    no_bias = jnp.zeros_like(params["b"])
    p = linear(ops, emb, params["Wx"], params["b"], dtype)  # [N, T, 3 H]

    def step(h, p):
        p_g, p_c = p[:, : 2 * H], p[:, 2 * H :]
        g = ops.sigmoid(p_g + linear(ops, h, params["Wg"], no_bias[H:], dtype))
        z, r = jnp.split(g, 2, -1)
        c = ops.tanh(p_c + linear(ops, r * h, params["Wc"], no_bias[:H], dtype))
        h = (1 - z) * h + z * c
        return h, h

    start = jnp.broadcast_to(params["start"], (len(ids), H))
    h = lax.scan(step, start, p.swapaxes(0, 1))[1].swapaxes(0, 1)
    h = name(h, "h")
    return name(linear(ops, h, params["W"], params["bout"], dtype), "logits")


def activations(model: Gru) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function, or the array's part."""
    return {"h": "state"}

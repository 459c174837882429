"""makemore.py's transformer: GPT-2's blocks, small, without dropout.

    ids [N, T] -> embedding + place [N, T, E]
        -> (x + attention(layernorm(x)), then x + mlp(layernorm(x))) x layers
        -> layernorm -> linear without bias [N, T, V] -> cross entropy

    attention   linear to q, k and v [N, T, 3 E] -> heads, causal -> linear [N, T, E]
    mlp         linear [N, T, 4 E] -> gelu, tanh form -> linear [N, T, E]

Layer l has the parameters <name><l>, l from 1 on.
Source: Karpathy's makemore.py; Radford et al. 2019 (GPT-2).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxninja.errors import ArgumentError
from jaxninja.models.parts import Params, Statistics, linear, unnamed
from jaxninja.models.parts.initialisers import normal, uniform
from jaxninja.models.parts.sequences import (
    check_length,
    mean_loss,
    recording_attention,
)
from jaxninja.rules import manual


@dataclass(frozen=True)
class Transformer:
    """Sizes and constants; the defaults are makemore.py's, 204,544 parameters.

    In `dtype` bfloat16 the products with weights take bfloat16 and all else stays as it
    is: parameters, sums, attention, layernorm, the loss.
    """

    vocabulary: int = 27
    context: int = 16
    layers: int = 4
    heads: int = 4
    embedding: int = 64
    eps: float = 1e-5
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.embedding % self.heads:
            raise ArgumentError(
                f"heads is {self.heads}, expected a divisor of embedding, which is "
                f"{self.embedding}"
            )


# of a layer, in the order of computation
LAYER = ("gamma_a", "beta_a", "Wqkv", "bqkv", "Wo", "bo")
LAYER += ("gamma_m", "beta_m", "Wf", "bf", "Wp", "bp")


def of_layer(params: Params, layer: int) -> list[Array]:
    """The parameters of a layer, in the order of LAYER."""
    return [params[f"{name}{layer}"] for name in LAYER]


def init(key: Array, model: Transformer) -> Params:
    """As PyTorch draws nn.Embedding, normal, and nn.Linear, uniform by its fan-in;
    layernorm's gains are ones and its biases zeros.

    Each parameter has a key of its own, folded from `key` by its place in the table.
    """
    V, T, E = model.vocabulary, model.context, model.embedding
    one, zero = ((E,), "one"), ((E,), "zero")
    table: dict[str, tuple] = {"C": ((V, E), "normal"), "P": ((T, E), "normal")}
    for layer in range(1, model.layers + 1):
        qkv, out = _linear(E, 3 * E), _linear(E, E)
        up, down = _linear(E, 4 * E), _linear(4 * E, E)
        row = (one, zero, *qkv, *out, one, zero, *up, *down)
        table |= {f"{name}{layer}": r for name, r in zip(LAYER, row, strict=True)}
    table |= {"gamma": one, "beta": zero, "W": ((E, V), E)}
    keys = [jax.random.fold_in(key, i) for i in range(len(table))]
    return {
        name: _drawn(key, *row)
        for key, (name, row) in zip(keys, table.items(), strict=True)
    }


def _linear(fan_in, fan_out):
    """(shape, how) of a linear layer's weights and bias."""
    return ((fan_in, fan_out), fan_in), ((fan_out,), fan_in)


def _drawn(key, shape, how):
    constant = {"one": jnp.ones, "zero": jnp.zeros}
    if how in constant:
        return constant[how](shape)
    return normal(key, shape) if how == "normal" else uniform(key, shape, how)


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Transformer,
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
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Transformer
) -> Float[Array, "N T V"]:
    """Logits of the symbol after each place, in float32."""
    return _forward(params, ids, replace(model, dtype="float32"), manual)


def _forward(params, ids, model, ops, name=unnamed):
    check_length("transformer", ids, model.context)
    N, T = ids.shape
    emb = name(ops.embedding(params["C"], ids), "emb")
    x = emb + ops.embedding(params["P"], jnp.arange(T))
    for layer in range(1, model.layers + 1):
        gamma_a, beta_a, Wqkv, bqkv, Wo, bo, *of_mlp = of_layer(params, layer)
        gamma_m, beta_m, Wf, bf, Wp, bp = of_mlp
        a = ops.layernorm(x, gamma_a, beta_a, model.eps)
        qkv = linear(ops, a, Wqkv, bqkv, model.dtype)
        q, k, v = (a.reshape(N, T, model.heads, -1) for a in jnp.split(qkv, 3, -1))
        y = ops.attention(q, k, v, True, None, None, None)
        y = name(y.reshape(x.shape), f"y{layer}")
        x = x + linear(ops, y, Wo, bo, model.dtype)
        m = ops.layernorm(x, gamma_m, beta_m, model.eps)
        f = name(linear(ops, m, Wf, bf, model.dtype), f"f{layer}")
        h = name(ops.gelu(f, True), f"h{layer}")
        x = name(x + linear(ops, h, Wp, bp, model.dtype), f"x{layer}")
    last = ops.layernorm(x, params["gamma"], params["beta"], model.eps)
    no_bias = jnp.zeros(model.vocabulary, x.dtype)
    return name(linear(ops, last, params["W"], no_bias, model.dtype), "logits")


def attention_maps(
    params: Params, ids: Int[Array, "N T"], model: Transformer
) -> Float[Array, "L N H T T"]:
    """What each place attends to: row t of a map has the weights of the places s <= t.

    Returns:
        [layers, N, heads, T, T]; each row sums to 1.
    """
    watched, maps = recording_attention(manual)
    _forward(params, ids, replace(model, dtype="float32"), watched)
    return jnp.stack(maps)


def activations(model: Transformer) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function, or the array's part."""
    found = {}
    for n in range(1, model.layers + 1):
        found |= {f"h{n}": "gelu-tanh", f"x{n}": "residual"}
    return found

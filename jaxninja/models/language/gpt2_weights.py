"""GPT-2's parameters under the names of Hugging Face's model, and back.

Theirs are one tensor a layer, `h.3.attn.c_attn.weight`, ours one array for all layers.
Both multiply x @ W (they call that Conv1D), so no matrix is transposed. Beside the
parameters their files may hold the causal mask of each layer, and the output layer a
second time; the one is left out, the other must be the token embedding.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxninja.errors import UserError
from jaxninja.models.gpt2 import Gpt2, table

# ours -> theirs, of a layer and of the rest
LAYER = {
    "gain1": "ln_1.weight",
    "bias1": "ln_1.bias",
    "Wqkv": "attn.c_attn.weight",
    "bqkv": "attn.c_attn.bias",
    "Wo": "attn.c_proj.weight",
    "bo": "attn.c_proj.bias",
    "gain2": "ln_2.weight",
    "bias2": "ln_2.bias",
    "Wfc": "mlp.c_fc.weight",
    "bfc": "mlp.c_fc.bias",
    "Wproj": "mlp.c_proj.weight",
    "bproj": "mlp.c_proj.bias",
}
REST = {
    "wte": "wte.weight",
    "wpe": "wpe.weight",
    "gainf": "ln_f.weight",
    "biasf": "ln_f.bias",
}
PREFIX = "transformer."  # of all but the output layer, in files of the whole model
HEAD = "lm_head.weight"
MASK = re.compile(r"h\.\d+\.attn\.(masked_)?bias")
WIDTH = 64  # of a head in all of OpenAI's sizes
LARGEST = np.finfo(np.float32).max
SIZED = ("vocab_size", "n_positions", "n_embd", "n_layer")  # what tensors tell as well
# What else a config.json may say of the function, and what it must say then.
FIXED = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
}


class WeightsError(UserError, ValueError):
    """Tensors that are not GPT-2's; the message names one."""


def exported(params: Mapping[str, Any], model: Gpt2) -> dict[str, np.ndarray]:
    """Tensors by Hugging Face's names, float32, without the rows that pad wte."""
    found = {}
    for ours, theirs in REST.items():
        rows = model.vocabulary if ours == "wte" else None
        found[PREFIX + theirs] = np.asarray(params[ours], np.float32)[:rows]
    for ours, theirs in LAYER.items():
        for l, layer in enumerate(np.asarray(params[ours], np.float32)):
            found[f"{PREFIX}h.{l}.{theirs}"] = layer
    return found


def config(model: Gpt2) -> dict[str, Any]:
    """The config.json that transformers reads beside the tensors."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "vocab_size": model.vocabulary,
        "n_positions": model.context,
        "n_embd": model.embedding,
        "n_layer": model.layers,
        "n_head": model.heads,
        "layer_norm_epsilon": model.eps,
        "tie_word_embeddings": True,
    }


def sizes(tensors: Mapping[str, Any], config: Mapping[str, Any] | None = None) -> Gpt2:
    """The sizes of the model that these tensors are of.

    Args:
        tensors: Hugging Face's name -> array.
        config: its config.json, which knows the heads and layernorm's eps; without it
            a head has the width of 64, as in all of OpenAI's models.

    Raises:
        WeightsError: a tensor that tells a size is missing, or has not two axes, or
            config.json says something else than the tensors do, or is not GPT-2's.
    """
    tensors, config = _bare(tensors), config or {}
    for name in (REST["wte"], REST["wpe"]):
        if name not in tensors:
            raise WeightsError(f"tensor {name} is missing; these are not GPT-2's")
        if len(tensors[name].shape) != 2:
            raise WeightsError(
                f"tensor {name} is {list(tensors[name].shape)}, expected two axes"
            )
    (V, C), T = tensors[REST["wte"]].shape, tensors[REST["wpe"]].shape[0]
    numbers = [int(m[1]) for m in map(re.compile(r"h\.(\d+)\.").match, tensors) if m]
    layers = max(numbers, default=-1) + 1
    heads = _positive(config, "n_head", int, max(1, C // WIDTH))
    eps = _positive(config, "layer_norm_epsilon", float, 1e-5)
    model = Gpt2(V, T, layers, heads, C, eps=eps)
    _expect_alike(config, model)
    return model


def _positive(given: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = given.get(name, default)
    if type(value) is not kind or not value > 0:
        number = "an integer" if kind is int else "a number"
        raise WeightsError(
            f"{name} of config.json is {value!r}, expected {number} above 0"
        )
    return value


def _expect_alike(given: Mapping[str, Any], model: Gpt2) -> None:
    """Refuse a config.json that makes another function of the same tensors."""
    expected = {name: (config(model)[name],) for name in SIZED} | FIXED
    for name, values in expected.items():
        if given.get(name, values[0]) not in values:
            raise WeightsError(
                f"{name} of config.json is {given[name]!r}, expected {values[0]!r}"
            )


def imported(tensors: Mapping[str, np.ndarray], model: Gpt2) -> dict[str, np.ndarray]:
    """Parameters of this model from tensors by Hugging Face's names, in float32.

    With a longer context than the model's, the first places are taken.

    Raises:
        WeightsError: names a tensor that is missing, surplus, of another shape, not of
            finite floats, or an output layer that is not the token embedding.
    """
    tensors = _bare(tensors)
    shapes = {name: shape for name, (shape, _, _) in table(model).items()}
    shapes["wte"] = (model.vocabulary, model.embedding)
    expected = {theirs: shapes[ours] for ours, theirs in REST.items()}
    for ours, theirs in LAYER.items():
        expected |= {f"h.{l}.{theirs}": shapes[ours][1:] for l in range(model.layers)}
    head = tensors.pop(HEAD, None)
    _check(tensors, expected)
    if head is not None and not np.array_equal(head, tensors[REST["wte"]]):
        raise WeightsError(
            f"tensor {HEAD} is another than {REST['wte']}, expected the same: GPT-2's "
            "output layer is its token embedding"
        )

    def stacked(theirs):
        return np.stack([tensors[f"h.{l}.{theirs}"] for l in range(model.layers)])

    params = {ours: tensors[theirs] for ours, theirs in REST.items()}
    params |= {ours: stacked(theirs) for ours, theirs in LAYER.items()}
    params["wpe"] = params["wpe"][: model.context]
    beyond = model.rows - model.vocabulary
    params["wte"] = np.pad(params["wte"], [(0, beyond), (0, 0)])
    return {name: params[name].astype(np.float32) for name in shapes}


def _bare(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Names without their prefix, and no masks."""
    bare = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    return {name: bare[name] for name in bare if not MASK.fullmatch(name)}


def _check(tensors, expected):
    for name in sorted(expected.keys() - tensors.keys()):
        raise WeightsError(f"tensor {name} is missing, expected {[*expected[name]]}")
    for name in sorted(tensors.keys() - expected.keys()):
        raise WeightsError(f"tensor {name} is none of GPT-2's with these sizes")
    for name, shape in expected.items():
        tensor = tensors[name]
        given = tensor.shape
        longer = name == REST["wpe"] and given[1:] == shape[1:] and given[0] >= shape[0]
        if given != shape and not longer:
            raise WeightsError(
                f"tensor {name} is {[*given]}, expected {[*shape]} for these sizes"
            )
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            raise WeightsError(f"tensor {name} is {tensor.dtype}, expected floats")
        if not (np.abs(tensor) <= LARGEST).all():
            raise WeightsError(
                f"tensor {name} holds a number that is not finite in float32"
            )

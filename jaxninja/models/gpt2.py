"""GPT-2 as a composition of rules: the routes `rules` and `autodiff`.

    ids [N, T] -> wte[ids] + wpe [N, T, C]
        -> layers x (x + attention(layernorm x)), (x + mlp(layernorm x))
        -> layernorm -> logits = . @ wte.T [N, T, V] -> cross entropy

The output layer is the token embedding again, transposed. All layers are alike, so each
of their parameters is one array with the layers along its first axis, and a scan walks
along it: a program's size, and the time to compile it, do not grow with the layers.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners";
initialisation as in Karpathy's nanoGPT.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.errors import UserError, did_you_mean
from jaxninja.models.parts import Params, Statistics, in_dtype, linear, unnamed
from jaxninja.models.parts.initialisers import normal
from jaxninja.models.parts.sequences import (
    IGNORED,
    check_length,
    recording_attention,
)
from jaxninja.rules import manual

RESIDUALS = ("10C", "5C", "1C")
MASKED = -1e30  # logit of a row of wte that stands for no token


class SizeError(UserError, ValueError):
    """Sizes that no network has; the message says which and what to give."""


@dataclass(frozen=True)
class Gpt2:
    """Sizes and constants; the defaults are those of the model of 124M parameters.

    Attributes:
        vocabulary: V, number of tokens.
        context: longest sequence that there are positions for.
        embedding: C, width of all that goes from layer to layer.
        multiple: wte has V rows, rounded up to a multiple of this; those beyond V are
            no tokens and receive no gradient. 128 suits a GPU's matrix units.
        residuals: numbers that the backward pass by hand keeps for each token and
            layer, 10C, 5C or 1C; what is not kept is computed again.
        dtype: of the matrix products, float32 or bfloat16; all else is as the
            parameters are.
    """

    vocabulary: int = 50_257
    context: int = 1024
    layers: int = 12
    heads: int = 12
    embedding: int = 768
    multiple: int = 1
    eps: float = 1e-5
    residuals: str = "10C"
    dtype: str = "float32"

    def __post_init__(self):
        for name in ("vocabulary", "context", "layers", "heads", "embedding"):
            if getattr(self, name) < 1:
                raise SizeError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.multiple < 1:
            raise SizeError(f"multiple is {self.multiple}, expected 1 or more")
        if self.embedding % self.heads:
            raise SizeError(
                f"embedding is {self.embedding}, expected a multiple of the "
                f"{self.heads} heads, as each has an equal part of it"
            )
        if self.residuals not in RESIDUALS:
            known = ", ".join(RESIDUALS)
            raise SizeError(f"residuals is {self.residuals!r}, expected one of {known}")
        if self.dtype not in ("float32", "bfloat16"):
            raise SizeError(f"dtype is {self.dtype!r}, expected float32 or bfloat16")

    @property
    def rows(self) -> int:
        """Of wte."""
        return -(-self.vocabulary // self.multiple) * self.multiple


SIZES = {
    "gpt2": Gpt2(),
    "gpt2-medium": Gpt2(layers=24, heads=16, embedding=1024),
    "gpt2-large": Gpt2(layers=36, heads=20, embedding=1280),
    "gpt2-xl": Gpt2(layers=48, heads=25, embedding=1600),
    "gpt2-tiny": Gpt2(vocabulary=256, context=64, layers=2, heads=2, embedding=32),
}


def named(name: str, **options: Any) -> Gpt2:
    """Sizes by name, with single ones replaced: `named("gpt2", context=256)`.

    Raises:
        SizeError: no such name or option, or sizes that do not fit together.
    """
    if name not in SIZES:
        known = ", ".join(SIZES)
        hint = did_you_mean(name, SIZES)
        raise SizeError(f"model is {name!r}, expected one of {known}{hint}")
    known = [field.name for field in fields(Gpt2)]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise SizeError(f"{option!r} is no size of {name}{hint}")
    return replace(SIZES[name], **options)


def table(model: Gpt2) -> dict[str, tuple[tuple[int, ...], float, float]]:
    """Name of each parameter -> (shape, deviation, mean) of its initial values.

    The products that add to x have a deviation that is less by sqrt(2 layers), the root
    of the number of such terms.
    """
    L, C = model.layers, model.embedding
    small = 0.02 / (2 * L) ** 0.5
    return {
        "wte": ((model.rows, C), 0.02, 0.0),
        "wpe": ((model.context, C), 0.02, 0.0),
        "gain1": ((L, C), 0.0, 1.0),
        "bias1": ((L, C), 0.0, 0.0),
        "Wqkv": ((L, C, 3 * C), 0.02, 0.0),
        "bqkv": ((L, 3 * C), 0.0, 0.0),
        "Wo": ((L, C, C), small, 0.0),
        "bo": ((L, C), 0.0, 0.0),
        "gain2": ((L, C), 0.0, 1.0),
        "bias2": ((L, C), 0.0, 0.0),
        "Wfc": ((L, C, 4 * C), 0.02, 0.0),
        "bfc": ((L, 4 * C), 0.0, 0.0),
        "Wproj": ((L, 4 * C, C), small, 0.0),
        "bproj": ((L, C), 0.0, 0.0),
        "gainf": ((C,), 0.0, 1.0),
        "biasf": ((C,), 0.0, 0.0),
    }


MATRICES = ("wte", "wpe", "Wqkv", "Wo", "Wfc", "Wproj")  # what weight decay is for
LAYER = tuple(table(Gpt2()))[2:-2]  # the parameters that each layer has


@partial(jax.jit, static_argnums=1)
def init(key: Array, model: Gpt2) -> Params:
    """Normal weights, biases 0 and gains 1; each has a key folded by its place."""

    def drawn(i, shape, deviation, mean):
        if deviation == 0:
            return jnp.full(shape, mean, jnp.result_type(float))
        return mean + deviation * normal(jax.random.fold_in(key, i), shape)

    return {name: drawn(i, *row) for i, (name, row) in enumerate(table(model).items())}


def hidden(
    params: Params,
    ids: Int[Array, "N T"],
    model: Gpt2,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> Float[Array, "N T C"]:
    """What the output layer multiplies: the last layer's x, normalised."""
    check_length("gpt2", ids, model.context)
    emb = name(ops.embedding(params["wte"], ids) + params["wpe"][: ids.shape[1]], "emb")
    x = _through(params, emb, model, ops, name)
    y = ops.layernorm(x, params["gainf"], params["biasf"], model.eps)
    return name(y, "y")


def _through(params, x, model, ops, name):
    """x after all layers: a scan, which compiles one of them; but no array inside a
    scan can have a name, so where there are names they stand one after the other."""
    layers = {key: params[key] for key in LAYER}
    if name is unnamed:
        return lax.scan(lambda x, w: (layer(w, x, model, ops), None), x, layers)[0]
    for n in range(model.layers):
        w = {key: a[n] for key, a in layers.items()}
        x = layer(w, x, model, ops, lambda a, key, n=n: name(a, f"{key}{n + 1}"))
    return x


def layer(w, x, model, ops, name=unnamed):
    """x [N, T, C] after a layer with the parameters w."""

    def heads(a):
        return a.reshape(*a.shape[:2], model.heads, -1)

    a = ops.layernorm(x, w["gain1"], w["bias1"], model.eps)
    qkv = linear(ops, a, w["Wqkv"], w["bqkv"], model.dtype)
    q, k, v = map(heads, jnp.split(in_dtype(qkv, model.dtype), 3, -1))
    o = ops.attention(q, k, v, True, None, None, None).astype(x.dtype)
    x = x + linear(ops, o.reshape(x.shape), w["Wo"], w["bo"], model.dtype)
    a = ops.layernorm(x, w["gain2"], w["bias2"], model.eps)
    f = linear(ops, a, w["Wfc"], w["bfc"], model.dtype)
    h = name(ops.gelu(f, True), "h")
    return name(x + linear(ops, h, w["Wproj"], w["bproj"], model.dtype), "x")


def loss(
    params: Params,
    ids: Int[Array, "N T"],
    labels: Int[Array, "N T"],
    model: Gpt2,
    ops: SimpleNamespace = manual,
    name: Callable[..., Any] = unnamed,
) -> tuple[Float[Array, ""], Statistics]:
    """Mean cross entropy in nats over the labels that are not -1; no statistics.

    Args:
        params: as made by `init`.
        ids: [N, T] tokens, in [0, V); T up to the context.
        labels: [N, T] the tokens after them, or -1 to leave one out.
        model: sizes and constants.
        ops: `manual` or `autodiff`.
        name: called with each intermediate and its name, and returns it: emb, of
            layer n the activations h<n> and the result x<n>, y, loss.
    """
    y = hidden(params, ids, model, ops, name).reshape(-1, model.embedding)
    y, wte = (in_dtype(a, model.dtype) for a in (y, params["wte"]))
    bias = None
    if model.rows > model.vocabulary:
        token = jnp.arange(model.rows) < model.vocabulary
        bias = jnp.where(token, 0, MASKED).astype(y.dtype)
    options = (IGNORED, "mean", 0.0, None, 0.0, None)
    value = ops.linear_cross_entropy(y, wte.T, bias, labels.reshape(-1), *options)
    return name(value, "loss"), {}


def apply(
    params: Params, statistics: Statistics, ids: Int[Array, "N T"], model: Gpt2
) -> Float[Array, "N T V"]:
    """Logits of the token after each of ids, in float32."""
    exact = replace(model, dtype="float32")
    return hidden(params, ids, exact) @ params["wte"][: model.vocabulary].T


def attention_maps(
    params: Params, ids: Int[Array, "N T"], model: Gpt2
) -> Float[Array, "L N H T T"]:
    """What each place attends to: row t of a map has the weights of the places s <= t.

    Returns:
        [layers, N, heads, T, T]; each row sums to 1.
    """
    exact = replace(model, dtype="float32")
    watched, maps = recording_attention(manual)
    hidden(params, ids, exact, watched, lambda x, name: x)
    return jnp.stack(maps)


def activations(model: Gpt2) -> dict[str, str]:
    """Name of each activation array in `loss` -> its function, or the array's part."""
    found = {}
    for n in range(1, model.layers + 1):
        found |= {f"h{n}": "gelu-tanh", f"x{n}": "residual"}
    return found

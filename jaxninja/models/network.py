"""Which models there are, where each is written, and what is common to all of them.

A model is a page: a module with a frozen dataclass of its sizes, `init`, `loss`,
`apply` and `activations`, and with batchnorm `preactivation`. In `by_hand/` stands a
page of the same name, the whole backward pass of its loss.

Window models (ninja, deep, wavenet) predict the symbol after a window of T symbols:
ids [N, T], labels [N], logits [N, V]. Sequence models predict all symbols of an item:
ids [N, T], labels [N, T] with -1 where there is none, logits [N, T, V].
"""

from types import ModuleType
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxninja.errors import ArgumentError
from jaxninja.models import (
    bigram,
    bow,
    deep,
    gpt2,
    gru,
    lstm,
    mlp,
    ninja,
    rnn,
    transformer,
    wavenet,
)
from jaxninja.models.bigram import Bigram
from jaxninja.models.bow import Bow
from jaxninja.models.by_hand import bigram as bigram_by_hand
from jaxninja.models.by_hand import bow as bow_by_hand
from jaxninja.models.by_hand import gpt2 as gpt2_by_hand
from jaxninja.models.by_hand import gru as gru_by_hand
from jaxninja.models.by_hand import lstm as lstm_by_hand
from jaxninja.models.by_hand import mlp as mlp_by_hand
from jaxninja.models.by_hand import ninja as ninja_by_hand
from jaxninja.models.by_hand import rnn as rnn_by_hand
from jaxninja.models.by_hand import transformer as transformer_by_hand
from jaxninja.models.by_hand import wavenet as wavenet_by_hand
from jaxninja.models.deep import Deep
from jaxninja.models.gpt2 import Gpt2
from jaxninja.models.gru import Gru
from jaxninja.models.language import gpt2_cache, gpt2_costs, gpt2_weights
from jaxninja.models.lstm import Lstm
from jaxninja.models.mlp import Mlp
from jaxninja.models.ninja import Ninja
from jaxninja.models.rnn import Rnn
from jaxninja.models.transformer import Transformer
from jaxninja.models.wavenet import Wavenet


class Language(NamedTuple):
    """Where is written what a model of running text has beside its page."""

    cache: ModuleType  # token by token, with what was read before kept
    costs: ModuleType  # in memory and in operations
    weights: ModuleType  # under the names of others


class Page(NamedTuple):
    """Where a model is written."""

    sizes: type  # its dataclass
    module: ModuleType
    by_hand: ModuleType | None  # the whole backward pass; None: by its layers only
    reads_sequences: bool
    language: Language | None = None  # of a model of running text, not of items


PAGES = {
    "bigram": Page(Bigram, bigram, bigram_by_hand, True),
    "mlp": Page(Mlp, mlp, mlp_by_hand, True),
    "bow": Page(Bow, bow, bow_by_hand, True),
    "rnn": Page(Rnn, rnn, rnn_by_hand, True),
    "gru": Page(Gru, gru, gru_by_hand, True),
    "lstm": Page(Lstm, lstm, lstm_by_hand, True),
    "transformer": Page(Transformer, transformer, transformer_by_hand, True),
    "wavenet": Page(Wavenet, wavenet, wavenet_by_hand, False),
    "ninja": Page(Ninja, ninja, ninja_by_hand, False),
    "deep": Page(Deep, deep, None, False),
    "gpt2": Page(
        Gpt2, gpt2, gpt2_by_hand, True, Language(gpt2_cache, gpt2_costs, gpt2_weights)
    ),
}
MODELS: dict[str, type] = {name: page.sizes for name, page in PAGES.items()}
_PAGES = {page.sizes: page for page in PAGES.values()}

Model = (
    Bigram | Mlp | Bow | Rnn | Gru | Lstm | Transformer | Wavenet | Ninja | Deep | Gpt2
)


def page(model: Model) -> Page:
    """Where this model is written."""
    return _PAGES[type(model)]


def of(model: Model) -> Any:
    """The module with the functions of this model."""
    return page(model).module


def reads_sequences(model: Model) -> bool:
    """Whether it predicts every symbol of an item, and not the one after a window."""
    return page(model).reads_sequences


def intermediates(
    params: dict[str, Array], ids: Array, labels: Array, model: Model
) -> dict[str, Array]:
    """The named arrays of the forward pass on a batch, in the order of computation."""
    found = {}

    def note(x, name):
        found[name] = x
        return x

    of(model).loss(params, ids, labels, model, name=note)
    return found


def normalised(model: Model) -> dict[int, tuple[str, str]]:
    """Layers with batchnorm -> the names of their mean and variance in statistics."""
    if isinstance(model, Ninja):
        return {1: ("mean", "var")}
    layers = getattr(model, "normalised", ())
    return {layer: (f"mean{layer}", f"var{layer}") for layer in layers}


def initial_statistics(model: Model) -> dict[str, Array]:
    """Where the running statistics [H] of each batchnorm start: mean 0, variance 1."""
    statistics = {}
    for layer, (mean, var) in normalised(model).items():
        H = model.widths[layer] if isinstance(model, Deep) else model.hidden  # type: ignore
        statistics |= {mean: jnp.zeros(H), var: jnp.ones(H)}
    return statistics


def with_ddof(
    statistics: dict[str, Array], n: int, model: Model, ddof: int | None
) -> dict[str, Array]:
    """Statistics of a batch of n whose variances are over n - ddof.

    `loss` returns them over n - model.ddof, as it normalises with. PyTorch normalises
    with ddof 0 and lets the running variance have ddof 1.

    Raises:
        ValueError: n <= ddof.
    """
    own = getattr(model, "ddof", None)  # of its batchnorm, where it has one
    if not statistics or ddof is None or own is None or ddof == own:
        return statistics
    if n <= ddof:
        raise ArgumentError(f"n is {n}, expected more than ddof = {ddof}")
    scaled = {}
    for layer, (_, var) in normalised(model).items():
        rows = n * places(model, layer)
        scaled[var] = statistics[var] * ((rows - own) / (rows - ddof))
    return statistics | scaled


def places(model: Model, layer: int) -> int:
    """Rows of an example that the batchnorm of a layer goes over: several where it
    reads a sequence of inputs, as in a wavenet."""
    return model.places(layer) if isinstance(model, Wavenet) else 1

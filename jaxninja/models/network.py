"""Which models there are, where each is written, and what is common to all of them.

A model is a page: a module with a frozen dataclass of its sizes, `init`, `loss`,
`apply`, `initial_statistics` and `activations`, and with batchnorm `preactivation`. In
`by_hand/` stands a page of the same name, the whole backward pass of its loss.

Window models (ninja, deep, wavenet) predict the symbol after a window of T symbols:
ids [N, T], labels [N], logits [N, V]. Sequence models predict all symbols of an item:
ids [N, T], labels [N, T] with -1 where there is none, logits [N, T, V].
"""

from types import ModuleType
from typing import Any, NamedTuple

from jaxtyping import Array

from jaxninja.models import bigram, deep, ninja
from jaxninja.models.bigram import Bigram
from jaxninja.models.by_hand import bigram as bigram_by_hand
from jaxninja.models.by_hand import ninja as ninja_by_hand
from jaxninja.models.deep import Deep
from jaxninja.models.ninja import Ninja


class Page(NamedTuple):
    """Where a model is written."""

    sizes: type  # its dataclass
    module: ModuleType
    by_hand: ModuleType | None  # the whole backward pass; None: by its layers only
    reads_sequences: bool


PAGES = {
    "bigram": Page(Bigram, bigram, bigram_by_hand, True),
    "ninja": Page(Ninja, ninja, ninja_by_hand, False),
    "deep": Page(Deep, deep, None, False),
}
MODELS: dict[str, type] = {name: page.sizes for name, page in PAGES.items()}
_PAGES = {page.sizes: page for page in PAGES.values()}

Model = Bigram | Ninja | Deep


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


def with_ddof(
    statistics: dict[str, Array], n: int, model: Model, ddof: int | None
) -> dict[str, Array]:
    """Statistics of a batch of n whose variances are over n - ddof.

    `loss` returns them over n - model.ddof, as it normalises with. PyTorch normalises
    with ddof 0 and lets the running variance have ddof 1.

    Raises:
        ValueError: n <= ddof.
    """
    if not statistics or ddof is None or ddof == model.ddof:
        return statistics
    if n <= ddof:
        raise ValueError(f"n is {n}, expected more than ddof = {ddof}")
    factor = (n - model.ddof) / (n - ddof)
    variances = {var for _, var in normalised(model).values()}
    return {k: v * factor if k in variances else v for k, v in statistics.items()}

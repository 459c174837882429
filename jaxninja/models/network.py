"""Which module holds a model's functions, and what is common to all of them.

`ninja` (the lecture's network of Part 4) and `deep` (any number of layers) both have
`init`, `loss`, `apply`, `preactivation`, `initial_statistics` and `activations`.
"""

from typing import Any

from jaxtyping import Array

from jaxninja.models import deep, ninja
from jaxninja.models.deep import Deep
from jaxninja.models.ninja import Ninja

Model = Ninja | Deep


def of(model: Model) -> Any:
    """The module with the functions of this model."""
    return {Ninja: ninja, Deep: deep}[type(model)]


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
    return {layer: (f"mean{layer}", f"var{layer}") for layer in model.normalised}


def with_ddof(
    statistics: dict[str, Array], n: int, model: Model, ddof: int | None
) -> dict[str, Array]:
    """Statistics of a batch of n whose variances are over n - ddof.

    `loss` returns them over n - model.ddof, as it normalises with. PyTorch normalises
    with ddof 0 and lets the running variance have ddof 1.

    Raises:
        ValueError: n <= ddof.
    """
    if ddof is None or ddof == model.ddof:
        return statistics
    if n <= ddof:
        raise ValueError(f"n is {n}, expected more than ddof = {ddof}")
    factor = (n - model.ddof) / (n - ddof)
    variances = {var for _, var in normalised(model).values()}
    return {k: v * factor if k in variances else v for k, v in statistics.items()}

"""Batchnorm in a network whose layers are counted: gamma<l>, beta<l>, mean<l>, var<l>.

A forward calls `normalise(layer, x)`; which one it is given makes it training's, with
`by_batch`, or inference's, with `by_statistics`.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from jaxtyping import Array

from jaxninja.models.parts import Params, Statistics
from jaxninja.models.parts.batchnorm_statistics import frozen
from jaxninja.rules.normalisation.batchnorm import batch_statistics

Normalise = Callable[[int, Array], Array]


def by_batch(
    params: Params, model: Any, ops: SimpleNamespace
) -> tuple[Normalise, Statistics]:
    """Batchnorm by the batch's own statistics, and these, filled in as layers are run.

    Args:
        params: gamma<l> and beta<l> [D] of each layer l that is normalised.
        model: its eps and ddof.
        ops: `manual` or `autodiff`.
    """
    statistics: Statistics = {}

    def normalise(layer: int, x: Array) -> Array:
        mean, var = batch_statistics(x, model.ddof)
        statistics.update({f"mean{layer}": mean, f"var{layer}": var})
        gamma, beta = params[f"gamma{layer}"], params[f"beta{layer}"]
        return ops.batchnorm(x, gamma, beta, model.eps, model.ddof)

    return normalise, statistics


def by_statistics(params: Params, statistics: Statistics, model: Any) -> Normalise:
    """Batchnorm as at inference: an affine map."""

    def normalise(layer: int, x: Array) -> Array:
        moments = statistics[f"mean{layer}"], statistics[f"var{layer}"]
        gamma, beta = params[f"gamma{layer}"], params[f"beta{layer}"]
        return frozen(x, gamma, beta, moments, model.eps)

    return normalise

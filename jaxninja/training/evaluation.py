"""Losses at inference, and the statistics that batchnorm uses there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxninja.data.text import check_ids
from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.machine import settings

BLOCK = 4096  # examples at a time: 3 MB of hidden units, whatever the data set's size


@settings.fixed()
def calibrate(
    params: Params, x: ArrayLike, model: Model, ddof: int | None = None
) -> Statistics:
    """Mean and variance of what each batchnorm sees over a whole data set.

    In two passes a layer, each with the calibrated statistics of the layers below: what
    batchnorm would compute if the whole set were one batch.

    Args:
        params: of the network.
        x: [N, T] contexts, usually all of the training set.
        model: of these parameters.
        ddof: the variance is over N - ddof; None takes the model's, as in training.

    Returns:
        For each layer its mean [H] and var [H] = sum (x - mean)^2 / (N - ddof), by
        the names of the model's statistics; empty without batchnorm.

    Raises:
        DataError: an id outside [0, V), with its place.
    """
    check_ids(x, model.vocabulary, "x")
    x = jnp.asarray(x)
    blocks, weights = _blocks(x)
    free = len(x) - (model.ddof if ddof is None else ddof)
    statistics: Statistics = {}
    for layer, (mean, var) in network.normalised(model).items():
        sums = partial(_sums, params, statistics, blocks, weights, model, layer)
        centre = sums(0.0, 1) / len(x)
        statistics = {**statistics, mean: centre, var: sums(centre, 2) / free}
    return statistics


@settings.fixed()
def mean_loss(
    params: Params, statistics: Statistics, x: ArrayLike, y: ArrayLike, model: Model
) -> float:
    """Mean cross entropy in nats over a data set, with given batchnorm statistics.

    Args:
        params: of the network.
        statistics: running or calibrated mean [H] and var [H].
        x: [N, T] contexts. N = 0 gives NaN.
        y: [N] next symbols.
        model: of these parameters.

    Raises:
        DataError: an id outside [0, V), with its place.
    """
    check_ids(x, model.vocabulary, "x")
    check_ids(y, model.vocabulary, "y")
    x, y = jnp.asarray(x), jnp.asarray(y)
    if len(x) == 0:
        return float("nan")
    blocks, weights = _blocks(x)
    labels, _ = _blocks(y)
    sums = _losses(params, statistics, blocks, labels, weights, model)
    return float(np.asarray(sums, np.float64).sum() / len(x))


def _blocks(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[N, ...] -> [B, BLOCK, ...] padded with zeros, and weights that are 0 there."""
    count = -(-len(a) // BLOCK)
    size = min(BLOCK, len(a))  # a small set is one block of its own size
    padding = [(0, count * size - len(a))] + [(0, 0)] * (a.ndim - 1)
    padded = jnp.pad(a, padding)
    weights = (jnp.arange(count * size) < len(a)).astype(jnp.float32)
    return padded.reshape(count, size, *a.shape[1:]), weights.reshape(count, size)


@partial(jax.jit, static_argnums=(4, 5, 7))
def _sums(params, statistics, blocks, weights, model, layer, centre, power):
    """sum over all examples of (preactivation - centre)^power, as [H]."""
    preactivation = network.of(model).preactivation

    def block_sum(total, block):
        x, w = block
        value = preactivation(params, statistics, x, model, layer)
        return total + w @ (value - centre) ** power, None

    total = jnp.zeros(jnp.shape(params[f"W{layer}"])[1])
    return jax.lax.scan(block_sum, total, (blocks, weights))[0]


@partial(jax.jit, static_argnums=5)
def _losses(params, statistics, blocks, labels, weights, model):
    """Sum of the losses of each block, as [B]."""

    def block_loss(block):
        x, y, w = block
        logits = network.of(model).apply(params, statistics, x, model)
        logprobs = jax.nn.log_softmax(logits)
        return -(w @ jnp.take_along_axis(logprobs, y[:, None], 1)[:, 0])

    return jax.lax.map(block_loss, (blocks, labels, weights))

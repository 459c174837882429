"""Losses at inference, and the statistics that batchnorm uses there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxninja.data.text import IGNORED, check_ids
from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.machine import settings

BLOCK = 4096  # predictions at a time: 3 MB of hidden units, whatever the data's size
LOGITS = 2**25  # numbers at a time, at most


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
    statistics: Statistics = {}
    for layer, (mean, var) in network.normalised(model).items():
        sums = partial(_sums, params, statistics, blocks, weights, model, layer)
        total, per_example = sums(0.0, 1)
        n = len(x) * int(per_example)
        centre = total / n
        free = n - (getattr(model, "ddof", 0) if ddof is None else ddof)
        statistics = {**statistics, mean: centre, var: sums(centre, 2)[0] / free}
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
        y: [N] next symbols; of sequences [N, T], -1 where there is none. The mean is
            over those that there are.
        model: of these parameters.

    Raises:
        DataError: an id outside [0, V), with its place.
    """
    check_ids(x, model.vocabulary, "x")
    sequences = network.reads_sequences(model)
    counted = np.asarray(y) != IGNORED if sequences else np.ones(np.shape(y), bool)
    check_ids(np.where(counted, y, 0), model.vocabulary, "y")
    x, y = jnp.asarray(x), jnp.asarray(y)
    if not counted.any():
        return float("nan")
    size = min(BLOCK, max(LOGITS // model.vocabulary, 1))
    rows = max(size // x.shape[1], 1) if sequences else size
    blocks, weights = _blocks(x, rows)
    labels, _ = _blocks(y, rows)
    sums = _losses(params, statistics, blocks, labels, weights, model)
    return float(np.asarray(sums, np.float64).sum() / counted.sum())


def _blocks(a: jax.Array, rows: int = BLOCK) -> tuple[jax.Array, jax.Array]:
    """[N, ...] -> [B, rows, ...] padded with zeros, and weights that are 0 there."""
    count = -(-len(a) // rows)
    size = min(rows, len(a))  # a small set is one block of its own size
    padding = [(0, count * size - len(a))] + [(0, 0)] * (a.ndim - 1)
    padded = jnp.pad(a, padding)
    weights = (jnp.arange(count * size) < len(a)).astype(jnp.float32)
    return padded.reshape(count, size, *a.shape[1:]), weights.reshape(count, size)


@partial(jax.jit, static_argnums=(4, 5, 7))
def _sums(params, statistics, blocks, weights, model, layer, centre, power):
    """sum over all rows of (preactivation - centre)^power, as [H], and the rows that an
    example has: one for each of its positions in the layer."""
    preactivation = network.of(model).preactivation

    def values(x):
        value = preactivation(params, statistics, x, model, layer)
        return value.reshape(len(x), -1, value.shape[-1])

    def block_sum(total, block):
        x, w = block
        return total + w @ ((values(x) - centre) ** power).sum(1), None

    shape = jax.eval_shape(values, blocks[0]).shape
    total = jnp.zeros(shape[-1])
    return jax.lax.scan(block_sum, total, (blocks, weights))[0], shape[1]


@partial(jax.jit, static_argnums=5)
def _losses(params, statistics, blocks, labels, weights, model):
    """Sum of the losses of each block, as [B]."""

    def block_loss(block):
        x, y, w = block
        logits = network.of(model).apply(params, statistics, x, model)
        logprobs = jax.nn.log_softmax(logits)
        picked = jnp.take_along_axis(logprobs, jnp.maximum(y, 0)[..., None], -1)
        counted = jnp.where(y == IGNORED, 0.0, picked[..., 0])
        return -(w @ counted.reshape(len(y), -1).sum(1))

    return jax.lax.map(block_loss, (blocks, labels, weights))

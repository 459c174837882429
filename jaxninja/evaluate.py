"""Losses at inference, and the statistics that batchnorm uses there."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxninja.data import check_ids
from jaxninja.models import mlp
from jaxninja.models.mlp import MLP, Params, Statistics

BLOCK = 4096  # examples at a time: 3 MB of hidden units, whatever the data set's size


def calibrate(params: Params, x: ArrayLike, model: MLP) -> Statistics:
    """Mean and variance of hprebn over a whole data set, in two passes.

    Args:
        params: of the network.
        x: [N, T] contexts, usually all of the training set.
        model: its ddof is used here as in training.

    Returns:
        mean [H] and var [H] = sum (hprebn - mean)^2 / (N - ddof).

    Raises:
        DataError: an id outside [0, V), with its place.
    """
    check_ids(x, model.vocabulary, "x")
    x = jnp.asarray(x)
    blocks, weights = _blocks(x)
    mean = _sums(params, blocks, weights, jnp.zeros(model.hidden), 1) / len(x)
    var = _sums(params, blocks, weights, mean, 2) / (len(x) - model.ddof)
    return {"mean": mean, "var": var}


def mean_loss(
    params: Params, statistics: Statistics, x: ArrayLike, y: ArrayLike, model: MLP
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


@partial(jax.jit, static_argnums=4)
def _sums(params, blocks, weights, centre, power):
    """sum over all examples of (hprebn - centre)^power, as [H]."""

    def block_sum(total, block):
        x, w = block
        hprebn = mlp.hidden_preactivation(params, x)
        return total + w @ (hprebn - centre) ** power, None

    return jax.lax.scan(block_sum, jnp.zeros_like(centre), (blocks, weights))[0]


@partial(jax.jit, static_argnums=5)
def _losses(params, statistics, blocks, labels, weights, model):
    """Sum of the losses of each block, as [B]."""

    def block_loss(block):
        x, y, w = block
        logits = mlp.apply(params, statistics, x, model)
        logprobs = jax.nn.log_softmax(logits)
        return -(w @ jnp.take_along_axis(logprobs, y[:, None], 1)[:, 0])

    return jax.lax.map(block_loss, (blocks, labels, weights))

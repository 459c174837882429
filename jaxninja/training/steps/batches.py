"""Where the batches of a run come from: a function of (seed, step) alone.

A program is handed data and takes the batch of each step from them. Items live on the
device and are drawn there. A text may be larger than any memory: the tokens of the
steps to come are drawn on the host, from a memory map, and handed over chunk by chunk.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.data.datasets import Dataset
from jaxninja.data.running_text import RunningText
from jaxninja.data.text import batch_indices
from jaxninja.training.config import TrainConfig
from jaxninja.training.steps.intervals import longest_chunk
from jaxninja.training.steps.keys import key

Batch = tuple[jax.Array, jax.Array]  # ids and labels


class Items(NamedTuple):
    """All examples of the training set."""

    x: Any  # [M, T]
    y: Any  # [M], of sequences [M, T]

    def batch(self, config: TrainConfig, step: Any, seed: Any = None) -> Batch:
        """The examples of a step, drawn with replacement: rows of x and of y."""
        stream = key(config, "batches", seed)
        index = batch_indices(stream, step, config.batch_size, len(self.x))
        return self.x[index], self.y[index]


class Tokens(NamedTuple):
    """The sequences of some steps, drawn already."""

    rows: Any  # [steps, N, T + 1], uint16
    first: Any  # the step of the first

    def batch(self, config: TrainConfig, step: Any, seed: Any = None) -> Batch:
        """The tokens of a step, and each one's successor."""
        rows = self.rows[step - self.first].astype(jnp.int32)
        return rows[:, :-1], rows[:, 1:]


Data = Items | Tokens
"""What a program is handed, and takes the batch of each step from."""

Feed = Callable[[int], Data]
"""A step -> data with the batches from it on."""


def feed(
    config: TrainConfig,
    dataset: Dataset | RunningText,
    place: Callable[[Any], Any] | None = None,
) -> Feed:
    """The data of a run, as its program takes them.

    Args:
        config: of the run.
        dataset: its own.
        place: puts a pytree of arrays where the program runs; by default on JAX's
            default device.
    """
    place = place or (lambda tree: jax.tree.map(jnp.asarray, tree))
    if isinstance(dataset, Dataset):
        items = Items(*place(tuple(dataset.train)))
        return lambda step: items
    steps = longest_chunk(config)

    def tokens(step: int) -> Tokens:
        rows = dataset.batches(config.seed, step, steps, config.batch_size)
        return Tokens(*place((rows, np.asarray(step, np.int32))))

    return tokens

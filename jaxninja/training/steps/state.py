"""What a run carries from step to step, and the examples of each step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.data.text import batch_indices
from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.config import TrainConfig
from jaxninja.training.machine import settings
from jaxninja.training.optimizers import optimizer


class State(NamedTuple):
    """All that a run needs to go on, beside its configuration and the step."""

    params: Params
    optimizer: Any  # optax's own state, its step count included
    statistics: Statistics  # running mean [H] and var [H] of each batchnorm


def init_state(config: TrainConfig, model: Model, seed: Any = None) -> State:
    """The state at step 0; an array `seed` stands for `config.seed`, as in a sweep."""
    page = network.of(model)
    params = page.init(_key(config, "init", seed), model)
    statistics = page.initial_statistics(model)
    return State(params, optimizer(config).init(params), statistics)


def batch(
    config: TrainConfig, x: jax.Array, y: jax.Array, step, seed: Any = None
) -> tuple:
    """The examples of a step, drawn with replacement: rows of x and of y."""
    key = _key(config, "batches", seed)
    index = batch_indices(key, step, config.batch_size, len(x))
    return x[index], y[index]


def _key(config: TrainConfig, purpose: str, seed: Any = None) -> jax.Array:
    """A stream of random numbers that depends on the seed and the purpose alone."""
    seed = arguments(config)[0] if seed is None else seed.astype(jnp.uint32)
    key = jax.random.key(seed, impl=settings.IMPLEMENTATION)
    return jax.random.fold_in(key, {"init": 0, "batches": 1, "samples": 2}[purpose])


def arguments(config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Seed and learning rate, which are arguments of a program and no constants."""
    seed = np.asarray(config.seed % 2**32, np.uint32)  # of 32 bits, with either sign
    return seed, np.asarray(config.lr, jnp.result_type(float))

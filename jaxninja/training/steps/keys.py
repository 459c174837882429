"""Streams of random numbers, one for each purpose."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.training.config import TrainConfig
from jaxninja.training.machine import settings


def key(config: TrainConfig, purpose: str, seed: Any = None) -> jax.Array:
    """A stream of random numbers that depends on the seed and the purpose alone."""
    seed = arguments(config)[0] if seed is None else seed.astype(jnp.uint32)
    stream = jax.random.key(seed, impl=settings.IMPLEMENTATION)
    return jax.random.fold_in(stream, {"init": 0, "batches": 1, "samples": 2}[purpose])


def arguments(config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Seed and learning rate, which are arguments of a program and no constants."""
    seed = np.asarray(config.seed % 2**32, np.uint32)  # of 32 bits, with either sign
    return seed, np.asarray(config.lr, jnp.result_type(float))

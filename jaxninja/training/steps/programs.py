"""The compiled program of a configuration."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, SingleDeviceSharding

from jaxninja.jaxpr import wide_vectors
from jaxninja.models.by_hand import user_file
from jaxninja.models.network import Model
from jaxninja.training.config import ELSEWHERE, RESUMABLE, TrainConfig
from jaxninja.training.machine import settings
from jaxninja.training.steps.advance import make_advance
from jaxninja.training.steps.batches import Data
from jaxninja.training.steps.keys import arguments
from jaxninja.training.steps.state import init_state


def program(config: TrainConfig, model: Model, data: Data) -> Callable[..., Any]:
    """`advance(state, data, start, n)` of this configuration, compiled.

    Compiled ahead, so that its time is not counted as training, and once for all seeds
    and learning rates; what is compiled already takes no time.
    """
    version, now = user_file.version(config.route), settings.respected()
    leaves, structure = jax.tree.flatten(jax.tree.map(_placed, data))
    key = essential(config), model, tuple(leaves), structure, version, now
    compiled = _compiled(*key)
    seed, lr = arguments(config)

    def advance(state, data, start, n):
        return compiled(state, data, np.int32(start), np.int32(n), seed, lr)

    return advance


def _placed(a: jax.Array) -> jax.ShapeDtypeStruct:
    """Shape, type and place of an array."""
    mesh = isinstance(a.sharding, NamedSharding)
    where = a.sharding if mesh else SingleDeviceSharding(a.device)
    return jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=where)


@lru_cache(maxsize=16)
def _compiled(
    config: TrainConfig,
    model: Model,
    leaves: tuple[jax.ShapeDtypeStruct, ...],
    structure: Any,
    version: str,
    now: tuple,
) -> Any:
    """`advance` on data of these shapes, in these places, compiled ahead.

    Args:
        version: of a route that is a file.
        now: the settings of JAX that the program depends on.
    """
    data = jax.tree.unflatten(structure, leaves)
    where: Any = leaves[0].sharding
    mesh: Any = where.mesh if isinstance(where, NamedSharding) else None
    state = jax.eval_shape(lambda: init_state(config, model))
    if mesh:  # on all devices; one device takes a state from wherever it is
        place = partial(jax.ShapeDtypeStruct, sharding=where)
        state = jax.tree.map(lambda a: place(a.shape, a.dtype), state)
    kinds = (jnp.int32, jnp.int32, jnp.uint32, jnp.result_type(float))
    numbers = [jax.ShapeDtypeStruct((), kind) for kind in kinds]
    with matmul_precision(config):
        advance = make_advance(config, model, mesh=mesh)
        return advance.lower(state, data, *numbers).compile(wide_vectors())


def matmul_precision(config: TrainConfig) -> Any:
    """A context in which products are traced with the configuration's precision."""
    if config.matmul_precision == "default":
        return nullcontext()
    return jax.default_matmul_precision(config.matmul_precision)


def essential(config: TrainConfig) -> TrainConfig:
    """The same configuration without what is no part of a training step's program."""
    passing = {*RESUMABLE, *ELSEWHERE, "name", "runs", "seed", "lr"}
    defaults = {f.name: f.default for f in fields(TrainConfig) if f.name in passing}
    # pyrefly: ignore[bad-argument-type]  each is its own field's
    return replace(config, **defaults)

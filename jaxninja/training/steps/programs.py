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

from jaxninja.models import network
from jaxninja.models.by_hand import user_file
from jaxninja.models.network import Model
from jaxninja.training.config import RESUMABLE, TrainConfig
from jaxninja.training.machine import settings
from jaxninja.training.steps.advance import make_advance
from jaxninja.training.steps.state import arguments, init_state


def program(config: TrainConfig, model: Model, x: jax.Array) -> Callable[..., Any]:
    """`advance(state, x, y, start, n)` of this configuration, compiled.

    Compiled ahead, so that its time is not counted as training, and once for all seeds
    and learning rates; what is compiled already takes no time.
    """
    version, now = user_file.version(config.route), settings.respected()
    compiled = _compiled(essential(config), model, len(x), x.device, version, now)
    seed, lr = arguments(config)

    def advance(state, x, y, start, n):
        return compiled(state, x, y, np.int32(start), np.int32(n), seed, lr)

    return advance


@lru_cache(maxsize=16)
def _compiled(
    config: TrainConfig, model: Model, size: int, device: Any, version: str, now: tuple
) -> Any:
    """`advance` on a training set of `size` examples, compiled ahead.

    Args:
        version: of a route that is a file.
        now: the settings of JAX that the program depends on.
    """
    mesh: Any = device.mesh if isinstance(device, NamedSharding) else None
    where = device if mesh else SingleDeviceSharding(device)
    x = jax.ShapeDtypeStruct((size, model.context), jnp.int32, sharding=where)
    labels = (model.context,) * network.reads_sequences(model)
    y = jax.ShapeDtypeStruct((size, *labels), jnp.int32, sharding=where)
    state = jax.eval_shape(lambda: init_state(config, model))
    if mesh:  # on all devices; one device takes a state from wherever it is
        place = partial(jax.ShapeDtypeStruct, sharding=where)
        state = jax.tree.map(lambda a: place(a.shape, a.dtype), state)
    kinds = (jnp.int32, jnp.int32, jnp.uint32, jnp.result_type(float))
    numbers = [jax.ShapeDtypeStruct((), kind) for kind in kinds]
    with matmul_precision(config):
        advance = make_advance(config, model, mesh=mesh)
        return advance.lower(state, x, y, *numbers).compile()


def matmul_precision(config: TrainConfig) -> Any:
    """A context in which products are traced with the configuration's precision."""
    if config.matmul_precision == "default":
        return nullcontext()
    return jax.default_matmul_precision(config.matmul_precision)


def essential(config: TrainConfig) -> TrainConfig:
    """The same configuration without what is no part of a training step's program."""
    passing = {*RESUMABLE, "data", "name", "runs", "seed", "lr"}
    defaults = {f.name: f.default for f in fields(TrainConfig) if f.name in passing}
    return replace(config, **defaults)

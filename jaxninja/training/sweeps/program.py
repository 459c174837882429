"""The program of a sweep: many members at once, divided among the devices."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxninja.data.datasets import Dataset
from jaxninja.jaxpr import wide_vectors
from jaxninja.models.by_hand import user_file
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.machine import settings
from jaxninja.training.machine.devices import pick_device

AT_ONCE = 4  # members in one vmap on a CPU: more no longer fit its second-level cache


def mesh_of(config: TrainConfig) -> Mesh:
    """All devices of the kind that the configuration asks for, in one row."""
    devices = np.array(jax.devices(pick_device(config.device).platform))
    return Mesh(devices, ("members",), axis_types=(AxisType.Auto,))


def group_size(config: TrainConfig, model: Any, memory: int, devices: int) -> int:
    """Members that fit into so many bytes: their states twice, and their batches."""
    state = jax.eval_shape(lambda: steps.init_state(config, model))
    own = sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(state))
    examples = steps.longest_chunk(config) * config.batch_size
    batches = 4 * examples * steps.numbers(config)
    return max(memory // (2 * own + batches) // devices, 1) * devices


def compiled(
    config: TrainConfig, model: Any, mesh: Mesh, width: int, dataset: Dataset
) -> Callable[..., Any]:
    """`advance` of `make_advance` for `width` members, compiled once for all groups.

    Seeds and learning rates are its arguments: a later sweep runs it as well.
    """
    examples = tuple((array.shape, jnp.int32) for array in dataset.train)
    version, now = user_file.version(config.route), settings.respected()
    key = steps.essential(config), model, mesh, width, examples, version, now
    return _compiled(*key)


@lru_cache(maxsize=4)
def _compiled(config, model, mesh, width, examples, version, now) -> Any:
    """The last two: of a route that is a file, and of JAX, as in `steps`."""
    own, whole = (NamedSharding(mesh, spec) for spec in (P("members"), P()))

    def place(shape, dtype, where):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=where)

    state = jax.eval_shape(lambda: steps.init_state(config, model))
    states = jax.tree.map(lambda a: place((width, *a.shape), a.dtype, own), state)
    given = [place((width,), kind, own) for kind in (jnp.int32, jnp.float32)]
    data = steps.Items(*(place(shape, kind, whole) for shape, kind in examples))
    numbers = [jax.ShapeDtypeStruct((), jnp.int32)] * 2
    with steps.matmul_precision(config):
        advance = make_advance(config, model, mesh)
        lowered = advance.lower(states, *given, data, *numbers)
        return lowered.compile(wide_vectors())


def make_advance(config: TrainConfig, model: Any, mesh: Mesh) -> jax.stages.Wrapped:
    """`advance(states, seeds, rates, data, start, n)`, jitted, axis 0 over members.

    One program for every n, as `steps.make_advance`, and another one for another number
    of members: the same member has the same numbers in both up to rounding.
    """
    on_cpu = mesh.devices.flat[0].platform == "cpu"
    take_steps = steps.take_steps(config, model)

    @jax.jit
    def advance(states, seeds, rates, data, start, n):
        def share(states, seeds, rates, data):
            def train(member):
                state, seed, lr = member
                return take_steps(state, data, start, n, seed, lr)

            limit = min(AT_ONCE, len(seeds)) if on_cpu else len(seeds)
            size = max(k for k in range(1, limit + 1) if len(seeds) % k == 0)
            return jax.lax.map(train, (states, seeds, rates), batch_size=size)

        own = P("members")
        specs = (own, own, own, P())
        divided = jax.shard_map(share, mesh=mesh, in_specs=specs, out_specs=own)
        return divided(states, seeds, rates, data)

    return advance


def put(tree, mesh, spec):
    """Arrays placed on the devices of the mesh."""
    place = NamedSharding(mesh, spec)
    return jax.tree.map(lambda a: jax.device_put(jnp.asarray(a), place), tree)

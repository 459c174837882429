"""Many steps of training as one program."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxninja.models import network, routes
from jaxninja.models.network import Model
from jaxninja.training.config import TrainConfig
from jaxninja.training.kernel import launch
from jaxninja.training.machine.devices import default_device
from jaxninja.training.optimizers import optimizer, schedule
from jaxninja.training.steps.accumulation import among_devices, in_parts
from jaxninja.training.steps.intervals import longest_chunk
from jaxninja.training.steps.state import State

AHEAD = 100  # steps whose batches are gathered at once: a short chunk wastes the rest


def make_advance(
    config: TrainConfig,
    model: Model,
    layout: routes.Layout | None = None,
    mesh: Mesh | None = None,
) -> jax.stages.Wrapped:
    """`advance(state, data, start, n) -> state after n steps, their losses`, jitted.

    One program for every n up to `longest_chunk(config)`, which is the length of the
    losses: those from n on are 0. It takes `seed` and `lr` as further arguments; by
    default they are the configuration's, as constants of the program. `data` hold the
    batches from `start` on, see `batches`. The state's buffers are donated: the one
    passed in must not be used again. `layout` gives other gradients than those of
    `config.route`. The examples of each batch are divided among the devices of `mesh`,
    and everything else is on all of them.
    """
    whole = None if mesh is None else NamedSharding(mesh, P())

    @partial(jax.jit, donate_argnums=0, out_shardings=whole)
    def advance(state, data, start, n, seed=None, lr=None):
        many = take_steps(config, model, layout, mesh)
        return many(state, data, start, n, seed, lr)

    return advance


def take_steps(
    config: TrainConfig,
    model: Model,
    layout: routes.Layout | None = None,
    mesh: Mesh | None = None,
) -> Callable[..., tuple[State, jax.Array]]:
    """`advance` of `make_advance`, not jitted."""
    if config.engine == "kernel":
        return _in_one_kernel(config)
    gradients, lay_out, lay_back = layout or routes.layout(config.route, model)
    longest = longest_chunk(config)
    ahead = min(AHEAD, longest)
    rows = config.batch_size // config.accumulate

    def shared(state):
        """Each device takes its rows by itself, if there are as many for each and no
        statistics of the whole batch. Else XLA divides what it can."""
        if mesh is None or state.statistics or rows % mesh.size:
            return gradients
        return among_devices(gradients, mesh)

    def advance(state, data, start, n, seed=None, lr=None):
        value_and_grad = in_parts(shared(state), config.accumulate)
        one_step = _one_step(config, model, value_and_grad, optimizer(config, lr))

        def some(block, carry):
            first = block * ahead
            batches = gather(start + first + jnp.arange(ahead))

            def step(i, carry):
                state, losses = carry
                state, loss = one_step(state, jax.tree.map(lambda a: a[i], batches))
                return state, losses.at[first + i].set(loss.astype(losses.dtype))

            return jax.lax.fori_loop(0, jnp.minimum(ahead, n - first), step, carry)

        def gather(numbers):
            draw = jax.vmap(lambda number: data.batch(config, number, seed))
            if mesh is None:
                return draw(numbers)
            divided = NamedSharding(mesh, P(None, "data"))
            return jax.lax.with_sharding_constraint(draw(numbers), divided)

        carry = lay_out(state), _zeros(longest, state)
        state, losses = jax.lax.fori_loop(0, -(-n // ahead), some, carry)
        return lay_back(state), losses

    return advance


def _in_one_kernel(config: TrainConfig) -> Callable[..., tuple[State, jax.Array]]:
    """`advance` as one launch of the kernel, on the same batches.

    Raises:
        KernelError: it cannot be built for the default device.
    """
    longest = longest_chunk(config)
    train = launch.prepared(config, default_device())

    def advance(state, data, start, n, seed=None, lr=None):
        numbers = start + jnp.arange(longest)
        ids, labels = jax.vmap(lambda step: data.batch(config, step, seed))(numbers)
        rates: Any = jax.vmap(schedule(config, lr))(numbers)
        given = (state.params, state.statistics, ids, labels, rates, n)
        params, statistics, losses = train(*given)
        counts = jax.tree.map(lambda count: count + n, state.optimizer)
        return State(params, counts, statistics), losses

    return advance


def _zeros(n: int, like: Any) -> jax.Array:
    """Zeros [n] that are typed, as `like` is, as varying among shards or not."""
    leaf = jax.tree.leaves(like)[0]
    return jnp.full(n, jnp.where(False, leaf.sum(), 0.0))


def _one_step(config, model, value_and_grad, tx) -> Callable[..., Any]:
    """`(state, examples) -> state, loss`: gradients, update, running statistics."""

    def one_step(state, examples):
        (loss, batch_stats), grads = value_and_grad(state.params, *examples)
        updates, tx_state = tx.update(grads, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        batch_stats = network.with_ddof(
            batch_stats, config.batch_size, model, config.running_ddof
        )
        running = jax.tree.map(
            lambda old, new: old + config.bn_momentum * (new - old),
            state.statistics,
            batch_stats,
        )
        return State(params, tx_state, running), loss

    return one_step

"""The training step, and many of them in one call: pure functions of state and step.

`advance` runs n steps as one `lax.scan`. The data set lives on the device. The batches
of all n steps are gathered up front, from indices that depend on (seed, step) alone, so
a run cut in two draws the same batches as a run in one piece.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from jaxninja.config import RESUMABLE, TrainConfig
from jaxninja.data import batch_indices
from jaxninja.diagnostics import global_norm
from jaxninja.models import learner, networks, routes
from jaxninja.models.mlp import Params, Statistics
from jaxninja.models.networks import Model

CHUNK = 1_000  # steps in one call, at most
GATHERED = 2**24  # numbers in the batches of a call: 64 MB, gathered before its steps


class State(NamedTuple):
    """All that a run needs to go on, beside its configuration and the step."""

    params: Params
    optimizer: Any  # optax's own state, its step count included
    statistics: Statistics  # running mean [H] and var [H] of each batchnorm


def schedule(config: TrainConfig, lr: Any = None) -> optax.Schedule:
    """The learning rate of a step: lr, and lr * lr_drop from step lr_drop_at on."""
    drop = {config.lr_drop_at: config.lr_drop}
    return optax.piecewise_constant_schedule(config.lr if lr is None else lr, drop)


def optimizer(config: TrainConfig, lr: Any = None) -> optax.GradientTransformation:
    """An optimizer of optax by name, after clipping by global norm if asked for."""
    rate = schedule(config, lr)
    chosen = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=0.9),
        "rmsprop": lambda: optax.rmsprop(rate),
        "adam": lambda: optax.adam(rate),
        "adamw": lambda: optax.adamw(rate, weight_decay=config.weight_decay),
    }[config.optimizer]()
    if config.clip is None:
        return chosen
    return optax.chain(clipped(config.clip), chosen)


class Clipped(NamedTuple):
    """State of `clipped`."""

    acted: jax.Array  # int32: the steps so far at which the gradient was too long


def clipped(limit: float) -> optax.GradientTransformation:
    """optax's clipping by global norm, and a count of how often it acts."""
    clip = optax.clip_by_global_norm(limit)

    def init(params):
        return Clipped(jnp.zeros((), jnp.int32))

    def update(grads, state, params=None):
        acted = state.acted + (global_norm(grads) > limit)
        return clip.update(grads, optax.EmptyState())[0], Clipped(acted)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def init_state(config: TrainConfig, model: Model, seed: Any = None) -> State:
    """The state at step 0; an array `seed` stands for `config.seed`, as in a sweep."""
    network = networks.of(model)
    params = network.init(_key(config, "init", seed), model)
    statistics = network.initial_statistics(model)
    return State(params, optimizer(config).init(params), statistics)


def batch(
    config: TrainConfig, x: jax.Array, y: jax.Array, step, seed: Any = None
) -> tuple:
    """The examples of a step: x [N, T] and y [N], drawn with replacement."""
    key = _key(config, "batches", seed)
    index = batch_indices(key, step, config.batch_size, len(x))
    return x[index], y[index]


def make_advance(
    config: TrainConfig,
    model: Model,
    layout: routes.Layout | None = None,
    mesh: Mesh | None = None,
) -> Callable[..., Any]:
    """`advance(state, x, y, start, n) -> state after n steps, losses [n]`, jitted.

    The state's buffers are donated: the one passed in must not be used again. `layout`
    gives other gradients than those of `config.route`. The examples of each batch are
    divided among the devices of `mesh`, and everything else is on all of them.
    """
    whole = None if mesh is None else NamedSharding(mesh, P())

    @partial(jax.jit, static_argnums=4, donate_argnums=0, out_shardings=whole)
    def advance(state, x, y, start, n):
        return take_steps(config, model, state, x, y, start, n, layout, mesh)

    return advance


def take_steps(
    config: TrainConfig,
    model: Model,
    state: State,
    x: jax.Array,
    y: jax.Array,
    start: Any,
    n: int,
    layout: routes.Layout | None = None,
    mesh: Mesh | None = None,
    seed: Any = None,
    lr: Any = None,
) -> tuple[State, jax.Array]:
    """The state after n steps, and the losses [n]; `seed` and `lr` may be arrays."""
    value_and_grad, lay_out, lay_back = layout or routes.layout(config.route, model)
    tx = optimizer(config, lr)

    def one_step(state, examples):
        (loss, batch_stats), grads = value_and_grad(state.params, *examples)
        updates, tx_state = tx.update(grads, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        batch_stats = networks.with_ddof(
            batch_stats, config.batch_size, model, config.running_ddof
        )
        running = jax.tree.map(
            lambda old, new: old + config.bn_momentum * (new - old),
            state.statistics,
            batch_stats,
        )
        return State(params, tx_state, running), loss

    numbers = start + jnp.arange(n)
    batches = jax.vmap(lambda number: batch(config, x, y, number, seed))(numbers)
    if mesh is not None:
        divided = NamedSharding(mesh, P(None, "data"))
        batches = jax.lax.with_sharding_constraint(batches, divided)
    state, losses = jax.lax.scan(one_step, lay_out(state), batches)
    return lay_back(state), losses


def _key(config: TrainConfig, purpose: str, seed: Any = None) -> jax.Array:
    key = jax.random.key(config.seed if seed is None else seed)
    return jax.random.fold_in(key, {"init": 0, "batches": 1, "samples": 2}[purpose])


class Chunk(NamedTuple):
    """What `chunks` yields: the run after some more steps."""

    state: State  # donated to the next chunk: not to be used after it
    step: int  # steps taken so far
    losses: np.ndarray  # [n] loss of each of them, before its update
    seconds: float  # compilation left out
    before: State | None = None  # at its beginning


def chunks(
    config: TrainConfig,
    model: Model,
    state: State,
    x: jax.Array,
    y: jax.Array,
    start: int,
    stops: Collection[int] = (),
) -> Iterator[Chunk]:
    """Train from `start` to `config.steps`, handing over at every interval and stop.

    The results do not depend on where it hands over. A chunk has CHUNK steps at most,
    so whoever waits hears of it often, and one transfer to the host: its losses.

    Raises:
        Diverged: a loss is not finite; it carries the last finite state.
    """
    while start < config.steps:
        n = next_stop(config, start, stops) - start
        version = learner.version(config.route)
        advance = _compiled(essential(config), model, len(x), n, x.device, version)
        before = jax.tree.map(jnp.copy, state)
        clock = time.perf_counter()
        state, losses = advance(state, x, y, start)
        losses = np.asarray(losses)
        seconds = time.perf_counter() - clock
        if not np.isfinite(losses).all():
            bad = int(np.isfinite(losses).argmin())
            raise Diverged(before, start, start + bad)
        start += n
        yield Chunk(state, start, losses, seconds, before)


def prepare(
    config: TrainConfig, model: Model, x: jax.Array, start: int, stops: Collection[int]
) -> None:
    """Compile what `chunks` needs first; what is compiled already takes no time."""
    n = next_stop(config, start, stops) - start
    version = learner.version(config.route)
    _compiled(essential(config), model, len(x), n, x.device, version)


@lru_cache(maxsize=64)
def _compiled(
    config: TrainConfig, model: Model, size: int, n: int, device: Any, version: str
) -> Any:
    """`advance` of n steps on a training set of `size` examples, compiled ahead.

    Ahead, so that its time is not counted as training; cached, so that a notebook that
    trains twice compiles once; `version` is that of a route that is a file.
    """
    mesh: Any = device.mesh if isinstance(device, NamedSharding) else None
    where = device if mesh else SingleDeviceSharding(device)
    x = jax.ShapeDtypeStruct((size, model.context), jnp.int32, sharding=where)
    y = jax.ShapeDtypeStruct((size,), jnp.int32, sharding=where)
    state = jax.eval_shape(lambda: init_state(config, model))
    if mesh:  # on all devices; one device takes a state from wherever it is
        place = partial(jax.ShapeDtypeStruct, sharding=where)
        state = jax.tree.map(lambda a: place(a.shape, a.dtype), state)
    with matmul_precision(config):
        return make_advance(config, model, mesh=mesh).lower(state, x, y, 0, n).compile()


def matmul_precision(config: TrainConfig) -> Any:
    """A context in which products are traced with the configuration's precision."""
    if config.matmul_precision == "default":
        return nullcontext()
    return jax.default_matmul_precision(config.matmul_precision)


def essential(config: TrainConfig) -> TrainConfig:
    """The same configuration without what has no bearing on a training step."""
    passing = {*RESUMABLE, "data", "name", "runs"}
    defaults = {f.name: f.default for f in fields(TrainConfig) if f.name in passing}
    return replace(config, **defaults)


def longest_chunk(config: TrainConfig) -> int:
    """Steps whose batches may be gathered at once: a divisor of CHUNK, so that all
    chunks are of one length where the intervals are round."""
    fits = GATHERED // (config.batch_size * (config.context + 1))
    return max(
        (n for n in range(1, CHUNK + 1) if CHUNK % n == 0 and n <= fits), default=1
    )


def next_stop(config: TrainConfig, step: int, stops: Collection[int] = ()) -> int:
    """The first step after `step` at which something is due."""
    intervals = config.log_every, config.eval_every, config.checkpoint_every
    every = (longest_chunk(config), *intervals)
    every += (config.diagnose,) * bool(config.diagnose)
    later = [stop for stop in stops if stop > step]
    return min(config.steps, *(step - step % n + n for n in every), *later)


class Diverged(ArithmeticError):
    """The loss is not finite at `step`; `state`, at `start`, is the last good one."""

    def __init__(self, state: State, start: int, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.state, self.start, self.step = state, start, step


def first_nonfinite(
    diverged: Diverged, config: TrainConfig, model: Model, x: jax.Array, y: jax.Array
) -> str:
    """Name of the first array, in the order of computation, that is not finite."""
    state = state_at(diverged, config, model, x, y)
    ids, labels = batch(config, x, y, diverged.step)
    named = state.params | networks.intermediates(state.params, ids, labels, model)
    return next((k for k, a in named.items() if not jnp.isfinite(a).all()), "loss")


def state_at(
    diverged: Diverged, config: TrainConfig, model: Model, x: jax.Array, y: jax.Array
) -> State:
    """The state at the step whose loss is not finite.

    The steps from the last good state are taken again, which gives the same numbers.
    """
    state, n = diverged.state, diverged.step - diverged.start
    if n:
        copy = jax.tree.map(jnp.copy, state)
        state, _ = make_advance(config, model)(copy, x, y, diverged.start, n)
    return state

"""The training step, and many of them in one call: pure functions of state and step.

`advance` runs n steps as one loop. The data set lives on the device. Batches are drawn
by indices that depend on (seed, step) alone, so a run cut in two draws the same batches
as a run in one piece. Its steps have the same bits as well: XLA fuses a loop of one
step unlike one of a thousand, so n is an argument of one compiled program, as are the
seed and the learning rate. Another program (several devices, a member of a sweep,
another route) gives the same numbers up to rounding only, and so may another machine,
another version of XLA, or a number of cores among which XLA divides a large product.
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

from jaxninja.data.text import batch_indices
from jaxninja.models import network as networks
from jaxninja.models import routes
from jaxninja.models.by_hand import user_file
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.config import RESUMABLE, TrainConfig
from jaxninja.training.kernel import build as kernel
from jaxninja.training.kernel import call
from jaxninja.training.machine import settings
from jaxninja.training.machine.devices import default_device
from jaxninja.training.optimizers import optimizer, schedule

CHUNK = 1_000  # steps in one call, at most
GATHERED = 2**24  # numbers in the batches of a call, at most
READ = 2**16  # symbols of sequences in a call, at most: a second's work, about
AHEAD = 100  # steps whose batches are gathered at once: a short chunk wastes the rest


class State(NamedTuple):
    """All that a run needs to go on, beside its configuration and the step."""

    params: Params
    optimizer: Any  # optax's own state, its step count included
    statistics: Statistics  # running mean [H] and var [H] of each batchnorm


def init_state(config: TrainConfig, model: Model, seed: Any = None) -> State:
    """The state at step 0; an array `seed` stands for `config.seed`, as in a sweep."""
    network = networks.of(model)
    params = network.init(_key(config, "init", seed), model)
    statistics = network.initial_statistics(model)
    return State(params, optimizer(config).init(params), statistics)


def batch(
    config: TrainConfig, x: jax.Array, y: jax.Array, step, seed: Any = None
) -> tuple:
    """The examples of a step, drawn with replacement: rows of x and of y."""
    key = _key(config, "batches", seed)
    index = batch_indices(key, step, config.batch_size, len(x))
    return x[index], y[index]


def make_advance(
    config: TrainConfig,
    model: Model,
    layout: routes.Layout | None = None,
    mesh: Mesh | None = None,
) -> Callable[..., Any]:
    """`advance(state, x, y, start, n) -> state after n steps, their losses`, jitted.

    One program for every n up to `longest_chunk(config)`, which is the length of the
    losses: those from n on are 0. It takes `seed` and `lr` as further arguments; by
    default they are the configuration's, as constants of the program. The state's
    buffers are donated: the one passed in must not be used again. `layout` gives other
    gradients than those of `config.route`. The examples of each batch are divided among
    the devices of `mesh`, and everything else is on all of them.
    """
    whole = None if mesh is None else NamedSharding(mesh, P())

    @partial(jax.jit, donate_argnums=0, out_shardings=whole)
    def advance(state, x, y, start, n, seed=None, lr=None):
        many = take_steps(config, model, layout, mesh)
        return many(state, x, y, start, n, seed, lr)

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
    value_and_grad, lay_out, lay_back = layout or routes.layout(config.route, model)
    longest = longest_chunk(config)
    ahead = min(AHEAD, longest)

    def advance(state, x, y, start, n, seed=None, lr=None):
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
            draw = jax.vmap(lambda number: batch(config, x, y, number, seed))
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
    kernel.register(default_device())
    longest = longest_chunk(config)
    running_ddof = config.ddof if config.running_ddof is None else config.running_ddof
    constants = call.Constants(
        config.eps, config.bn_momentum, config.ddof, running_ddof
    )

    def advance(state, x, y, start, n, seed=None, lr=None):
        numbers = start + jnp.arange(longest)
        draw = jax.vmap(lambda number: batch(config, x, y, number, seed))
        ids, labels = draw(numbers)
        rates: Any = jax.vmap(schedule(config, lr))(numbers)
        given = (state.params, state.statistics, ids, labels, rates, n)
        params, statistics, losses = call.train(*given, constants)
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
        batch_stats = networks.with_ddof(
            batch_stats, config.batch_size, model, config.running_ddof
        )
        running = jax.tree.map(
            lambda old, new: old + config.bn_momentum * (new - old),
            state.statistics,
            batch_stats,
        )
        return State(params, tx_state, running), loss

    return one_step


def _key(config: TrainConfig, purpose: str, seed: Any = None) -> jax.Array:
    """A stream of random numbers that depends on the seed and the purpose alone."""
    seed = arguments(config)[0] if seed is None else seed.astype(jnp.uint32)
    key = jax.random.key(seed, impl=settings.IMPLEMENTATION)
    return jax.random.fold_in(key, {"init": 0, "batches": 1, "samples": 2}[purpose])


def arguments(config: TrainConfig) -> tuple[np.ndarray, np.ndarray]:
    """Seed and learning rate, which are arguments of a program and no constants."""
    seed = np.asarray(config.seed % 2**32, np.uint32)  # of 32 bits, with either sign
    return seed, np.asarray(config.lr, jnp.result_type(float))


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
    advance = program(config, model, x)
    while start < config.steps:
        n = next_stop(config, start, stops) - start
        before = jax.tree.map(jnp.copy, state)
        clock = time.perf_counter()
        state, losses = advance(state, x, y, start, n)
        losses = np.asarray(losses)[:n]
        seconds = time.perf_counter() - clock
        if not np.isfinite(losses).all():
            bad = int(np.isfinite(losses).argmin())
            raise Diverged(before, start, start + bad)
        start += n
        yield Chunk(state, start, losses, seconds, before)


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
    labels = (model.context,) * networks.reads_sequences(model)
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


def longest_chunk(config: TrainConfig) -> int:
    """Steps whose batches may be gathered at once: a divisor of CHUNK, so that all
    chunks are of one length where the intervals are round."""
    fits = GATHERED // (config.batch_size * numbers(config))
    if config.reads_sequences:
        fits = min(fits, READ // (config.batch_size * (config.context or 1)))
    return max(
        (n for n in range(1, CHUNK + 1) if CHUNK % n == 0 and n <= fits), default=1
    )


def numbers(config: TrainConfig) -> int:
    """Integers in an example: its symbols and its labels."""
    context = config.context or 1
    return 2 * context if config.reads_sequences else context + 1


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
    state: State, step: int, config: TrainConfig, model: Model, x: Any, y: Any
) -> str:
    """Name of the first array, in the order of computation, that is not finite."""
    ids, labels = batch(config, x, y, step)
    named = state.params | networks.intermediates(state.params, ids, labels, model)
    return next((k for k, a in named.items() if not jnp.isfinite(a).all()), "loss")


def state_at(
    diverged: Diverged, config: TrainConfig, model: Model, x: jax.Array, y: jax.Array
) -> State:
    """The state at the step whose loss is not finite.

    The steps from the last good state are taken again, by the same program, which gives
    the same numbers.
    """
    state, n = diverged.state, diverged.step - diverged.start
    if n:
        copy = jax.tree.map(jnp.copy, state)
        state, _ = program(config, model, x)(copy, x, y, diverged.start, n)
    return state

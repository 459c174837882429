"""The lecture's training: by each route, in one kernel, and many seeds at once."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh

from experiments.gpu import peers
from experiments.gpu.clock import first_line, least, on_gpu
from jaxninja.data.datasets import load_dataset
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.kernel import build, call
from jaxninja.training.options.limits import ROUTES
from jaxninja.training.sweeps import program

PARAMETERS = ("C", "W1", "b1", "W2", "b2", "bngain", "bnbias")
WHOLE = 200_000  # steps of the lecture's training


def data() -> tuple[jax.Array, jax.Array]:
    x, y = load_dataset("names").train
    return jnp.asarray(x), jnp.asarray(y)


def trained(config: TrainConfig, x, y, count: int) -> tuple[Any, np.ndarray]:
    """The state after so many steps, at most 1,000, and their losses."""
    model = config.network(27)
    data = steps.Items(x, y)
    advance = steps.program(config, model, data)
    state, losses = advance(steps.init_state(config, model), data, 0, count)
    return state, np.asarray(losses)[:count]


def routes(tiny: bool) -> Iterator[dict]:
    """Microseconds of a step, in calls of 1,000 in a loop of XLA's."""
    x, y = data()
    ways = [(r, t) for r in ROUTES for t in ("float32", "bfloat16")]
    for route, dtype in ways[:1] if tiny else ways:
        config = TrainConfig(route=route, dtype=dtype)
        yield {"route": route, "in": dtype} | _timed(config, x, y, tiny)
    yield {"route": "PyTorch, autograd", "in": "float32"} | _in_torch()


def _timed(config: TrainConfig, x, y, tiny: bool) -> dict[str, Any]:
    count = 10 if tiny else 1_000
    model = config.network(27)
    advance = steps.program(config, model, steps.Items(x, y))
    state = steps.init_state(config, model)

    def work():
        nonlocal state
        state, losses = advance(state, steps.Items(x, y), 0, count)
        return losses

    seconds = least(work, 0.02 if tiny else 0.5) / count
    return {"us a step": 1e6 * seconds, f"s for {WHOLE:,} steps": WHOLE * seconds}


def _in_torch() -> dict[str, Any]:
    params, _, ids, labels, _, _ = _start(jnp.int32(0), 1)
    leaves = {name: params[name] for name in PARAMETERS}
    found = peers.seconds(peers.lecture, leaves, ids[0], labels[0])
    if "failed" in found:
        return found
    step = found["seconds"]
    return {"us a step": 1e6 * step, f"s for {WHOLE:,} steps": WHOLE * step}


def kernel(tiny: bool) -> Iterator[dict]:
    """One network: is it right, how long a step takes, how long a whole training."""
    try:
        yield {"what": "built", "is": build.register(jax.devices()[0])}
    except build.KernelError as error:
        yield {"what": "built", "failed": str(error)}
        return
    x, y = data()
    count = 3 if tiny else 200
    engines = (TrainConfig(engine=engine) for engine in ("kernel", "xla"))
    (_, mine), (_, theirs) = (trained(config, x, y, count) for config in engines)
    apart = float(abs(mine - theirs).max())
    yield {"what": f"losses of {count} steps, from route network's", "apart": apart}
    for blocks in (1, 8):
        yield {"what": f"{blocks} blocks"} | _launches(blocks, 1, tiny)
    yield {"what": "whole training"} | _whole(TrainConfig(engine="kernel"), x, y, tiny)


def _launches(blocks: int, seeds: int, tiny: bool) -> dict[str, Any]:
    """Launches of many steps each, of so many networks at once."""
    count = 2 if tiny else 1_000
    given = jax.vmap(partial(_start, count=count))(jnp.arange(seeds))
    train = partial(call.train, blocks=blocks)
    run = jax.jit(jax.vmap(train))
    try:
        seconds = least(lambda: run(*given), 0.02 if tiny else 1.0) / count
    except jax.errors.JaxRuntimeError as error:  # a GPU without clusters, say
        return {"failed": first_line(error)}
    name = f"s for {seeds:,} x {WHOLE:,} steps"
    return {"us a step": 1e6 * seconds, name: WHOLE * seconds}


def _start(seed, count: int):
    """What `call.train` takes: a state, random batches and rates, how many steps."""
    config = TrainConfig()
    state = steps.init_state(config, config.network(27), seed)
    key_ids, key_labels = jax.random.split(jax.random.key(seed))
    ids = jax.random.randint(key_ids, (count, 32, 3), 0, 27)
    labels = jax.random.randint(key_labels, (count, 32), 0, 27)
    rates = jnp.full(count, 0.1)
    return state.params, state.statistics, ids, labels, rates, jnp.int32(count)


def _whole(config: TrainConfig, x, y, tiny: bool) -> dict[str, Any]:
    """As `jaxninja train` runs it, batches drawn and losses fetched."""
    count, total = (3, 6) if tiny else (1_000, WHOLE)
    model = config.network(27)
    advance = steps.program(config, model, steps.Items(x, y))
    state = steps.init_state(config, model)
    clock = time.perf_counter()
    for start in range(0, total, count):
        state, losses = advance(state, steps.Items(x, y), start, count)
        losses = np.asarray(losses)
    seconds = time.perf_counter() - clock
    loss = float(losses[:count].mean())
    return {"us a step": 1e6 * seconds / total, f"s for {total:,} steps": seconds} | {
        "loss of the last steps": loss
    }


def sweeps(tiny: bool) -> Iterator[dict]:
    """Many seeds at once: XLA's program of `jaxninja sweep`, and the kernel's."""
    for seeds in (2,) if tiny else (64, 1_056):
        yield {"seeds": seeds, "engine": "xla"} | _sweep(seeds, tiny)
        try:
            build.register(jax.devices()[0])
        except build.KernelError as error:
            yield {"seeds": seeds, "engine": "kernel", "failed": str(error)}
            continue
        for blocks in (1,) if not on_gpu() else (1, 8):
            row = {"seeds": seeds, "engine": f"kernel, {blocks} blocks"}
            yield row | _launches(blocks, seeds, tiny)


def _sweep(seeds: int, tiny: bool) -> dict[str, Any]:
    count = 2 if tiny else 200
    config, (x, y) = TrainConfig(), data()
    mesh = Mesh(np.array(jax.devices()[:1]), ("members",), axis_types=(AxisType.Auto,))
    model = config.network(27)
    numbers = jnp.arange(seeds)
    states = jax.vmap(lambda seed: steps.init_state(config, model, seed))(numbers)
    advance = program.make_advance(config, model, mesh)
    given = (states, numbers, jnp.full(seeds, config.lr), steps.Items(x, y), 0, count)
    seconds = least(lambda: advance(*given), 0.02 if tiny else 0.5) / count
    name = f"s for {seeds:,} x {WHOLE:,} steps"
    return {"us a step": 1e6 * seconds, name: WHOLE * seconds}

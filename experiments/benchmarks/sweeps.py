"""Many seeds at once against one: seconds of a step of one seed.

    python -m experiments.benchmarks.sweeps ROUNDS

Prints JSON. A process of its own: the number of CPU devices is fixed at the start.
"""

import json
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments import step_speed
from experiments.benchmarks.clock import repeated, take_turns
from experiments.benchmarks.contenders import in_scan
from jaxninja import TrainConfig
from jaxninja.training import steps
from jaxninja.training.sweeps import program

SEEDS, STEPS = 64, 200  # of a call


def many_seeds(config, x, y, devices: int, at_once: int):
    """The program of `jaxninja sweep`, with so many members in one vmap."""
    model = config.network(step_speed.V)
    axes = (AxisType.Auto,)
    mesh = Mesh(np.array(jax.devices()[:devices]), ("members",), axis_types=axes)
    put = lambda a, spec: jax.device_put(a, NamedSharding(mesh, spec))  # noqa: E731
    seeds = put(jnp.arange(SEEDS), P("members"))
    rates = put(jnp.full(SEEDS, config.lr), P("members"))
    states = jax.vmap(lambda seed: steps.init_state(config, model, seed))(seeds)
    states, data = put(states, P("members")), put(steps.Items(x, y), P())
    given = (states, seeds, rates, data, 0, STEPS)
    program.AT_ONCE = at_once
    compiled = program.make_advance(config, model, mesh).lower(*given).compile()
    return repeated(lambda: jax.block_until_ready(compiled(*given)))


def main() -> None:
    jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    x, y = step_speed.examples()
    config, shipped = TrainConfig(), program.AT_ONCE
    devices = len(jax.devices())
    tried = {(devices, k) for k in (1, shipped, 8, SEEDS // devices)} | {(1, shipped)}
    work = {"one seed": in_scan(config, x, y, count=STEPS)}
    for count, at_once in sorted(tried):
        name = f"{SEEDS} seeds, {count} devices, {at_once} in a vmap"
        name += " (jaxninja sweep)" * ((count, at_once) == (devices, shipped))
        work[name] = many_seeds(config, x, y, count, at_once)
    seconds = take_turns(work, int(sys.argv[1]))
    units = {name: STEPS * (1 if name == "one seed" else SEEDS) for name in work}
    print(json.dumps({k: [s / units[k] for s in row] for k, row in seconds.items()}))


if __name__ == "__main__":
    main()

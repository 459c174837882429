"""How fast are steps of GPT-2 by hand on all cores?

    python -m experiments.gpt2.cores [--rounds 5] [--batch 4] [--width 256]
        [--layers 4] [--heads 4] [--tokens 1024] [--vocabulary 2048]

By the clock, the least of rounds in which all take turns: one program on all cores, and
where they divide the batch, a device on each core with its rows of it, as `jaxninja
train --distributed` takes them. PyTorch, eager and compiled, where it is installed.
"""

import os

os.environ.setdefault("XLA_FLAGS", "")  # all cores, where `speed` would ask for one

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from experiments.benchmarks.clock import repeated, take_turns
from experiments.gpt2 import speed
from jaxninja.training.steps.accumulation import among_devices


def on_devices(params, ids, labels, losses):
    """Name -> call that takes steps on all devices, each with its rows."""
    mesh = Mesh(np.array(jax.devices()), ("data",))
    whole, rows = NamedSharding(mesh, P()), NamedSharding(mesh, P("data"))
    params = jax.device_put(params, whole)
    ids, labels = jax.device_put((ids, labels), rows)
    named = {
        f"{name}, {mesh.size} devices": among_devices(loss, mesh)
        for name, loss in losses.items()
    }
    return speed.jax_steps(params, ids, labels, named)


def main():
    cores = os.cpu_count() or 1
    jax.config.update("jax_num_cpu_devices", cores)
    given = speed.options(__doc__, batch=4).parse_args()
    model, arrays = speed.model_and_arrays(given)
    losses = speed.in_jax(model, forms=())
    calls = speed.jax_steps(*arrays, losses)
    if given.batch % jax.device_count() == 0:
        calls |= on_devices(*arrays, losses)
    if speed.torch is not None:
        speed.torch.set_num_threads(cores)
        calls |= speed.torch_steps(*arrays, model)

    turns = {name: repeated(call) for name, call in calls.items()}
    spent = take_turns(turns, given.rounds)
    speed.table_of_steps({name: min(seconds) for name, seconds in spent.items()})


if __name__ == "__main__":
    main()

"""Training over several devices and hosts, on JAX's own engine (XLA's SPMD).

The same program runs in every process. The parameters are on all devices, and the
examples of a batch are divided among them. Each device takes the gradients of its rows,
and they are added up once (steps/accumulation.py); of a network with batchnorm XLA
divides the program instead: its statistics are means over an array that happens to be
divided, those of the whole batch.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxninja.training.config import ConfigError

HEARTBEAT = 15  # seconds without a sign of life until the others give a process up
CHILD = "JAXNINJA_WATCHED"  # set in the process that a parent watches
RESUME = "resume     "  # how the header's line begins that tells how to go on


def initialize(heartbeat: int = HEARTBEAT) -> None:
    """Join the other processes; on Slurm and Kubernetes JAX knows who they are.

    Elsewhere JAX_COORDINATOR_ADDRESS (host:port of process 0), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID say it. A process of which nothing is said, and which has several
    devices, is alone.

    Raises:
        ConfigError: only some of these are set, or JAX cannot tell.
    """
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    given = {name: os.environ.get(name) for name in names}
    missing = [name for name, value in given.items() if value is None]
    if 0 < len(missing) < len(names):
        raise ConfigError(f"{' and '.join(missing)} not set, expected all of {names}")
    if heartbeat < 1:
        raise ConfigError(f"heartbeat is {heartbeat}, expected 1 or more seconds")
    address, count, number = given.values()
    explicit: dict[str, Any] = {}
    if not missing:
        explicit = {"coordinator_address": address}
        explicit |= {"num_processes": int(count or 0), "process_id": int(number or 0)}
    try:
        jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat, **explicit)
    except ValueError as error:
        if missing and jax.local_device_count() > 1:
            return
        raise ConfigError(
            f"JAX does not know the processes of this run ({error}); start it under "
            f"Slurm or Kubernetes, or set {', '.join(names)}; a process by itself "
            "needs several devices (JAX_NUM_CPU_DEVICES=2 makes two of a CPU)"
        ) from None


def data_mesh() -> Mesh:
    """All devices of all processes in one row; XLA decides how to use them."""
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))


def command(mesh: Mesh) -> str:
    """What trains on these devices; a CPU is asked for them each time."""
    train, first = "jaxninja train --distributed", mesh.devices.flat[0]
    alone = jax.process_count() == 1 and first.platform == "cpu"
    return f"JAX_NUM_CPU_DEVICES={mesh.size} {train}" if alone else train


def check(batch_size: int, mesh: Mesh) -> None:
    """Refuse a batch that cannot be divided evenly."""
    if batch_size % mesh.size:
        raise ConfigError(
            f"batch_size is {batch_size}, expected a multiple of {mesh.size}, the "
            "number of devices"
        )


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """The same arrays on all devices; every process must give the same."""
    sharding = NamedSharding(mesh, P())
    return jax.tree.map(lambda a: _spread(np.asarray(a), sharding), tree)


def _spread(array: np.ndarray, sharding: NamedSharding) -> jax.Array:
    return jax.make_array_from_callback(array.shape, sharding, lambda i: array[i])


def here(tree: Any) -> Any:
    """Arrays that all devices hold, as arrays of this process's own device."""
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a)), tree)


@contextmanager
def own_folder(runs: str, resume: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Where this process keeps its books: process 0 in `runs`, the others nowhere.

    They write to a temporary folder, into which a run to resume is copied first.

    Raises:
        ConfigError: a process does not see the run to resume.
    """
    if jax.process_index() == 0:
        _meet("copied")
        yield runs, resume
        return
    with tempfile.TemporaryDirectory() as scratch:
        seen = resume is None or resume.is_dir()
        if resume is not None and seen:
            resume = Path(shutil.copytree(resume, Path(scratch) / resume.name))
        _meet("copied")
        if not seen:
            raise ConfigError(
                f"process {jax.process_index()} does not see {resume}; the run folder "
                "must be on a file system that all hosts share"
            )
        yield scratch, resume


def _meet(where: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(where)


def must_stop(caught: bool, turn: int) -> bool:
    """Do all processes stop now? After a Ctrl-C in any, or SIGTERM before a preemption.

    Args:
        caught: a signal was caught in this process.
        turn: how often this was asked; the same in all processes.
    """
    if jax.process_count() == 1:
        return caught
    preempted = multihost_utils.reached_preemption_sync_point(turn)
    asked = multihost_utils.process_allgather(np.array(caught))
    return bool(preempted or np.any(asked))


def watch(arguments: list[str]) -> int:
    """Run the command in a child process and say how to go on if it dies.

    JAX ends the survivors of a dead process in C++, without a Python exception: only a
    parent is left to speak.
    """
    command = [sys.executable, "-m", "jaxninja", *arguments]
    env = os.environ | {CHILD: "1"}
    env.pop("COLUMNS", None)  # lines come whole: one of them is read below
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    assert child.stdout is not None
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {n: signal.signal(n, lambda n, _: child.send_signal(n)) for n in numbers}
    resume = ""
    try:
        for line in child.stdout:
            resume = line.removeprefix(RESUME) if line.startswith(RESUME) else resume
            sys.stdout.write(line)
            sys.stdout.flush()
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code < 0:  # killed by a signal, as JAX's abort is one
        name = signal.Signals(-code).name
        again = resume.strip() or "the same command"
        sys.stdout.write(f"a process of this run died ({name}); go on with: {again}\n")
        return 128 - code
    return code

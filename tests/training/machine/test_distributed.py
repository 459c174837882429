"""Several devices and processes give what one gives; a process that dies is told of."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import chex
import pytest

import jaxninja
from jaxninja.storage import run_folder
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.machine import distributed
from jaxninja.training.progress import Progress
from tests.runs import ITEMS

DEVICES = """
import sys, jax, numpy as np
from jaxninja import TrainConfig
from jaxninja.training.machine import distributed
from jaxninja.models import routes
from jaxninja.training import steps
from jaxninja.training.steps.accumulation import among_devices
rng = np.random.default_rng(0)
x = rng.integers(0, 11, (50, 3), dtype=np.int32)
names = TrainConfig(hidden=16, batch_size=8), steps.Items(x, x[:, 0])
sizes = dict(context=6, layers=1, heads=1, embedding=4, batch_size=4, accumulate=2)
text = TrainConfig(model="gpt2", warmup=0, cosine=0, **sizes)
rows = rng.integers(0, 11, (steps.longest_chunk(text), 4, 7)).astype(np.uint16)
text = text, steps.Tokens(rows, np.int32(0))

def apart(config, data, n, dtype):
    model = config.network(11)
    state = steps.init_state(config, model)
    floating = lambda a: a.astype(dtype) if a.dtype.kind == "f" else a
    state = jax.tree.map(lambda a: floating(np.asarray(a)), state)
    mesh = distributed.data_mesh()
    assert mesh.size == 2
    given = distributed.everywhere((state, data), mesh)
    advance = steps.make_advance(config, model, mesh=mesh).lower(*given, 0, n).compile()
    assert "all-reduce" in advance.as_text()
    many = advance(*given, 0, n)
    one = steps.make_advance(config, model)(*jax.tree.map(
        jax.numpy.asarray, (state, data)), 0, n)
    pairs = zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True)
    return max(float(abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)

def uneven():
    # most labels of the first device's rows do not count
    model = text[0].network(11)
    params = steps.init_state(text[0], model).params
    params = jax.tree.map(lambda a: np.asarray(a, float), params)
    ids = rng.integers(0, 11, (4, 6)).astype(np.int32)
    labels = np.where(np.arange(24).reshape(4, 6) < 10, -1, np.roll(ids, -1, 1))
    one = routes.value_and_grad("network", model)
    many = jax.jit(among_devices(one, distributed.data_mesh()))
    pairs = map(jax.tree.leaves, (one(params, ids, labels), many(params, ids, labels)))
    return max(float(abs(a - b).max()) for a, b in zip(*pairs, strict=True))

print(apart(*names, 1000, np.float32))
with jax.enable_x64(True):
    print(uneven())
    print(apart(*names, 1, np.float64))
    print(apart(*text, 1, np.float64))
"""


def test_two_devices_give_what_one_gives():
    """batchnorm's statistics are those of the whole batch, or this would be far off; a
    text model's batch is divided into parts, each of them among the devices."""
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "2"},
    )
    assert done.returncode == 0, done.stderr
    after_1000, *after_one = map(float, done.stdout.split())
    assert after_1000 < 1e-5
    assert max(after_one) < 1e-12


def test_a_batch_that_cannot_be_divided_is_refused():
    class Three:
        size = 3

    with pytest.raises(ConfigError, match="batch_size is 32, expected a multiple of 3"):
        distributed.check(32, Three())


def test_half_a_description_of_the_processes_is_refused(monkeypatch):
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    with pytest.raises(ConfigError, match="JAX_COORDINATOR_ADDRESS and JAX_PROCESS_ID"):
        distributed.initialize()


@pytest.fixture
def small(tmp_path):
    (tmp_path / "items.txt").write_text("\n".join(ITEMS))
    return {
        "data": str(tmp_path / "items.txt"),
        "runs": str(tmp_path / "runs"),
        "steps": 40,
        "batch_size": 8,
        "hidden": 16,
        "log_every": 10,
        "eval_every": 20,
        "checkpoint_every": 10,
        "samples": 0,
        "name": "both",
    }


def start(options):
    """`jaxninja train --distributed` twice, with two CPU devices each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    arguments = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
    command = [sys.executable, "-m", "jaxninja", "train", "--distributed"]
    shared = {
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_NUM_CPU_DEVICES": "2",
    }
    return [
        subprocess.Popen(
            command + arguments,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | shared | {"JAX_PROCESS_ID": str(i)},
        )
        for i in range(2)
    ]


def finish(processes):
    texts = [p.communicate(timeout=300) for p in processes]
    return [p.returncode for p in processes], [out for out, _ in texts], texts


def test_two_processes_write_one_run_that_equals_one_process(small):
    codes, said, texts = finish(start(small))
    assert codes == [0, 0], texts
    assert os.listdir(small["runs"]) == ["both"]
    assert "4 in 2 processes" in said[0]
    assert "losses" not in said[1]  # process 0 speaks for all
    both = jaxninja.load(os.path.join(small["runs"], "both"))
    one = jaxninja.train(TrainConfig(**small | {"name": "one"}), progress=Progress())
    chex.assert_trees_all_close(both.state, one.state, rtol=1e-7, atol=1e-5)
    assert both.result["val_loss"] == pytest.approx(one.result["val_loss"], rel=1e-5)
    assert [m["step"] for m in both.metrics] == [m["step"] for m in one.metrics]


def test_a_process_by_itself_divides_a_batch_among_its_devices(small):
    options = [f"--{k.replace('_', '-')}={v}" for k, v in small.items()]
    command = [sys.executable, "-m", "jaxninja", "train", "--distributed", *options]
    two, one = (
        subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=os.environ | {"JAX_NUM_CPU_DEVICES": count},
        )
        for count in "21"
    )
    assert two.returncode == 0, two.stderr
    assert "2 in 1 process\n" in two.stdout
    again = "JAX_NUM_CPU_DEVICES=2 jaxninja train --distributed --resume "
    assert f"resume     {again}" in two.stdout
    assert one.returncode != 0
    assert "a process by itself needs several devices" in one.stderr


def wait_for_a_checkpoint(path, processes):
    while (
        run_folder.latest_checkpoint(path) is None
        or not (path / "config.json").exists()
    ):
        assert all(p.poll() is None for p in processes), finish(processes)
        time.sleep(0.1)


def children(process):
    """pids of the processes that a process has started."""
    path = f"/proc/{process.pid}/task/{process.pid}/children"
    with open(path) as file:
        return [int(pid) for pid in file.read().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("victim", ["killed", "asked to stop"])
def test_when_one_process_ends_all_end_and_the_run_goes_on(victim, small, tmp_path):
    processes = start(small | {"steps": 10**6, "heartbeat": 5, "diagnose": 0})
    path = tmp_path / "runs" / "both"
    wait_for_a_checkpoint(path, processes)
    (child,) = children(processes[1])
    os.kill(child, signal.SIGKILL if victim == "killed" else signal.SIGTERM)
    codes, said, texts = finish(processes)
    assert f"go on with: jaxninja train --distributed --resume {path}" in said[0] or (
        victim != "killed" and f"go on with: jaxninja train --resume {path}" in said[0]
    ), "\n".join(said)
    if victim == "killed":
        assert codes[1] == 128 + signal.SIGKILL
        assert codes[0] != 0
    else:
        assert codes == [128 + signal.SIGTERM] * 2, texts
        assert f"stopped at step {jaxninja.load(path).step}" in said[0]
    step = jaxninja.load(path).step
    config = json.loads((path / "config.json").read_text())["config"]
    more = TrainConfig.from_dict(config | {"steps": step + 10})
    assert jaxninja.train(more, resume=path, progress=Progress()).step == step + 10

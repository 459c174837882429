"""Sweeps: a member is the same training alone, and hurts no other."""

import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import chex
import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import jaxninja
from jaxninja.cli.sweep import main
from jaxninja.errors import UserError
from jaxninja.rules.blocking import platform
from jaxninja.storage import run_folder
from jaxninja.training import steps
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.machine.signals import Interrupted
from jaxninja.training.progress import Progress
from jaxninja.training.runs.recorder import Record
from jaxninja.training.sweeps import members, plan, trainer
from jaxninja.training.sweeps.program import _compiled, group_size
from jaxninja.training.sweeps.trainer import resumed, summary, sweep
from tests.runs import ITEMS, StopAt


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "items.txt"
    path.write_text("\n".join(ITEMS))
    return path


@pytest.fixture
def small(items, tmp_path):
    return _small(items, tmp_path / "runs")


def _small(items, runs):
    return TrainConfig(
        data=str(items),
        runs=str(runs),
        steps=30,
        batch_size=8,
        hidden=16,
        log_every=15,
        eval_every=30,
        checkpoint_every=30,
        diagnose=0,
        samples=0,
    )


@pytest.fixture(scope="module")
def four(items, tmp_path_factory):
    """The rows of a sweep over four seeds, for others to be compared with."""
    runs = tmp_path_factory.mktemp("runs")
    return sweep(_small(items, runs), range(4), [0.1])


def test_a_member_is_that_training_alone(small):
    rows = sweep(small, [3, 4], [0.1, 0.02])
    expected = [(lr, seed) for lr in (0.1, 0.02) for seed in (3, 4)]
    assert [(row["lr"], row["seed"]) for row in rows] == expected
    row = rows[3]
    config = dataclasses.replace(small, seed=row["seed"], lr=row["lr"])
    alone = jaxninja.train(config, progress=Progress())
    member = jaxninja.load(row["path"])
    assert member.config.lr == row["lr"]
    assert member.step == 30
    chex.assert_trees_all_close(member.state, alone.state, rtol=1e-4, atol=1e-6)
    for part in ("train_loss", "val_loss", "test_loss"):
        assert row[part] == pytest.approx(alone.result[part], rel=1e-5)
    assert [m["step"] for m in member.metrics] == [m["step"] for m in alone.metrics]
    assert len(member.sample(2)) == 2


@pytest.mark.bits
def test_one_that_diverges_hurts_no_other(small, four):
    with_it = sweep(small, [0, 1], [0.1, 1e30])
    assert [row.get("failed_at") for row in with_it] == [None, None, 1, 1]
    for a, b in zip(with_it[:2], four[:2], strict=True):  # by the same program
        assert a["val_loss"] == b["val_loss"]
    kept = jaxninja.load(with_it[2]["path"])
    assert all(np.isfinite(p).all() for p in jax.tree.leaves(kept.state))
    told = (kept.path / "failure.txt").read_text()
    assert told.startswith("the loss is not finite at step 1; step 0, the last good")
    assert told.endswith(
        "Train anew with a smaller --lr (it was 1e+30) or with --clip 1\n"
    )
    lines = summary(with_it)
    assert [(line["members"], line["failed"]) for line in lines] == [(2, 0), (2, 2)]
    assert lines[0]["val_loss mean"] == pytest.approx(
        np.mean([row["val_loss"] for row in four[:2]])
    )


def test_a_member_whose_result_is_not_finite_says_why(four, tmp_path, monkeypatch):
    path = shutil.copytree(four[0]["path"], tmp_path / "member")
    record = Record(jaxninja.load(path))

    def fail(_):
        raise steps.Diverged(record.run.state, 29, 30)

    monkeypatch.setattr(Record, "write_result", fail)
    assert members._row(members.Member(record))["failed_at"] == 30
    told = (path / "failure.txt").read_text()
    assert told.startswith("the loss is not finite at step 30; step 29, the last good")


def test_groups_are_bounded_by_memory_and_do_not_show(small, four, monkeypatch):
    """The last group, of one, is as wide as the first; a member of two has half of the
    seconds, by a clock that counts the chunks."""
    calls, shapes = [], set()
    train, put = members.train, members.put

    def noting(array, mesh, spec):
        shapes.update([len(array)] if spec == P("members") else [])
        return put(array, mesh, spec)

    monkeypatch.setattr(
        trainer, "train", lambda c, *rest: calls.append(len(c)) or train(c, *rest)
    )
    monkeypatch.setattr(members, "put", noting)
    clock = SimpleNamespace(perf_counter=itertools.count().__next__)
    monkeypatch.setattr(members, "time", clock)
    before = _compiled.cache_info().misses
    several = sweep(small, range(3), [0.1], memory=300_000)
    assert calls == [2, 1]
    assert _compiled.cache_info().misses <= before + 1  # one program for both
    assert shapes == {2}
    for a, b in zip(four[:3], several, strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-5)
    seconds = [jaxninja.load(row["path"]).result["seconds"] for row in several]
    assert seconds == [seconds[2] / 2, seconds[2] / 2, seconds[2]]
    assert group_size(small, small.network(11), 1, 2) == 2  # at least one for a device


def test_it_is_compiled_for_its_own_device(small, monkeypatch):
    """And not for that which JAX would take: blocks are chosen by platform."""

    def compiled(*_):
        raise InterruptedError(platform())

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(trainer, "compiled", compiled)
    assert platform() == "gpu"
    with pytest.raises(InterruptedError, match="cpu"):
        sweep(dataclasses.replace(small, device="cpu"), [0], [0.1])


@pytest.mark.parametrize(("seeds", "rates"), [([], [0.1]), ([0], []), ([1, 1], [0.1])])
def test_no_members_and_twins_are_refused(small, seeds, rates):
    with pytest.raises(ConfigError, match="expected one or more of each, all differ"):
        sweep(small, seeds, rates)
    assert not os.path.exists(small.runs)


@pytest.mark.parametrize(
    ("seeds", "rates", "told"),
    [
        (range(10**9), [0.1], "1,000,000,000 members, expected at most 10,000"),
        (8, [0.1], r"seeds is 8, .*range\(8\)"),
        ([0], 0.1, r"rates is 0.1, expected several, as \[0.1\]"),
        ([0], ["0.1"], "lr is '0.1', expected a number"),
    ],
)
def test_members_that_make_no_sense_are_refused(small, seeds, rates, told):
    with pytest.raises(ConfigError, match=told):
        sweep(small, seeds, rates)
    assert not os.path.exists(small.runs)


@pytest.mark.parametrize("field", ["device", "route", "hidden"])
def test_nothing_is_made_for_what_cannot_run(field, small):
    value = {"device": "gpu", "route": "nothing.py", "hidden": 10**9}[field]
    with pytest.raises(ValueError, match=f"{value}|hidden is 1,000,000,000, but"):
        sweep(dataclasses.replace(small, **{field: value}), [0], [0.1])
    assert not os.path.exists(small.runs)


def test_a_group_has_the_members_that_are_at_one_step(small):
    """Whatever their order; a member without a checkpoint is at step 0."""
    a, b, c = plan.members(small, range(3), [0.1])
    checkpoint = run_folder.checkpoint_path(plan.path(b), 15)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert [*plan.groups([a, b, c], 2)] == [(0, [a, c]), (15, [b])]
    assert [*plan.groups([b, a, c], 1)] == [(0, [a]), (0, [c]), (15, [b])]


@pytest.mark.bits
def test_a_sweep_that_was_stopped_goes_on_where_it_was(small):
    rates = [0.1, 0.1000000001]  # which print alike
    config = dataclasses.replace(small, diagnose=15)
    quiet = StopAt(None)
    whole = sweep(dataclasses.replace(config, name="whole"), [0], rates, 2**30, quiet)
    assert any(line.startswith("compiling ") for line in quiet.lines)
    stopped = dataclasses.replace(config, name="stopped")
    with pytest.raises(Interrupted) as stop:
        sweep(stopped, [0], rates, progress=StopAt(15))
    assert (stop.value.step, stop.value.signum) == (15, signal.SIGTERM)
    assert stop.value.again == f"jaxninja sweep --resume {stop.value.path}"
    rows = resumed(stop.value.path, progress=Progress())
    for mine, theirs in zip(rows, whole, strict=True):
        assert mine["lr"] == theirs["lr"]
        assert mine["val_loss"] == theirs["val_loss"]  # by the same program
        member = jaxninja.load(mine["path"])
        assert [line["step"] for line in member.diagnostics] == [0, 15, 30]
    assert resumed(stop.value.path, progress=Progress()) == rows
    with pytest.raises(ConfigError, match=r"plan\.json"):
        resumed(mine["path"])


def test_a_sweep_that_goes_on_keeps_its_options(small, monkeypatch):
    """Those given anew are refused, but for the memory; as they were they may stand."""
    root = plan.new_folder(small, range(2), [0.1, 0.2])
    for option, value, told in (
        ("--steps", ["40"], "steps is 40, but 30 in the run"),
        ("--hidden", ["77"], "hidden is 77, but 16 in the run"),
        ("--seeds", ["3"], "seeds is 3, but 2 in the run"),
        ("--lr", ["0.5"], r"lr is \(0.5,\), but \(0.1, 0.2\) in the run"),
    ):
        with pytest.raises(ConfigError, match=f"{told}.* may change memory_mb alone"):
            main(["--resume", str(root), option, *value])
    row = {"seed": 0, "lr": 0.1, "path": str(root / "a"), "failed_at": 1}
    gone_on = []
    monkeypatch.setattr(
        "jaxninja.cli.sweep.resumed", lambda *given: gone_on.append(given) or [row]
    )
    same = ["--steps", "30", "--seeds", "2", "--lr", "0.1", "0.2"]
    assert main([f"--resume={root}", "--memory-mb", "5", *same]) == 0
    assert gone_on[0][:2] == (str(root), 5 * 2**20)


def test_two_devices_from_the_command_line(small, four, tmp_path):
    """Three members on two devices: one place is filled up and left out again."""
    given = ["data", "runs", "steps", "batch_size", "hidden", "log_every"]
    options = [f"--{n.replace('_', '-')}={getattr(small, n)}" for n in given]
    command = [sys.executable, "-m", "jaxninja", "sweep", "--seeds", "3"]
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run(
        [*command, "--lr", "0.1", "--name", "two", *options],
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    assert "3 members, 3 at a time on 2 cpu devices" in done.stdout
    folder = tmp_path / "runs" / "two"
    rows = json.loads((folder / "sweep.json").read_text())
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    for a, b in zip(rows, four[:3], strict=True):
        assert a["val_loss"] == pytest.approx(b["val_loss"], rel=1e-5)
    assert f"{summary(four[:3])[0]['val_loss mean']:.4f}" in done.stdout


def test_an_option_that_a_sweep_has_not_is_refused():
    with pytest.raises(UserError, match="no option --seed; did you mean --seeds"):
        main(["--seed", "3"])

"""`--engine kernel`: a run and a sweep like any other."""

import dataclasses

import pytest

from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.kernel import build
from jaxninja.training.kernel.build import KernelError
from jaxninja.training.loop import train
from jaxninja.training.machine import distributed
from jaxninja.training.progress import Progress
from jaxninja.training.sweeps.trainer import sweep
from tests.runs import Heard, same_bits

pytestmark = pytest.mark.bits


@pytest.fixture
def config(tmp_path):
    return TrainConfig(
        engine="kernel",
        runs=str(tmp_path / "runs"),
        steps=40,
        log_every=10,
        eval_every=20,
        checkpoint_every=20,
        diagnose=0,
        samples=0,
    )


@pytest.mark.more  # the call is in test_twin.py
def test_a_run_is_resumed_exactly(config, twin):
    heard = Heard()
    whole = train(config, progress=heard)
    assert any("twin" in line for line in heard.lines)
    half = train(dataclasses.replace(config, steps=20), progress=Progress())
    rest = train(config, resume=half.path, progress=Progress())
    assert same_bits(whole.state, rest.state)
    assert whole.result is not None
    assert whole.result["val_loss"] == rest.result["val_loss"] < 3.3
    with pytest.raises(ConfigError, match="engine"):
        train(dataclasses.replace(config, engine="xla"), resume=half.path)


@pytest.mark.more  # many networks at once are in test_twin.py
def test_a_member_of_a_sweep_is_the_same_run_alone(config, twin):
    rows = sweep(config, [0, 1], [0.1, 0.2], progress=Progress())
    alone = dataclasses.replace(config, seed=1, lr=0.2)
    run = train(alone, progress=Progress())
    (row,) = [row for row in rows if (row["seed"], row["lr"]) == (1, 0.2)]
    assert row["val_loss"] == pytest.approx(run.result["val_loss"], abs=1e-5)
    assert len({row["val_loss"] for row in rows}) == 4


def test_a_batch_is_not_divided_among_devices(config, tmp_path):
    with pytest.raises(ConfigError, match="expected xla for several devices"):
        train(config, progress=Progress(), mesh=distributed.data_mesh())
    assert not (tmp_path / "runs").exists()


def test_without_a_compiler_there_is_no_run_folder(config, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "compiler", lambda platform: None)
    monkeypatch.setattr(build, "_registered", build._registered.__wrapped__)
    with pytest.raises(KernelError, match="--engine xla"):
        train(config, progress=Progress())
    assert not (tmp_path / "runs").exists()


def test_another_vocabulary_is_refused_before_there_is_a_run_folder(config, tmp_path):
    items = tmp_path / "items.txt"
    items.write_text("\n".join("abcdefghijklmn"))
    with pytest.raises(ConfigError, match=r"for 27 symbols, and .* has 15"):
        train(dataclasses.replace(config, data=str(items)), progress=Progress())
    assert not (tmp_path / "runs").exists()

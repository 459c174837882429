"""Diagnostics of a run: the numbers of a step, and that they change nothing."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxninja
from jaxninja.models import network, routes
from jaxninja.models.ninja import Ninja
from jaxninja.storage import run_folder
from jaxninja.training import monitor, steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.loop import Interrupted
from jaxninja.training.monitor import observe
from jaxninja.training.progress import Progress
from tests.runs import ITEMS, same_bits


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("observe")
    (path / "items.txt").write_text("\n".join(ITEMS))
    return TrainConfig(
        data=str(path / "items.txt"),
        runs=str(path / "runs"),
        steps=60,
        batch_size=8,
        hidden=16,
        log_every=30,
        eval_every=60,
        checkpoint_every=20,
        samples=0,
        clip=0.5,
        bn_momentum=0.2,
        diagnose=20,
    )


@pytest.fixture(scope="module")
def run(small):
    return jaxninja.train(small, progress=Progress())


def test_the_lines_of_a_run(run):
    assert [line["step"] for line in run.diagnostics] == [0, 20, 40, 60]
    line = run.diagnostics[1]
    assert line["activations"].keys() == {"h", "logits"}
    assert line["gradients"].keys() == {"hprebn", "hpreact", "h", "logits"}
    assert line["parameters"].keys() == run.params.keys()
    assert line["batchnorm"].keys() == {"1"}
    assert 0 < line["clipped"] <= 1
    assert sum(line["activations"]["h"]["histogram"]["counts"]) == 8 * 16


def test_the_running_statistics_converge(run):
    gaps = [line["batchnorm"]["1"]["std"] for line in run.diagnostics]
    assert gaps[-1] < gaps[0]
    assert len(gaps) == 4


def test_the_numbers_are_those_of_the_step(run, small):
    """Against jax.grad of the plain forward on the batch of that step."""
    x, y = map(jnp.asarray, run.dataset.train)
    state = steps.init_state(small, run.model)
    line = run.diagnostics[0]
    ids, labels = steps.Items(x, y).batch(small, 0)
    plain = jax.jit(routes.value_and_grad("autodiff", run.model))
    (loss, _), grads = plain(state.params, ids, labels)
    assert line["loss"] == pytest.approx(float(loss), rel=1e-4)
    norm = np.sqrt(sum((np.asarray(g) ** 2).sum() for g in grads.values()))
    assert line["grad_norm"] == pytest.approx(float(norm), rel=1e-3)
    W2 = line["parameters"]["W2"]
    grad, data = np.asarray(grads["W2"]), np.asarray(state.params["W2"])
    ratio = grad.std(ddof=1) / data.std(ddof=1)
    assert W2["grad_data"] == pytest.approx(float(ratio), rel=1e-3)
    clipped = 0.1 * ratio * min(1, 0.5 / norm)
    assert W2["update_data"] == pytest.approx(float(np.log10(clipped)), rel=1e-3)
    values = jax.jit(network.intermediates, static_argnums=3)
    h = values(state.params, ids, labels, run.model)["h"]
    std = np.asarray(h).std(ddof=1)
    assert line["activations"]["h"]["std"] == pytest.approx(float(std), rel=1e-3)


def test_clipping_is_counted_at_every_step(run, small):
    x, y = map(jnp.asarray, run.dataset.train)
    state, acted = steps.init_state(small, run.model), 0
    advance = steps.program(small, run.model, steps.Items(x, y))  # as in training
    gradient = jax.jit(routes.value_and_grad("network", run.model))
    for step in range(20):
        _, grads = gradient(state.params, *steps.Items(x, y).batch(small, step))
        acted += float(np.sqrt(sum((g**2).sum() for g in grads.values()))) > 0.5
        state, _ = advance(state, steps.Items(x, y), step, 1)
    assert run.diagnostics[1]["clipped"] == pytest.approx(acted / 20)


def test_diagnostics_change_nothing(run, small):
    plain = dataclasses.replace(small, diagnose=0)
    other = jaxninja.train(plain, progress=Progress())
    assert other.diagnostics == []
    assert same_bits(run.state, other.state)


def test_a_resumed_run_has_the_same_lines(run, small):
    """Stopped at step 40, once with the line of step 40 written and once without."""

    class Stop(Progress):
        def update(self, step, loss, rate):
            if step == 40:
                raise Interrupted(run.path, 40, 2)

    for written in (False, True):
        config = dataclasses.replace(small, name=f"cut-{written}")
        with pytest.raises(Interrupted):
            jaxninja.train(config, progress=Stop())
        path = f"{small.runs}/cut-{written}"
        if written:
            lines = [json.dumps(line) + "\n" for line in run.diagnostics[:4]]
            Path(path, "diagnostics.jsonl").write_text("".join(lines))
        again = jaxninja.train(resume=path, progress=Progress())
        assert again.diagnostics == run.diagnostics


def test_a_network_without_batchnorm_has_no_gap(small):
    config = dataclasses.replace(
        small, route="rules", batchnorm="none", activation="relu", init="kaiming"
    )
    model = config.network(11)
    x = jax.random.randint(jax.random.key(0), (50, 3), 0, 11)
    data = steps.Items(x, x[:, 0])
    line = observe(config, model, steps.init_state(config, model), data, 0)
    assert line["batchnorm"] == {}
    assert line["activations"]["h1"]["dead"] < 0.5
    json.dumps(line, allow_nan=False)


def test_a_unit_is_dead_if_it_is_so_in_each_block(monkeypatch):
    """Blocks of 4,096: in one unit 0 is dead, in the other both are."""
    flags = {0: [True, False], 1: [True, True]}
    monkeypatch.setattr(
        monitor,
        "_dead_of_block",
        lambda params, x, y, model: {"h": np.array(flags[int(x[0, 0])])},
    )
    x = np.repeat([0, 1], 4_096)[:, None] * np.ones((1, 3), np.int32)
    assert monitor.dead_over_set({}, x, x[:, 0], Ninja(9)) == {"h": (1, 2)}


def test_a_line_that_was_cut_short_is_left_out(run):
    path = run.path / "diagnostics.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-100])
    assert run_folder.read_metrics(path) == run.diagnostics == run.diagnostics[:3]
    path.write_text(whole)

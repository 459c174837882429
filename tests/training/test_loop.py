"""Training: exact resumption, signals, divergence, and what the run folder holds."""

import dataclasses
import gc
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import jax
import numpy as np
import pytest

import jaxninja
from jaxninja.data.text import DataError
from jaxninja.errors import TrainError
from jaxninja.models.by_hand import ninja, ninja_fast
from jaxninja.storage import checkpoint, run_folder
from jaxninja.storage.run_folder import FolderError
from jaxninja.training import gradient_check, steps
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.loop import Interrupted
from jaxninja.training.progress import Lines, Progress
from jaxninja.training.runs.descriptions import RunError
from tests.runs import ITEMS, StopAt, same_bits

QUIET = Progress()


@pytest.fixture
def small(tmp_path):
    """Trains in a second; its intervals do not divide each other."""
    (tmp_path / "items.txt").write_text("\n".join(ITEMS))
    return TrainConfig(
        data=str(tmp_path / "items.txt"),
        runs=str(tmp_path / "runs"),
        steps=120,
        batch_size=8,
        hidden=16,
        lr_drop_at=90,
        log_every=20,
        eval_every=30,
        checkpoint_every=50,
        samples=3,
        diagnose=0,
    )


def lines(run):
    """metrics.jsonl without the wall clock."""
    metrics = run_folder.read_metrics(run.path / "metrics.jsonl")
    return [{k: v for k, v in m.items() if k != "seconds"} for m in metrics]


def test_a_run_leaves_everything_in_its_folder(small):
    config = dataclasses.replace(small, lr=0.123)
    run = jaxninja.train(config, progress=QUIET)
    assert run.path.name == "items-network-1"
    result = json.loads((run.path / "result.json").read_text())
    assert result.keys() >= {"train_loss", "val_loss", "clean_val_loss", "test_loss"}
    assert result.keys() >= {"steps_per_second", "parameters", "route", "data"}
    assert result["train_loss"] < 2.0 < np.log(len(run.vocabulary)) < 2.6
    assert [m["step"] for m in lines(run)] == [20, 30, 40, 60, 80, 90, 100, 120]
    assert [m["val_loss"] is None for m in lines(run)] == [1, 0, 1, 0, 1, 0, 1, 0]
    assert [m["lr"] for m in lines(run)] == [0.123] * 6 + [0.0123] * 2
    assert len((run.path / "samples.txt").read_text().splitlines()) == 3
    assert (run.path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (
        json.loads((run.path / "versions.json").read_text())["jax"] == jax.__version__
    )
    assert len(run_folder.checkpoints(run.path)) == small.keep
    assert run_folder.best_checkpoint(run.path)


def test_the_best_checkpoint_is_the_one_of_the_least_val_loss(small):
    run = jaxninja.train(small, progress=QUIET)
    scored = [m for m in lines(run) if m["val_loss"] is not None]
    best = min(scored, key=lambda m: m["val_loss"])
    assert jaxninja.load(run.path, "best").step == best["step"]
    assert jaxninja.load(run.path).step == small.steps


def test_the_best_checkpoint_is_an_option(small):
    run = jaxninja.train(dataclasses.replace(small, keep_best=False), progress=QUIET)
    assert run_folder.best_checkpoint(run.path) is None
    with pytest.raises(RunError, match="has no best checkpoint"):
        jaxninja.load(run.path, "best")


def test_a_loaded_run_is_the_trained_one(small):
    run = jaxninja.train(small, progress=QUIET)
    loaded = jaxninja.load(run.path)
    assert same_bits(run.state, loaded.state)
    assert loaded.config == run.config
    assert loaded.result == run.result
    assert loaded.metrics == run.metrics
    assert loaded.sample(4, seed=3) == run.sample(4, seed=3)
    assert loaded.losses() == {k: run.result[k] for k in loaded.losses()}
    assert loaded.losses("running") != loaded.losses()


def test_the_metrics_are_means_of_the_losses(small):
    run = jaxninja.train(small, progress=QUIET)
    x, y = map(jax.numpy.asarray, run.dataset.train)
    state = steps.init_state(small, run.model)
    data = steps.Items(x, y)
    _, losses = steps.program(small, run.model, data)(state, data, 0, 120)
    stops = [0, 20, 30, 40, 60, 80, 90, 100, 120]
    for line, a, b in zip(lines(run), stops, stops[1:], strict=False):
        mean = np.asarray(losses[a:b], np.float64).mean()
        assert line["train_loss"] == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_step_is_the_textbooks(optimizer, small):
    """One step of `advance` against numpy: update, running statistics."""
    config = dataclasses.replace(small, optimizer=optimizer, lr=0.05)
    run_model = config.network(11)
    x = jax.random.randint(jax.random.key(0), (50, 3), 0, 11)
    y = jax.random.randint(jax.random.key(1), (50,), 0, 11)
    before = steps.init_state(config, run_model)
    ids, labels = steps.Items(x, y).batch(config, 0)
    by_hand = jax.jit(ninja.value_and_grad, static_argnums=3)
    (_, stats), grads = by_hand(before.params, ids, labels, run_model)
    copy = jax.tree.map(jax.numpy.copy, before)
    data = steps.Items(x, y)
    after, _ = steps.program(config, run_model, data)(copy, data, 0, 1)
    for name, p in before.params.items():
        if name == "b1" and optimizer != "sgd":
            continue  # a gradient of pure rounding, which Adam blows up to a whole step
        g = np.asarray(grads[name], np.float64)
        update = 0.05 * (g if optimizer == "sgd" else g / (abs(g) + 1e-8))
        if optimizer == "adamw":
            update += 0.05 * config.weight_decay * p
        np.testing.assert_allclose(after.params[name], p - update, rtol=1e-3, atol=1e-5)
    for name, old in before.statistics.items():
        expected = 0.999 * old + 0.001 * stats[name]
        np.testing.assert_allclose(after.statistics[name], expected, 1e-5, 1e-8)


def test_clipping_bounds_the_update(small):
    config = dataclasses.replace(small, clip=0.01, lr=1.0, steps=1)
    model = config.network(11)
    x = jax.random.randint(jax.random.key(0), (50, 3), 0, 11)
    before = steps.init_state(config, model)
    copy = jax.tree.map(jax.numpy.copy, before)
    data = steps.Items(x, x[:, 0])
    after, _ = steps.program(config, model, data)(copy, data, 0, 1)
    moved = jax.tree.map(lambda a, b: ((a - b) ** 2).sum(), after.params, before.params)
    assert float(sum(moved.values())) ** 0.5 == pytest.approx(0.01, rel=1e-3)


@pytest.mark.bits
@pytest.mark.parametrize("cut", [[1], [50], [7, 8, 61], list(range(10, 120, 10))])
def test_where_chunks_end_does_not_matter(cut, small):
    """Bit for bit: 120 steps at once, and in pieces of any length, one included."""
    model = small.network(11)
    x = jax.random.randint(jax.random.key(0), (50, 3), 0, 11)
    y = jax.random.randint(jax.random.key(1), (50,), 0, 11)
    whole = dataclasses.replace(
        small, log_every=120, eval_every=120, checkpoint_every=120
    )

    def run(stops):
        state = steps.init_state(whole, model)
        data = steps.Items(x, y)
        every = steps.chunks(whole, model, state, lambda step: data, 0, stops)
        for chunk in every:  # noqa: B007
            pass
        return [np.asarray(leaf) for leaf in jax.tree.leaves(chunk.state)]

    assert same_bits(run([]), run(cut))


@contextmanager
def compilations():
    """A list that grows by one with every program that XLA compiles meanwhile."""
    seen = []

    def listen(event, *_, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_one_program_serves_all_cuts_seeds_and_rates(small):
    jaxninja.train(small, progress=QUIET)
    with compilations() as seen:
        jax.jit(lambda a: a + 17)(3.0)
    assert seen  # the event is the one that this JAX sends
    other = {"seed": -3, "lr": 0.03, "log_every": 7, "eval_every": 1, "name": "other"}
    with compilations() as seen:
        jaxninja.train(dataclasses.replace(small, **other), progress=QUIET)
    assert not seen


def test_a_run_in_float64_may_follow_one_in_float32(small):
    narrow = jaxninja.train(small, progress=QUIET)
    with jax.enable_x64(True):
        wide = jaxninja.train(small, progress=QUIET)
        assert wide.params["W1"].dtype == np.float64
    for name, p in narrow.params.items():  # the same numbers were drawn
        np.testing.assert_allclose(wide.params[name], p, rtol=1e-2, atol=1e-4)
    with pytest.raises(ConfigError, match="JAX_ENABLE_X64=True"):
        jaxninja.train(resume=wide.path, progress=QUIET)


SETTINGS = {
    "strict": (
        lambda: jax.disable_jit(True),
        lambda: jax.numpy_rank_promotion("raise"),
        lambda: jax.numpy_dtype_promotion("strict"),
        lambda: jax.transfer_guard("disallow"),
    ),
    "random": (
        lambda: jax.default_prng_impl("rbg"),
        lambda: jax.threefry_partitionable(False),
    ),
}


@pytest.mark.bits
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_of_the_users_own_change_nothing(settings, small):
    """Training with diagnostics and checks, evaluation and samples, to the bit."""
    few = {"steps": 4, "log_every": 2, "eval_every": 4}  # each operation on its own
    config = dataclasses.replace(small, **few, check_grads=1, diagnose=4)
    plain = jaxninja.train(config, progress=QUIET)
    with ExitStack() as stack:
        for setting in settings:
            stack.enter_context(setting())
        run = jaxninja.train(config, progress=QUIET)
        losses, samples = run.losses(), run.sample(3)
    assert same_bits(run.state, plain.state)
    assert (losses, samples) == (plain.losses(), plain.sample(3))


@pytest.mark.parametrize("setting", ["jax_enable_x64", "jax_default_matmul_precision"])
def test_a_run_goes_on_in_the_settings_it_began_with(setting, small):
    config = dataclasses.replace(small, steps=2, samples=0)
    run = jaxninja.train(config, progress=QUIET)
    other = {
        "jax_enable_x64": (jax.enable_x64(not jax.config.jax_enable_x64)),
        "jax_default_matmul_precision": jax.default_matmul_precision("highest"),
    }
    with other[setting], pytest.raises(ConfigError, match=f"^{setting} is .* began"):
        jaxninja.train(resume=run.path, progress=QUIET)


@pytest.mark.bits
def test_the_same_steps_are_checked_after_a_resume(small):
    """A resumed run that checks leaves what the whole one does."""
    config = dataclasses.replace(small, check_grads=7, steps=60)
    said = []
    whole = jaxninja.train(config, progress=Lines(said.append))
    short = dataclasses.replace(config, steps=60, name="short", check_grads=0)

    with pytest.raises(Interrupted) as stop:
        jaxninja.train(short, progress=StopAt(30))
    again = []
    more = dataclasses.replace(config, name="short")
    run = jaxninja.train(more, resume=stop.value.path, progress=Lines(again.append))
    checked = [[line for line in x if "gradients at" in line] for x in (said, again)]
    assert checked[1] == checked[0][4:]  # 34, 42, 51 of 0, 8, 17, 25, 34, 42, 51
    assert same_bits(run.state, whole.state)


@pytest.mark.parametrize(
    ("batch", "expected"), [(32, 1_000), (4_096, 1_000), (32_768, 125), (2**24, 1)]
)
def test_large_batches_are_gathered_a_few_steps_at_a_time(batch, expected):
    config = TrainConfig(batch_size=batch, context=3)
    assert steps.longest_chunk(config) == expected
    assert steps.next_stop(config, 3 * expected) == 4 * expected


KILLED = """
import os, sys, json
from jaxninja import TrainConfig, train
from jaxninja.training.runs import recorder as record
stop = int(sys.argv[2])
add = record.Record.add
def add_then_die(self, chunk):
    lines = add(self, chunk)
    if self.run.step >= stop:
        os.kill(os.getpid(), 9)
    return lines
record.Record.add = add_then_die
train(TrainConfig.from_dict(json.loads(sys.argv[1])))
"""


@pytest.mark.bits
@pytest.mark.parametrize(("optimizer", "clip"), [("sgd", None), ("adam", 1.0)])
def test_killed_and_resumed_is_bit_for_bit_the_whole_run(optimizer, clip, small):
    config = dataclasses.replace(small, optimizer=optimizer, clip=clip)
    whole = jaxninja.train(config, progress=QUIET)
    broken = dataclasses.replace(config, name="broken")
    command = [sys.executable, "-c", KILLED, json.dumps(broken.to_dict()), "80"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    path = whole.path.parent / "broken"
    assert [m["step"] for m in run_folder.read_metrics(path / "metrics.jsonl")][
        -1
    ] == 80
    assert jaxninja.load(path).step < 80  # what came after the checkpoint is lost
    resumed = jaxninja.train(resume=path, progress=QUIET)
    assert same_bits(resumed.state, whole.state)
    assert lines(resumed) == lines(whole)
    losses = {k for k in whole.result if k.endswith("loss")}
    assert {k: resumed.result[k] for k in losses} == {
        k: whole.result[k] for k in losses
    }
    assert (path / "samples.txt").read_text() == (
        whole.path / "samples.txt"
    ).read_text()


@pytest.mark.bits
@pytest.mark.parametrize("lost", ["params", "optimizer", "statistics", "step"])
def test_one_lost_item_would_be_noticed(lost, small):
    """The negative control of the test above."""
    config = dataclasses.replace(small, optimizer="adam", steps=60)
    whole = jaxninja.train(config, progress=QUIET)
    half = dataclasses.replace(config, name="half", steps=30)
    run = jaxninja.train(half, progress=QUIET)
    latest = run_folder.latest_checkpoint(run.path)
    state, metadata = checkpoint.load(latest, run.state)
    fresh = steps.init_state(config, run.model)
    if lost == "step":
        metadata["step"] = 29
    else:
        state = state._replace(**{lost: getattr(fresh, lost)})
    checkpoint.save(latest, state, metadata)
    more = dataclasses.replace(half, steps=60)
    resumed = jaxninja.train(more, resume=run.path, progress=QUIET)
    assert not same_bits(resumed.state, whole.state)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_says_how_to_go_on(number, small, tmp_path):
    config = dataclasses.replace(small, steps=10**9, name="long")
    given = {k: v for k, v in config.to_dict().items() if v and k != "keep_best"}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    command = [sys.executable, "-m", "jaxninja", "train", *arguments]
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the tests were started with this signal ignored")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            metrics = tmp_path / "runs" / "long" / "metrics.jsonl"
            while not run_folder.read_metrics(metrics):
                time.sleep(0.05)
                assert process.poll() is None
            process.send_signal(number)
            output = process.communicate(timeout=300)[0]
        finally:
            process.kill()  # else a failure would wait for its 1e9 steps
    assert process.returncode == 128 + number
    path = tmp_path / "runs" / "long"
    assert output.splitlines()[-1].endswith(
        f"go on with: jaxninja train --resume {path}"
    )
    run = jaxninja.load(path)
    assert f"stopped at step {run.step}, saved in {path}" in output
    assert run.step > 0


@pytest.mark.bits
def test_a_log_interval_cut_by_a_checkpoint_is_carried_over(small):
    """The first run ends within an interval of the other; its sum must not be lost."""
    plain = dataclasses.replace(small, steps=100, log_every=40, eval_every=100)
    whole = jaxninja.train(plain, progress=QUIET)

    broken = dataclasses.replace(plain, name="broken")
    with pytest.raises(Interrupted) as stop:
        jaxninja.train(broken, progress=StopAt(50))
    resumed = jaxninja.train(resume=stop.value.path, progress=QUIET)
    assert lines(resumed) == lines(whole)
    assert same_bits(resumed.state, whole.state)


@pytest.mark.bits
def test_a_resumed_run_may_change_steps_and_intervals_only(small):
    run = jaxninja.train(dataclasses.replace(small, steps=40), progress=QUIET)
    longer = dataclasses.replace(small, log_every=10, checkpoint_every=7)
    resumed = jaxninja.train(longer, resume=run.path, progress=QUIET)
    whole = jaxninja.train(small, progress=QUIET)
    assert same_bits(resumed.state, whole.state)
    for field, value in [("lr", 0.2), ("route", "rules"), ("seed", 1), ("hidden", 17)]:
        other = dataclasses.replace(small, **{field: value})
        with pytest.raises(ConfigError, match=f"{field} is .* in the run"):
            jaxninja.train(other, resume=run.path, progress=QUIET)


@pytest.mark.bits
def test_a_run_already_at_its_end_is_only_evaluated_again(small):
    run = jaxninja.train(small, progress=QUIET)
    again = jaxninja.train(resume=run.path, progress=QUIET)
    assert same_bits(again.state, run.state)
    assert lines(again) == lines(run)
    assert again.result["train_loss"] == run.result["train_loss"]


def test_data_that_changed_are_refused(small, tmp_path):
    run = jaxninja.train(small, progress=QUIET)
    (tmp_path / "items.txt").write_text("\n".join(ITEMS[:-1]))
    with pytest.raises(RunError, match=r"does not hold what .* was trained on"):
        jaxninja.train(resume=run.path, progress=QUIET)
    with pytest.raises(RunError, match="does not hold what"):
        jaxninja.load(run.path).losses()


def test_a_checkpoint_of_another_config_is_refused(small):
    run = jaxninja.train(small, progress=QUIET)
    description = json.loads((run.path / "config.json").read_text())
    description["config"]["lr"] = 0.7
    (run.path / "config.json").write_text(json.dumps(description))
    with pytest.raises(checkpoint.CheckpointError, match=r"lr is 0.7, but 0.1"):
        jaxninja.load(run.path)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="does not exist"):
        jaxninja.load(tmp_path / "none")
    with pytest.raises(RunError, match=r"config\.json"):
        jaxninja.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config.json is a file, expected a run's"):
        jaxninja.load(tmp_path / "config.json")
    with pytest.raises(FolderError, match=r"config.json is .*, expected JSON"):
        jaxninja.load(tmp_path)


def test_a_loss_that_diverges_names_step_and_array(small):
    config = dataclasses.replace(small, lr=1e30, log_every=60)
    with pytest.raises(TrainError) as error:
        jaxninja.train(config, progress=QUIET)
    text = str(error.value)
    assert "at step 1: " in text
    assert "hprebn" in text
    assert "saved in" in text
    assert "smaller --lr (it was 1e+30)" in text
    assert "or with --clip 1; to see what grew, go on" in text
    run = jaxninja.load(os.path.join(small.runs, "items-network-1"))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.state))
    again = dataclasses.replace(run.config, diagnose=1)  # in chunks of one step
    with pytest.raises(TrainError, match=r"at step 1: .*; step 0, .*; what grew is in"):
        jaxninja.train(again, resume=run.path, progress=QUIET)
    assert jaxninja.load(run.path) == dataclasses.replace(run, config=again)


def test_what_is_left_of_a_training_whose_loss_is_not_finite(small, tmp_path):
    def left(start, step, **given):
        config = dataclasses.replace(small, **given)
        return steps.what_is_left(steps.Diverged(None, start, step), config, tmp_path)

    good = f"step 3, the last good one, is saved in {tmp_path}. "
    assert (
        left(3, 5) == f"{good}Train anew with a smaller --lr (it was 0.1) or with "
        "--clip 1"
    )
    assert left(3, 5, clip=1.0).endswith("smaller --lr (it was 0.1)")
    assert "went on from gives it. Train anew with a smaller --lr" in left(5, 5)
    assert left(0, 0).endswith("weights at the start. Train from others")


@pytest.mark.parametrize(("name", "value"), [("W2", np.nan), ("bngain", np.inf)])
def test_the_first_array_that_is_not_finite_is_found(name, value, small):
    model = small.network(11)
    x = jax.random.randint(jax.random.key(0), (50, 3), 0, 11)
    data = steps.Items(x, x[:, 0])
    state = steps.init_state(small, model)
    state.params[name] = state.params[name].at[0].set(value)
    assert steps.first_nonfinite(state, 5, small, model, data) == name
    state = steps.init_state(small, model)
    state.params["W1"] = state.params["W1"] * 1e38  # finite, but its product is not
    assert steps.first_nonfinite(state, 5, small, model, data) == "hprebn"


@pytest.mark.bits
@pytest.mark.parametrize("route", ["network", "rules"])
def test_check_grads_passes_and_changes_nothing(route, small):
    said = []
    config = dataclasses.replace(small, route=route)
    plain = jaxninja.train(config, progress=QUIET)
    checked_config = dataclasses.replace(config, check_grads=3)
    checked = jaxninja.train(checked_config, progress=Lines(said.append))
    assert same_bits(plain.state, checked.state)
    assert sum("gradients at step" in line for line in said) == 3


def test_check_grads_stops_a_wrong_backward(small, monkeypatch):
    right = ninja_fast.value_and_grad

    def wrong(*args, **kwargs):
        aux, grads = right(*args, **kwargs)
        return aux, grads | {"bnbias": 0.9 * grads["bnbias"]}

    monkeypatch.setattr(ninja_fast, "value_and_grad", wrong)
    config = dataclasses.replace(small, check_grads=2, hidden=17)  # traced afresh
    with pytest.raises(TrainError, match=r"step 0 .*bnbias"):
        jaxninja.train(config, progress=QUIET)


def test_there_is_no_silent_fall_back_from_the_gpu(small):
    if any(d.platform == "gpu" for d in jax.devices()):
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match=r"device is 'gpu', .*: cpu"):
        jaxninja.train(dataclasses.replace(small, device="gpu"), progress=QUIET)
    assert not os.path.exists(small.runs)


@pytest.mark.skipif(
    not any(d.platform == "gpu" for d in jax.devices()), reason="needs a GPU"
)
def test_the_gpu_trains_to_the_same_losses(small):
    cpu = jaxninja.train(dataclasses.replace(small, device="cpu"), progress=QUIET)
    gpu = jaxninja.train(dataclasses.replace(small, device="gpu"), progress=QUIET)
    assert gpu.result["val_loss"] == pytest.approx(cpu.result["val_loss"], rel=1e-2)


def test_bad_data_leave_no_folder(small, tmp_path):
    (tmp_path / "items.txt").write_text("")
    with pytest.raises(DataError, match="is empty"):
        jaxninja.train(small, progress=QUIET)
    assert not (tmp_path / "runs").exists()


@pytest.mark.bits
def test_a_full_disk_while_checkpointing_loses_nothing(small, monkeypatch):
    whole = jaxninja.train(small, progress=QUIET)
    write, calls = checkpoint.write_atomic, []

    def full_from_the_third_on(path, content):
        calls.append(path)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        write(path, content)

    config = dataclasses.replace(small, name="full")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomic", full_from_the_third_on)
        with pytest.raises(checkpoint.CheckpointError, match="No space left on device"):
            jaxninja.train(config, progress=QUIET)
    path = whole.path.parent / "full"
    assert 0 < jaxninja.load(path).step < 120
    resumed = jaxninja.train(resume=path, progress=QUIET)
    assert same_bits(resumed.state, whole.state)
    assert lines(resumed) == lines(whole)


def test_a_best_checkpoint_that_was_saved_but_not_marked_is_marked(small):
    config = dataclasses.replace(small, steps=30)
    run = jaxninja.train(config, progress=QUIET)
    best = run_folder.best_checkpoint(run.path)
    best.unlink()  # as if the process had been killed between the two
    jaxninja.train(resume=run.path, progress=QUIET)
    assert checkpoint.load_tensors(best)[1]["step"] == 30


def test_a_checkpoint_that_was_superseded_but_not_deleted_is_deleted(small):
    config = dataclasses.replace(small, steps=30, checkpoint_every=10)
    run = jaxninja.train(config, progress=QUIET)
    kept = run_folder.checkpoints(run.path)
    old = run_folder.checkpoint_path(run.path, 10)
    old.write_bytes(kept[0].read_bytes())  # as if killed before it was deleted
    jaxninja.train(resume=run.path, progress=QUIET)
    assert run_folder.checkpoints(run.path) == kept


def test_others_may_read_what_a_run_writes(small):
    run = jaxninja.train(dataclasses.replace(small, steps=20), progress=QUIET)
    umask = os.umask(0)
    os.umask(umask)
    for name in ("config.json", "result.json", "metrics.jsonl"):
        assert (run.path / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_run_leaves_nothing_behind(small):
    """Counted in objects: how many bytes a process holds is the allocator's affair."""

    def there():
        gc.collect()
        return np.array([len(gc.get_objects()), len(jax.live_arrays())])

    jaxninja.train(small, progress=QUIET)  # it compiles
    gc.freeze()  # to count all that is there already would take seconds each time
    counts = []
    for _ in range(4):
        jaxninja.train(small, progress=QUIET)
        counts.append(there())
    # at the median: now and then what other tests left dies in between
    objects, arrays = np.median(np.diff(counts, axis=0), axis=0)
    assert abs(objects) <= 10
    assert arrays == 0
    kept = jaxninja.train(small, progress=QUIET)
    assert np.all(
        there() >= counts[-1] + len(jax.tree.leaves(kept.state))
    )  # it would show
    gc.unfreeze()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("model", ["ninja", "gpt2"])
def test_data_from_a_pipe_are_refused_and_not_waited_for(model, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    config = TrainConfig(model=model, data=str(tmp_path / "pipe"))
    with pytest.raises(DataError, match="pipe is no file, expected one"):
        jaxninja.train(config, progress=QUIET)


def test_more_checks_than_steps_are_a_check_a_step():
    config = TrainConfig(steps=3, check_grads=10**30)
    assert gradient_check.steps_to_check(config) == {0, 1, 2}

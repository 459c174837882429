"""A training run from its header to its samples, in a folder that survives a crash."""

import dataclasses
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxninja.data.datasets import Dataset, absolute, load_dataset, load_items
from jaxninja.data.text import Vocabulary
from jaxninja.errors import TrainError
from jaxninja.models import agreement
from jaxninja.models.by_hand import user_file
from jaxninja.models.ninja import Ninja
from jaxninja.storage import atomic, checkpoint, records, run_folder
from jaxninja.training import steps
from jaxninja.training.config import RESUMABLE, ConfigError, TrainConfig, expect_config
from jaxninja.training.config_values import shown
from jaxninja.training.kernel import build
from jaxninja.training.machine import compile_cache, distributed, memory, settings
from jaxninja.training.machine.devices import (
    Device,
    config_value,
    pick_device,
    versions,
)
from jaxninja.training.machine.signals import Interrupted, caught_signals
from jaxninja.training.progress import Bar, Progress, expect_progress
from jaxninja.training.recorder import Record
from jaxninja.training.run import Run, RunError, identity, read, read_description
from jaxninja.training.schema import Metric


@settings.fixed()
def train(
    config: TrainConfig | None = None,
    *,
    resume: str | Path | None = None,
    progress: Progress | None = None,
    mesh: Mesh | None = None,
    **misplaced: Any,
) -> Run:
    """Train the lecture's network; everything lands in a run folder.

    Args:
        config: what to train; the lecture's by default. With `resume` it may differ
            from the run's own in steps, device and intervals only.
        resume: a run folder to continue from its last checkpoint, exactly.
        progress: who listens; a tqdm bar by default.
        mesh: devices to divide each batch among, see `training.distributed`; with
            several processes each calls this, and process 0 writes the run.
        misplaced: fields of a configuration, which belong into `config`: an error.

    Returns:
        The run, with its losses in `result`.

    Raises:
        ConfigError, DataError, FolderError, CheckpointError, RunError: bad input.
        TrainError: the loss is no longer finite, or `check_grads` found the route and
            autodiff apart; says at which step and in which array.
        Interrupted: Ctrl-C or SIGTERM, after saving.
    """
    expect_config(config, misplaced)
    progress = expect_progress(progress) or Bar()
    resume = None if resume is None else _run_folder(resume)
    if resume is not None:
        config = resumed_config(resume, config)
    config = config or TrainConfig()
    device = pick_device(config.device)
    with jax.default_device(device):
        expect_to_fit(config, device)
        dataset = load_dataset(config.data, config.context)
        config = _at_home(config)
        proof = _proof(config, dataset)  # before there is a run folder
        proof += _kernel(config, device, mesh)
        if mesh is None:
            return _train(config, dataset, resume, progress, device, proof)
        distributed.check(config.batch_size, mesh)
        with distributed.own_folder(config.runs, resume) as (runs, resume):
            config = dataclasses.replace(config, runs=runs)
            return _train(config, dataset, resume, progress, device, proof, mesh)


def expect_to_fit(config: TrainConfig, device: Device) -> None:
    """Before anything large is made, the data set's arrays included.

    Raises:
        ConfigError: a training takes more memory than the device has.
    """
    items = load_items(config.data)
    vocabulary, examples = len(Vocabulary.of(items)), sum(len(i) + 1 for i in items)
    memory.expect_to_fit(config, vocabulary, examples, memory.available(device))


def _run_folder(resume: Any) -> Path:
    try:
        return Path(resume)
    except TypeError:
        given = shown(resume)
        raise ConfigError(f"resume is {given}, expected a run folder's path") from None


def _train(config, dataset, resume, progress, device, proof, mesh=None) -> Run:
    path = resume or _new_folder(config, dataset)
    with run_folder.lock(path), caught_signals(mesh) as caught:
        record = open_run(config, dataset, path)
        for line in (*_header(record.run, device, mesh, resume is not None), *proof):
            progress.say(line)
        try:
            _loop(record, progress, mesh, caught)
            record.finish()
        except steps.Diverged as diverged:
            message = _explain(diverged, record, *_placed(record.run.dataset, mesh))
            atomic.write_text(path / "failure.txt", message + "\n")
            raise TrainError(message) from None
    return record.run


def resumed_config(path: Path, config: TrainConfig | None = None) -> TrainConfig:
    """The configuration to resume a run with.

    Raises:
        ConfigError: `config` changes what a resumed run may not change.
    """
    saved = read_description(path).config
    if config is None:
        return saved
    try:
        checkpoint.check_config(identity(saved), identity(config), RESUMABLE)
    except checkpoint.CheckpointError as error:
        changeable = ", ".join(sorted({*RESUMABLE, "data"}))
        raise ConfigError(f"{error}; a resumed run may change {changeable}") from None
    default = TrainConfig()
    for field in ("name", "runs"):
        given, own = getattr(config, field), getattr(saved, field)
        if given not in (own, getattr(default, field)):
            raise ConfigError(
                f"{field} is {given!r}, but the run to resume is {path}; a resumed run "
                "stays in its folder: rename that, or leave this option out"
            )
    return dataclasses.replace(config, name=saved.name, runs=saved.runs)


def _at_home(config: TrainConfig) -> TrainConfig:
    """The same with absolute paths: a run is used from any folder."""
    file = user_file.is_file(config.route)
    route = os.path.abspath(config.route) if file else config.route
    return dataclasses.replace(config, data=absolute(config.data), route=route)


def _proof(config: TrainConfig, dataset: Dataset) -> list[str]:
    """That the route of a file is by hand, as one line; no line for other routes."""
    model = config.model(len(dataset.vocabulary))
    if not user_file.is_file(config.route) or not isinstance(model, Ninja):
        return []  # a file for another network is refused with the configuration
    return [f"proof      {user_file.proof(config.route, model, config.batch_size)}"]


def _kernel(config: TrainConfig, device: Device, mesh: Mesh | None) -> list[str]:
    """What runs in place of XLA's loop, as one line; no line for that.

    Raises:
        ConfigError: the kernel does not divide a batch among devices.
        KernelError: it cannot be built here.
    """
    if config.engine == "xla":
        return []
    if mesh is not None:
        expected = "xla for several devices: it trains a network on one"
        raise ConfigError(f"engine is 'kernel', expected {expected}")
    return [f"kernel     {build.register(device)}"]


def _new_folder(config: TrainConfig, dataset: Dataset) -> Path:
    """A folder with all that a run needs to be resumed, whenever it is killed."""
    stem = f"{Path(config.data).stem}-{Path(config.route).stem}"
    contents = _contents(config, dataset)
    if user_file.is_file(config.route):
        contents["route.py"] = user_file.text(config.route)
    return run_folder.create(config.runs, config.name, stem, contents)


def _contents(config: TrainConfig, dataset: Dataset) -> dict[str, str]:
    """The text of config.json and versions.json."""
    with steps.matmul_precision(config):
        now = settings.in_force()
    description = {
        "config": config.to_dict(),
        "vocabulary": list(dataset.vocabulary.symbols),
        "data_sha256": dataset.sha256,
        "settings": now,
    }
    return {
        "config.json": atomic.to_json(description),
        "versions.json": atomic.to_json(versions()),
    }


def open_run(config: TrainConfig, dataset: Dataset, path: Path | None = None) -> Record:
    """The run in a folder at its last checkpoint, or at step 0 if it has none.

    Without a path the folder is a new one, named as the configuration says.
    """
    path = path or _new_folder(config, dataset)
    atomic.remove_temporary(path)
    with steps.matmul_precision(config):
        settings.expect(read_description(path).settings, path)
    metrics = path / "metrics.jsonl"
    if run_folder.latest_checkpoint(path) is None:
        _refuse_emptied(path)
        state = steps.init_state(config, config.model(len(dataset.vocabulary)))
        run = Run(path, config, dataset.vocabulary, state, 0, [], None)
        record = Record(run)
    else:
        run, metadata = read(path)
        run = dataclasses.replace(run, config=config, result=None)
        record = Record(run, metadata)
    if run.step > config.steps:
        raise ConfigError(
            f"steps is {config.steps:,}, but {path} has taken {run.step:,}; pass more "
            "to go on, or train anew"
        )
    assert run.dataset  # reads the data and refuses other data than the run's
    for file in (metrics, path / "diagnostics.jsonl"):
        run_folder.cut_metrics(file, run.step)
    run.metrics = records.read_lines(metrics, Metric)
    _keep_route(path, config.route)
    record.restore_best()
    for ending in ("result.json", "failure.txt"):
        (path / ending).unlink(missing_ok=True)
    for name, text in _contents(config, run.dataset).items():
        atomic.write_text(path / name, text)
    return record


def _refuse_emptied(path: Path) -> None:
    """A run without a checkpoint begins at step 0, unless it must have had one.

    Raises:
        RunError: its checkpoints were deleted.
    """
    every = read_description(path).config.checkpoint_every
    lines = run_folder.read_metrics(path / "metrics.jsonl")
    ended = [n for n in ("result.json", "failure.txt") if (path / n).exists()]
    if (
        ended
        or run_folder.best_checkpoint(path)
        or (lines and lines[-1]["step"] > every)
    ):
        raise RunError(
            f"{path / 'checkpoints'} is empty, but the run had come to step "
            f"{lines[-1]['step'] if lines else 0:,}: its checkpoints were deleted; put "
            "them back, or train anew under another --name"
        )


def _keep_route(path: Path, route: str) -> None:
    """A copy of the route's file: the run says what it was trained with.

    Raises:
        ConfigError: the run began with another text of the file.
    """
    copy = path / "route.py"
    if not user_file.is_file(route):
        return
    if copy.exists() and copy.read_text(encoding="utf-8") != user_file.text(route):
        raise ConfigError(
            f"{route} has changed since the run began: put {copy} in its place to go "
            "on, or train anew"
        )
    atomic.write_text(copy, user_file.text(route))


def _header(
    run: Run, device: Device, mesh: Mesh | None, resumed: bool
) -> Iterator[str]:
    parameters = sum(p.size for p in run.params.values())
    with steps.matmul_precision(run.config):
        precision = config_value("jax_default_matmul_precision") or "default"
    parts = (run.dataset.train, run.dataset.val, run.dataset.test)
    sizes = " / ".join(f"{len(y):,}" for _, y in parts)
    yield f"device     {device.device_kind} ({device.platform}), JAX {jax.__version__}"
    products = "" if run.config.dtype == "float32" else ", products in bfloat16"
    yield f"precision  {run.params['C'].dtype}{products}, matmul precision {precision}"
    yield f"data       {run.config.data}: {sizes} examples of train / val / test"
    yield f"route      {run.config.route}, {parameters:,} parameters"
    if not len(run.dataset.clean_val.y):
        yield "clean val  is empty: every item of val occurs in train as well"
    yield f"run        {run.path}" + (f", from step {run.step:,}" if resumed else "")
    if mesh is not None:
        yield f"devices    {mesh.size} in {jax.process_count()} processes"
        yield f"{distributed.RESUME}jaxninja train --distributed --resume {run.path}"


def _loop(
    record: Record, progress: Progress, mesh: Mesh | None, caught: list[int]
) -> None:
    run, config = record.run, record.run.config
    x, y = map(jnp.asarray, run.dataset.train)
    state, xs, ys = run.state, x, y
    if mesh is not None:
        state, xs, ys = distributed.everywhere((run.state, *run.dataset.train), mesh)
    to_check = _steps_to_check(config)
    if run.step < config.steps:
        with compile_cache.watch() as seen:
            steps.program(config, run.model, xs)
        progress.say(f"compiled   {seen}")
    progress.start(run.step, config.steps)
    all_chunks = steps.chunks(config, run.model, state, xs, ys, run.step, to_check)
    try:
        _stop_if_asked(run, record, caught, 0)
        record.diagnose(x, y)
        _check_gradients(run, x, y, to_check, progress)
        for turn, chunk in enumerate(all_chunks, 1):
            if mesh is not None:
                chunk = chunk._replace(state=distributed.here(chunk.state))
            record.add(chunk)
            progress.update(run.step, float(chunk.losses.mean()), record.rate)
            _stop_if_asked(run, record, caught, turn)
            record.diagnose(x, y)
            _check_gradients(run, x, y, to_check, progress)
    finally:
        progress.stop()


def _stop_if_asked(run: Run, record: Record, caught: list[int], turn: int) -> None:
    """Save and end after a signal; a run that is through goes on to its result.

    Raises:
        Interrupted: all processes stop here.
    """
    if distributed.must_stop(bool(caught), turn):
        record.save()
        if run.step < run.config.steps:
            number = caught[0] if caught else signal.SIGTERM
            raise Interrupted(run.path, run.step, number)


def _steps_to_check(config: TrainConfig) -> set[int]:
    """`check_grads` steps spread evenly over the run, wherever it was resumed."""
    count = config.check_grads
    return {i * config.steps // count for i in range(count)}


def _check_gradients(run, x, y, to_check, progress) -> None:
    """Stop the run if its route and autodiff part at the step about to come."""
    if run.step not in to_check:
        return
    ids, labels = steps.batch(run.config, x, y, run.step)
    route = run.config.route
    text = user_file.version(route)
    apart = _disagreement(route, text, run.params, ids, labels, run.model)
    worst = max(apart, key=lambda name: float(jnp.nan_to_num(apart[name], nan=jnp.inf)))
    bound = agreement.tolerance(agreement.precision(run.params, run.model))
    if not apart[worst] <= bound:
        raise TrainError(
            f"at step {run.step} the gradient of {worst} by route {route} is "
            f"{apart[worst]:.1e} of its scale away from autodiff's, expected at most "
            f"{bound:.1e}; `jaxninja show {route}` prints its derivation"
        )
    progress.say(
        f"gradients at step {run.step:,}: worst {worst}, {apart[worst]:.1e} apart"
    )


@partial(jax.jit, static_argnums=(0, 1, 5))
def _disagreement(route, text, params, ids, labels, model):
    """Traced anew where a route that is a file has another text, of that version."""
    return agreement.disagreement(route, params, ids, labels, model)


def _learners(route: str) -> str:
    """Of a route that is a learner's file."""
    file = user_file.is_file(route)
    return "is it right? `jaxninja exercise check 4` tells; " if file else ""


def _placed(dataset: Dataset, mesh: Mesh | None) -> tuple:
    """x and y of the training set on this device, or on all of a mesh."""
    train = tuple(dataset.train)
    return (
        tuple(map(jnp.asarray, train))
        if mesh is None
        else distributed.everywhere(train, mesh)
    )


def _explain(diverged: steps.Diverged, record: Record, x, y) -> str:
    """One line on a loss that is not finite; the last good state is saved."""
    run = record.run
    bad = steps.state_at(diverged, run.config, run.model, x, y)
    bad, diverged.state, x, y = map(distributed.here, (bad, diverged.state, x, y))
    first = steps.first_nonfinite(bad, diverged.step, run.config, run.model, x, y)
    if run.config.diagnose:
        record.diagnose_at(bad, diverged.step, x, y)
    record.go_back(diverged)
    return (
        f"the loss is not finite at step {diverged.step}: the first array that is not "
        f"is {first}; step {run.step}, the last good one, is saved in {run.path}. "
        f"Train anew with a smaller --lr (it was {run.config.lr:g}) or with --clip 1; "
        f"{_learners(run.config.route)}"
        f"to see what grew, go on with --resume {run.path} --diagnose 1 and look at "
        f"`jaxninja report {run.path}`"
    )

"""A training run from its header to its samples, in a folder that survives a crash."""

import dataclasses
import shlex
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from jaxninja.data.datasets import Dataset
from jaxninja.data.running_text import RunningText
from jaxninja.errors import ArgumentTypeError, TrainError
from jaxninja.escaping import resume_option
from jaxninja.models.by_hand import user_file
from jaxninja.storage import atomic, run_folder
from jaxninja.training import gradient_check, steps
from jaxninja.training.arguments import expect_config, expect_progress
from jaxninja.training.config import ConfigError, TrainConfig
from jaxninja.training.examples import dataset_of, extent
from jaxninja.training.kernel import build
from jaxninja.training.machine import (
    compile_cache,
    distributed,
    memory,
    rate,
    settings,
)
from jaxninja.training.machine.devices import Device, config_value, pick_device
from jaxninja.training.machine.signals import Interrupted, caught_signals
from jaxninja.training.options.values import shown
from jaxninja.training.progress import Progress, default
from jaxninja.training.runs.initial import initial_state
from jaxninja.training.runs.opening import at_home, new_folder, open_run, resumed_config
from jaxninja.training.runs.recorder import Record
from jaxninja.training.runs.run import Run


@settings.fixed()
def train(
    config: TrainConfig | None = None,
    *,
    resume: str | Path | None = None,
    progress: Progress | None = None,
    mesh: Mesh | None = None,
    **misplaced: Any,
) -> Run:
    """Train a network; everything lands in a run folder.

    Args:
        config: what to train; the lecture's network by default. With `resume` it may
            differ from the run's own in steps, device and intervals only.
        resume: a run folder to continue from its last checkpoint, exactly.
        progress: who listens; by default a bar on a terminal, or the cell of a
            notebook.
        mesh: devices to divide each batch among (`training.machine.distributed`); with
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
    listener: Progress = expect_progress(progress) or default()
    if mesh is not None and not isinstance(mesh, Mesh):
        made = "jaxninja.training.machine.distributed.data_mesh()"
        raise ArgumentTypeError(f"mesh is {mesh!r}, expected a Mesh as {made} makes")
    resume = None if resume is None else _run_folder(resume)
    if config is not None and resume is None:
        config.expect_effect()
    chosen = config if resume is None else resumed_config(resume, config)
    return _on_device(chosen or TrainConfig(), resume, listener, mesh)


def _on_device(
    config: TrainConfig, resume: Path | None, progress: Progress, mesh: Mesh | None
) -> Run:
    device = pick_device(config.device)
    with jax.default_device(device):
        config = expect_to_fit(config, device)
        dataset = dataset_of(config)
        config = at_home(config)
        proof = _proof(config, dataset)  # before there is a run folder
        proof += _kernel(config, device, mesh)
        if mesh is None:
            return _train(config, dataset, resume, progress, device, proof)
        distributed.check(config.batch_size, mesh)
        with distributed.own_folder(config.runs, resume) as (runs, resume):
            config = dataclasses.replace(config, runs=runs)
            return _train(config, dataset, resume, progress, device, proof, mesh)


def expect_to_fit(config: TrainConfig, device: Device) -> TrainConfig:
    """The configuration with its context, before anything large is made.

    Raises:
        ConfigError: a training takes more memory than the device has, or the context
            does not suit the data.
    """
    config, vocabulary, examples = extent(config)
    memory.expect_to_fit(config, vocabulary, examples, memory.available(device))
    return config


def _run_folder(resume: Any) -> Path:
    try:
        return Path(resume)
    except TypeError:
        given = shown(resume)
        raise ConfigError(f"resume is {given}, expected a run folder's path") from None


def _train(config, dataset, resume, progress, device, proof, mesh=None) -> Run:
    # the start first: its weights may be refused
    start = None if resume else initial_state(config, dataset.vocabulary)
    path = resume or new_folder(config, dataset)
    with run_folder.lock(path), caught_signals(mesh) as caught:
        record = open_run(config, dataset, path, start)
        for line in (*_header(record.run, device, mesh, resume is not None), *proof):
            progress.say(line)
        record.pace = _pace(record.run, device, mesh)
        try:
            _loop(record, progress, mesh, caught)
            record.finish()
        except steps.Diverged as diverged:
            message = _explain(diverged, record, mesh)
            atomic.write_text(path / "failure.txt", message + "\n")
            raise TrainError(message) from None
    return record.run


def _proof(config: TrainConfig, dataset: Dataset | RunningText) -> list[str]:
    """That the route of a file is by hand, as one line; no line for other routes."""
    model = config.network(len(dataset.vocabulary))
    if not user_file.is_file(config.route) or not isinstance(model, user_file.Known):
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


def _header(
    run: Run, device: Device, mesh: Mesh | None, resumed: bool
) -> Iterator[str]:
    parameters = sum(p.size for p in run.params.values())
    with steps.matmul_precision(run.config):
        precision = config_value("jax_default_matmul_precision") or "default"
    kind = next(iter(run.params.values())).dtype
    yield f"device     {device.device_kind} ({device.platform}), JAX {jax.__version__}"
    products = "" if run.config.dtype == "float32" else ", products in bfloat16"
    yield f"precision  {kind}{products}, matmul precision {precision}"
    yield f"data       {run.config.data}: {run.dataset.summary}"
    yield f"model      {run.config.model}, {parameters:,} parameters"
    yield f"route      {run.config.route}"
    if any(not len(part.y) for part in run.dataset.parts.values()):
        yield "clean val  is empty: every item of val occurs in train as well"
    yield f"run        {run.path}" + (f", from step {run.step:,}" if resumed else "")
    if mesh is not None:
        processes = jax.process_count()
        yield f"devices    {mesh.size} in {processes} process" + "es" * (processes > 1)
        again = f"{distributed.command(mesh)} {resume_option(run.path)}"
        yield f"{distributed.RESUME}{again}"


def _pace(run: Run, device: Device, mesh: Mesh | None) -> rate.Pace | None:
    """How a step is counted, for a model that says what it costs."""
    config, flops = run.config, steps.step_flops(run.config, len(run.vocabulary))
    if not flops:
        return None
    machine = rate.measured(device.platform, config.dtype)
    # pyrefly: ignore[unsupported-operation]  who says what a step costs has one
    tokens = config.batch_size * config.context
    devices = 1 if mesh is None else mesh.size
    if device.platform == "cpu":  # the devices of a process are its cores
        devices = jax.process_count()
    return rate.Pace(tokens, flops, machine * devices)


def _loop(
    record: Record, progress: Progress, mesh: Mesh | None, caught: list[int]
) -> None:
    run, config = record.run, record.run.config
    state, here, placed = _fed(run, mesh)
    to_check = gradient_check.steps_to_check(config)
    if run.step < config.steps:
        with compile_cache.watch() as seen:
            steps.program(config, run.model, placed(run.step))
        progress.say(f"compiled   {seen}")
    _stop_if_asked(run, record, caught, 0)
    with compile_cache.watch() as seen:
        diagnosed = record.diagnose(here)
    if diagnosed:  # the first compiles another program than the training's
        progress.say(f"diagnosed  step {run.step:,}, compiled {seen}")
    gradient_check.at(run, to_check, progress)
    progress.start(run.step, config.steps)
    all_chunks = steps.chunks(config, run.model, state, placed, run.step, to_check)
    try:
        for turn, chunk in enumerate(all_chunks, 1):
            if mesh is not None:
                chunk = chunk._replace(state=distributed.here(chunk.state))
            for line in record.add(chunk):
                progress.say(line)
            progress.update(run.step, float(chunk.losses.mean()), record.rate)
            _stop_if_asked(run, record, caught, turn)
            record.diagnose(here)
            gradient_check.at(run, to_check, progress)
    finally:
        progress.stop()


def _fed(run: Run, mesh: Mesh | None) -> tuple[steps.State, steps.Feed, steps.Feed]:
    """The state, and the data on this device and where the program runs."""
    here = steps.feed(run.config, run.dataset)
    if mesh is None:
        return run.state, here, here
    place = partial(distributed.everywhere, mesh=mesh)
    return place(run.state), here, steps.feed(run.config, run.dataset, place)


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


def _learners(route: str, model: Any) -> str:
    """Of a route that is a learner's file."""
    if not user_file.is_file(route):
        return ""
    number = user_file.exercise(model)
    return f"is it right? `jaxninja exercise check {number}` tells; "


def _explain(diverged: steps.Diverged, record: Record, mesh: Mesh | None) -> str:
    """One line on a loss that is not finite; the last good state, if any, is saved."""
    run = record.run
    diverged = record.from_good(diverged)
    _, here, placed = _fed(run, mesh)
    bad = steps.state_at(diverged, run.config, run.model, placed)
    bad, diverged.state = map(distributed.here, (bad, diverged.state))
    data = here(diverged.step)
    first = steps.first_nonfinite(bad, diverged.step, run.config, run.model, data)
    if run.config.diagnose:
        record.diagnose_at(bad, diverged.step, here)
    record.go_back(diverged)
    return (
        f"the loss is not finite at step {diverged.step}: the first array that is not "
        f"is {first}; {steps.what_is_left(diverged, run.config, run.path)}"
        + f"; {_what_grew(run)}"
        * (diverged.start < diverged.step)
    )


def _what_grew(run: Run) -> str:
    """Where to look, and what must be done before."""
    learners = _learners(run.config.route, run.model)
    report = f"`jaxninja report {shlex.quote(str(run.path))}`"
    if run.config.diagnose == 1:
        return f"{learners}what grew is in {report}"
    again = f"go on with {resume_option(run.path)} --diagnose 1"
    return f"{learners}to see what grew, {again} and look at {report}"

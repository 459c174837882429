"""The folder of a run: made with all that it needs, or opened to go on."""

import dataclasses
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxninja.data.datasets import Dataset
from jaxninja.data.running_text import RunningText
from jaxninja.models.by_hand import user_file
from jaxninja.storage import atomic, checkpoint, records, run_folder
from jaxninja.training import steps
from jaxninja.training.config import ELSEWHERE, RESUMABLE, ConfigError, TrainConfig
from jaxninja.training.examples import absolute
from jaxninja.training.machine import settings
from jaxninja.training.machine.devices import versions
from jaxninja.training.runs.descriptions import identity, read_description
from jaxninja.training.runs.initial import initial_state
from jaxninja.training.runs.loading import read, refuse_emptied
from jaxninja.training.runs.recorder import Record
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Metric

# What a run ends with: not there while it goes on.
ENDINGS = ("result.json", "samples.txt", "loss.png", "failure.txt")


def resumed_config(path: Path, config: TrainConfig | None = None) -> TrainConfig:
    """The configuration to resume a run with.

    Raises:
        ConfigError: `config` changes what a resumed run may not change.
    """
    saved = read_description(path).config
    if config is None:
        return saved
    if config.context is None:  # the data decided it
        given: TrainConfig = dataclasses.replace(config, context=saved.context)
    else:
        given = config
    expect_model(path, given.model)
    _expect_unchanged(identity(saved), identity(given))
    default = TrainConfig()
    for field in ("name", "runs"):
        named, own = getattr(given, field), getattr(saved, field)
        if named not in (own, getattr(default, field)):
            raise ConfigError(
                f"{field} is {named!r}, but the run to resume is {path}; a resumed run "
                "stays in its folder: rename that, or leave this option out"
            )
    return dataclasses.replace(given, name=saved.name, runs=saved.runs)


def expect_model(path: Path, model: str) -> None:
    """Refuse another model than the run's, by itself: most options follow from it.

    Raises:
        ConfigError: it is another.
    """
    _expect_unchanged({"model": read_description(path).config.model}, {"model": model})


def _expect_unchanged(saved: dict[str, Any], given: dict[str, Any]) -> None:
    try:
        checkpoint.check_config(saved, given, RESUMABLE)
    except checkpoint.CheckpointError as error:
        changeable = ", ".join(sorted({*RESUMABLE, *ELSEWHERE}))
        raise ConfigError(f"{error}; a resumed run may change {changeable}") from None


def at_home(config: TrainConfig) -> TrainConfig:
    """The same with absolute paths: a run is used from any folder."""
    file = user_file.is_file(config.route)
    route = os.path.abspath(config.route) if file else config.route
    return dataclasses.replace(absolute(config), route=route)


def new_folder(config: TrainConfig, dataset: Dataset | RunningText) -> Path:
    """A folder with all that a run needs to be resumed, whenever it is killed."""
    stem = "-".join([*config.trained, Path(config.route).stem])
    contents = _contents(config, dataset)
    if user_file.is_file(config.route):
        contents["route.py"] = user_file.text(config.route)
    return run_folder.create(config.runs, config.name, stem, contents)


def _contents(config: TrainConfig, dataset: Dataset | RunningText) -> dict[str, str]:
    """The text of config.json and of versions.json, which has the date as well."""
    with steps.matmul_precision(config):
        now = settings.in_force()
    description = {
        "config": config.to_dict(),
        "vocabulary": list(dataset.vocabulary.symbols),
        "data_sha256": dataset.sha256,
        "settings": now,
    }
    date = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return {
        "config.json": atomic.to_json(description),
        "versions.json": atomic.to_json({"date": date, **versions()}),
    }


def open_run(
    config: TrainConfig,
    dataset: Dataset | RunningText,
    path: Path | None = None,
    start: steps.State | None = None,
) -> Record:
    """The run in a folder at its last checkpoint, or at step 0 if it has none.

    Without a path the folder is a new one, named as the configuration says; without a
    start a run at step 0 makes its own.
    """
    path = path or new_folder(config, dataset)
    atomic.remove_temporary(path)
    with steps.matmul_precision(config):
        settings.expect(read_description(path).settings, path)
    metrics = path / "metrics.jsonl"
    if run_folder.latest_checkpoint(path) is None:
        refuse_emptied(path)
        state = start or initial_state(config, dataset.vocabulary)
        run = Run(path, config, dataset.vocabulary, state, 0, [], None)
        record = Record(run)
    else:
        run, metadata = read(path)
        run = dataclasses.replace(run, config=config, result=None)
        record = Record(run, metadata)
        run_folder.keep_last(path, config.keep)  # a crash came between save and this
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
    for ending in ENDINGS:
        (path / ending).unlink(missing_ok=True)
    for name, text in _contents(config, run.dataset).items():
        atomic.write_text(path / name, text)
    return record


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

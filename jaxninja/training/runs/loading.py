"""A run read from its folder."""

from pathlib import Path
from typing import Any

import jax

from jaxninja.storage import checkpoint, records, run_folder
from jaxninja.training import steps
from jaxninja.training.config import RESUMABLE, TrainConfig
from jaxninja.training.examples import vocabulary_of
from jaxninja.training.machine import settings
from jaxninja.training.options.values import shown
from jaxninja.training.runs.descriptions import RunError, identity, read_description
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Description, Metadata, Metric, Result


def load(path: str | Path, at: str = "last") -> Run:
    """A run from its folder; see `read` for the arguments and errors."""
    return read(as_path(path), at)[0]


def as_path(path: Any) -> Path:
    """The path of a run folder.

    Raises:
        RunError: it is none.
    """
    try:
        return Path(path)
    except TypeError:
        raise RunError(f"path is {shown(path)}, expected a run folder's path") from None


@settings.fixed()
def read(path: Path, at: str = "last") -> tuple[Run, Metadata]:
    """A run at one of its checkpoints, and that checkpoint's metadata.

    A run that is under way deletes old checkpoints: what vanishes between two looks is
    looked for again.

    Args:
        path: the run folder.
        at: `last`, or `best` for the checkpoint of the least validation loss.

    Raises:
        RunError: there is no run, or it has no checkpoint yet.
        RecordError: one of its files is not what was written.
        CheckpointError: it is cut short, altered or of another configuration.
    """
    while True:
        chosen = _checkpoint(path, at)
        try:
            return _read(path, chosen)
        except checkpoint.CheckpointError:
            if chosen.exists() or _checkpoint(path, at) == chosen:
                raise


def _read(path: Path, chosen: Path) -> tuple[Run, Metadata]:
    description = read_description(path)
    config = description.config
    vocabulary = vocabulary_of(config, description.vocabulary)
    like = jax.eval_shape(
        lambda: steps.init_state(config, config.network(len(vocabulary)))
    )
    state, raw = checkpoint.load(chosen, like)
    metadata = records.check(raw, Metadata, str(chosen))
    _check_belongs(path, description, metadata)
    metrics = records.read_lines(path / "metrics.jsonl", Metric)
    result = path / "result.json"
    ended = records.read(result, Result) if result.exists() else None
    run = Run(path, config, vocabulary, state, metadata["step"], metrics, ended)
    return run, metadata


def _check_belongs(path: Path, description: Description, metadata: Metadata) -> None:
    """Refuse a config.json of another run than the checkpoint's."""
    saved = TrainConfig.from_dict(metadata["config"])
    checkpoint.check_config(identity(saved), identity(description.config), RESUMABLE)
    vocabulary = vocabulary_of(description.config, description.vocabulary).sha256
    if metadata.get("vocabulary", vocabulary) != vocabulary:
        raise RunError(
            f"{path / 'config.json'}: its vocabulary is not the one that the "
            "checkpoint was trained with; it was altered"
        )


def _checkpoint(path: Path, at: str) -> Path:
    choices = {"last": run_folder.latest_checkpoint, "best": run_folder.best_checkpoint}
    if at not in choices:
        raise RunError(f"at is {at!r}, expected last or best")
    read_description(path)  # says it if this is no run at all
    chosen = choices[at](path)
    if chosen is None and at == "last":
        refuse_emptied(path)
    if chosen is None:
        which = "" if at == "last" else "best "
        raise RunError(f"{path} has no {which}checkpoint: none was saved")
    return chosen


def refuse_emptied(path: Path) -> None:
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
            f"{path / 'checkpoints'} has none of a step, but the run had come to step "
            f"{lines[-1]['step'] if lines else 0:,}: its checkpoints were deleted; put "
            "them back, or train anew under another --name"
        )

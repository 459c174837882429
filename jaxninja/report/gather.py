"""What a run folder holds, whole or not: nothing but its config.json must be there."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from jaxninja import folder
from jaxninja.checkpoint import CheckpointError
from jaxninja.config import ConfigError
from jaxninja.data import DataError, Vocabulary
from jaxninja.observe import dead_over_set
from jaxninja.run import Run, RunError, load, read_description


@dataclass
class Gathered:
    """A run as far as it can be read.

    Attributes:
        path: the run folder.
        config: of the run, as written.
        vocabulary: of its data.
        metrics, diagnostics: records of the two .jsonl files.
        result, samples, failure: of a run that ended, well or not, else None.
        run: the run at its last checkpoint, or None.
        dead: activations -> (dead units, units) over the whole training set.
        problems: a sentence for whatever is missing or cannot be read.
    """

    path: Path
    config: dict[str, Any]
    vocabulary: Vocabulary
    metrics: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)
    result: dict[str, Any] | None = None
    samples: str | None = None
    failure: str | None = None
    run: Run | None = None
    dead: dict[str, tuple[int, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.path.resolve().name


def gather(path: Path) -> Gathered:
    """Read a run folder; what cannot be read becomes a sentence in `problems`.

    Raises:
        RunError: there is no such folder, or its config.json is missing or broken.
    """
    description = read_description(path)
    try:
        vocabulary = Vocabulary(tuple(description["vocabulary"]))
        found = Gathered(path, dict(description["config"]), vocabulary)
    except (KeyError, TypeError):
        raise RunError(f"{path}/config.json is not a run's; was it altered?") from None
    for name in ("metrics", "diagnostics"):
        setattr(found, name, _lines(found, path / f"{name}.jsonl"))
    found.result = _result(found)
    found.samples = _text(path / "samples.txt")
    found.failure = _text(path / "failure.txt")
    found.run = _run(found)
    if found.run is not None:
        run, (x, y) = found.run, found.run.dataset.train
        found.dead = dead_over_set(
            run.params, jnp.asarray(x), jnp.asarray(y), run.model
        )
    found.problems += _missing(found)
    return found


def _lines(found: Gathered, file: Path) -> list[dict[str, Any]]:
    try:
        return folder.read_metrics(file)
    except (folder.FolderError, OSError) as error:
        found.problems.append(str(error))
        return []


def _text(file: Path) -> str | None:
    if not file.is_file():
        return None
    return file.read_text(encoding="utf-8", errors="replace").strip()


def _result(found: Gathered) -> dict[str, Any] | None:
    text = _text(found.path / "result.json")
    try:
        return None if text is None else dict(json.loads(text))
    except (ValueError, TypeError):
        found.problems.append("result.json is not JSON: it was cut short or altered")
        return None


def _run(found: Gathered) -> Run | None:
    try:
        run = load(found.path)
        _ = run.dataset
        return run
    except (RunError, CheckpointError, ConfigError, DataError, ValueError) as error:
        found.problems.append(f"without the trained network: {error}")
        return None


def _missing(found: Gathered) -> list[str]:
    """What a run has not written, and how to get it."""
    missing = []
    steps = found.config.get("steps")
    if found.result is None and found.failure is None:
        reached = found.metrics[-1]["step"] if found.metrics else 0
        missing.append(
            f"the run has not ended: step {reached:,} of {steps:,} is the last in its "
            "metrics. It may be under way; if not, continue it with: "
            f"jaxninja train --resume {found.path}"
        )
    if not found.diagnostics:
        missing.append(
            "no diagnostics: the run was trained with --diagnose 0, or stopped before "
            "the first. Train anew with --diagnose 1000 to see activations, gradients "
            "and updates"
        )
    return missing

"""What a run folder holds, whole or not: nothing but its config.json must be there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp

from jaxninja.data.text import DataError, Vocabulary
from jaxninja.data.tokenizers import Tokenizer
from jaxninja.escaping import resume_option
from jaxninja.models import network
from jaxninja.storage.checkpoint import CheckpointError
from jaxninja.storage.records import RecordError, read, read_lines
from jaxninja.training.config import ConfigError
from jaxninja.training.examples import vocabulary_of
from jaxninja.training.machine import settings
from jaxninja.training.monitor import dead_over_set
from jaxninja.training.runs.descriptions import RunError, read_description
from jaxninja.training.runs.loading import load
from jaxninja.training.runs.run import Run
from jaxninja.training.runs.schema import Diagnosis, Metric, Result, read_diagnostics

T = TypeVar("T")
TOKENS = 8_192  # of running text, in which dead units are looked for


@dataclass
class Gathered:
    """A run as far as it can be read.

    Attributes:
        path: the run folder.
        config: of the run, as written.
        vocabulary: of its data.
        metrics, diagnostics: records of the two .jsonl files.
        versions: of Python and the libraries.
        result, samples, failure: of a run that ended, well or not, else None.
        run: the run at its last checkpoint, or None.
        kinds: activations -> their function, as tanh.
        dead: activations -> (dead units, units) over the whole training set, or of
            running text over its first tokens; a sum of blocks has no flat part.
        dead_for: what that is, in words.
        detailed: the network was to be loaded, for details that need it.
        problems: a sentence for whatever is missing or cannot be read.
    """

    path: Path
    config: dict[str, Any]
    vocabulary: Vocabulary | Tokenizer
    metrics: list[Metric] = field(default_factory=list)
    diagnostics: list[Diagnosis] = field(default_factory=list)
    result: Result | None = None
    versions: dict[str, Any] = field(default_factory=dict)
    samples: str | None = None
    failure: str | None = None
    run: Run | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    dead: dict[str, tuple[int, int]] = field(default_factory=dict)
    detailed: bool = True
    dead_for: str = "all training examples"
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the run: its folder's."""
        return self.path.resolve().name


@settings.fixed()
def gather(path: Path, network_too: bool = True) -> Gathered:
    """Read a run folder; what cannot be read becomes a sentence in `problems`.

    Args:
        path: of the run.
        network_too: load the trained network as well, which takes a second.

    Raises:
        RunError: there is no such folder, or it has no config.json.
        RecordError: config.json is not what was written.
    """
    description = read_description(path)
    vocabulary = vocabulary_of(description.config, description.vocabulary)
    found = Gathered(path, description.config.to_dict(), vocabulary)
    found.detailed = network_too
    model = description.config.network(len(vocabulary))
    found.kinds = network.of(model).activations(model)
    metrics = partial(read_lines, kind=Metric)
    found.metrics = _tried(found, path / "metrics.jsonl", metrics) or []
    diagnostics = _tried(found, path / "diagnostics.jsonl", read_diagnostics, [])
    found.diagnostics = diagnostics or []
    found.result = _tried(found, path / "result.json", partial(read, kind=Result))
    versions = partial(read, kind=dict[str, Any])
    found.versions = _tried(found, path / "versions.json", versions) or {}
    found.samples = _text(path / "samples.txt")
    found.failure = _text(path / "failure.txt")
    found.run = _run(found) if network_too else None
    if found.run is not None:
        _count_dead(found, found.run)
    found.problems += _missing(found, undiagnosed=diagnostics == [])
    return found


def _count_dead(found: Gathered, run: Run) -> None:
    x, y = map(jnp.asarray, run.dataset.train)
    if run.config.reads_text:
        rows = max(TOKENS // x.shape[1], 1)
        x, y = x[:rows], y[:rows]
        found.dead_for = f"{x.size:,} tokens of train"
    dead = dead_over_set(run.params, x, y, run.model)
    found.dead = {k: v for k, v in dead.items() if found.kinds[k] != "residual"}


def _tried(
    found: Gathered, file: Path, reader: Callable[[Path], T], missing: T | None = None
) -> T | None:
    """What is in a file, or None and a sentence in `problems` if it is no good."""
    if not file.exists():
        return missing
    try:
        return reader(file)
    except RecordError as error:
        found.problems.append(str(error))
        return None


def _text(file: Path) -> str | None:
    if not file.is_file():
        return None
    return file.read_text(encoding="utf-8", errors="replace").strip()


def _run(found: Gathered) -> Run | None:
    try:
        run = load(found.path)
        _ = run.dataset
        return run
    except (RunError, CheckpointError, ConfigError, DataError, ValueError) as error:
        found.problems.append(f"without the trained network: {error}")
        return None


def _missing(found: Gathered, undiagnosed: bool) -> list[str]:
    """What a run has not written, and how to get it."""
    missing = []
    steps = found.config.get("steps")
    if not (found.path / "result.json").exists() and found.failure is None:
        reached = found.metrics[-1]["step"] if found.metrics else 0
        missing.append(
            f"the run has not ended: step {reached:,} of {steps:,} is the last in its "
            "metrics. It may be under way; if not, continue it with: "
            f"jaxninja train {resume_option(found.path)}"
        )
    if undiagnosed:
        missing.append(
            "no diagnostics: the run was trained with --diagnose 0, or stopped before "
            "the first. Train anew with --diagnose 1000 to see activations, gradients "
            "and updates"
        )
    return missing

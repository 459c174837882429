"""A training run as an object: parameters, metrics, samples; loaded from its folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxninja import checkpoint, folder, settings, steps
from jaxninja.config import RESUMABLE, TrainConfig
from jaxninja.data import Dataset, Vocabulary, load_dataset
from jaxninja.evaluate import calibrate, mean_loss
from jaxninja.models.mlp import Params, Statistics
from jaxninja.models.networks import Model
from jaxninja.sample import sample


class RunError(ValueError):
    """A folder that is no run, or whose data are gone; the message says what to do."""


@dataclass
class Run:
    """What `train` returns and `load` reads.

    Attributes:
        path: the run folder.
        config: what was trained, and how.
        vocabulary: of the data; the boundary is id 0.
        state: parameters, optimizer state and running statistics.
        step: steps taken.
        metrics: one record for each log interval.
        result: losses and speed at the end, or None for a run that has not ended.
    """

    path: Path
    config: TrainConfig
    vocabulary: Vocabulary
    state: steps.State
    step: int
    metrics: list[dict[str, Any]]
    result: dict[str, Any] | None
    _dataset: Dataset | None = None
    _calibrated: Statistics | None = None

    @property
    def params(self) -> Params:
        """C, W1, b1, W2, b2, bngain, bnbias for the lecture's network."""
        return self.state.params

    @property
    def model(self) -> Model:
        return self.config.model(len(self.vocabulary))

    @property
    def diagnostics(self) -> list[dict[str, Any]]:
        """Statistics of activations, gradients and updates, a record a diagnosed step.

        See `jaxninja.observe.observe` for their fields; empty with --diagnose 0.
        """
        return folder.read_metrics(self.path / "diagnostics.jsonl")

    @property
    def dataset(self) -> Dataset:
        """The data of the run, read again on first use.

        Raises:
            RunError: they are not what the run was trained on.
        """
        if self._dataset is None:
            dataset = load_dataset(self.config.data, self.config.context)
            trained_on = read_description(self.path)["data_sha256"]
            if dataset.sha256 != trained_on:
                raise RunError(
                    f"{self.config.data} has changed since {self.path} was trained: "
                    f"sha256 {dataset.sha256[:12]}..., expected {trained_on[:12]}...; "
                    "restore the file, or train anew"
                )
            self._dataset = dataset
        return self._dataset

    def statistics(self, bn: str = "calibrated") -> Statistics:
        """Batchnorm's statistics at inference.

        Args:
            bn: `calibrated`, over the whole training set, or `running`.
        """
        if bn == "running":
            return self.state.statistics
        if bn != "calibrated":
            raise RunError(f"bn is {bn!r}, expected calibrated or running")
        if self._calibrated is None:
            self._calibrated = calibrate(self.params, self.dataset.train.x, self.model)
        return self._calibrated

    def losses(self, bn: str = "calibrated") -> dict[str, float]:
        """Mean loss in nats on train, val, the clean part of val, and test."""
        statistics = self.statistics(bn)
        return {
            f"{name}_loss": mean_loss(self.params, statistics, x, y, self.model)
            for name, (x, y) in self.dataset.parts.items()
        }

    @settings.fixed()
    def sample(
        self,
        count: int = 20,
        temperature: float = 1.0,
        top_k: int | None = None,
        prompt: str = "",
        seed: int = 0,
        bn: str = "calibrated",
    ) -> list[str]:
        """Invented items; see `jaxninja.sample.sample` for the arguments."""
        key = jax.random.fold_in(jax.random.key(seed), 2)
        start = tuple(self.vocabulary.encode(prompt))
        drawn = sample(
            key,
            self.params,
            self.statistics(bn),
            self.model,
            count,
            temperature,
            top_k,
            start,
            limit=100 + len(start),
        )
        return [self.vocabulary.decode(ids) for ids in drawn]

    def new(self, items: list[str]) -> int:
        """How many of these items do not occur in the data, in any of its parts."""
        known = set(self.dataset.items)
        return sum(item not in known for item in items)


def load(path: str | Path, at: str = "last") -> Run:
    """A run from its folder; see `read` for the arguments and errors."""
    return read(Path(path), at)[0]


def read(path: Path, at: str = "last") -> tuple[Run, dict[str, Any]]:
    """A run at one of its checkpoints, and that checkpoint's metadata.

    Args:
        path: the run folder.
        at: `last`, or `best` for the checkpoint of the least validation loss.

    Raises:
        RunError: there is no run, or it has no checkpoint yet.
        CheckpointError: it is cut short, altered or of another configuration.
    """
    description = read_description(path)
    config = TrainConfig.from_dict(description["config"])
    vocabulary = Vocabulary(tuple(description["vocabulary"]))
    chosen = _checkpoint(path, at)
    like = jax.eval_shape(
        lambda: steps.init_state(config, config.model(len(vocabulary)))
    )
    state, metadata = checkpoint.load(chosen, like)
    checkpoint.check_config(metadata["config"], description["config"], RESUMABLE)
    metrics = folder.read_metrics(path / "metrics.jsonl")
    result = path / "result.json"
    ended = json.loads(result.read_text()) if result.exists() else None
    run = Run(path, config, vocabulary, state, metadata["step"], metrics, ended)
    return run, metadata


def _checkpoint(path: Path, at: str) -> Path:
    choices = {"last": folder.latest_checkpoint, "best": folder.best_checkpoint}
    if at not in choices:
        raise RunError(f"at is {at!r}, expected last or best")
    chosen = choices[at](path)
    if chosen is None:
        which = "" if at == "last" else "best "
        raise RunError(f"{path} has no {which}checkpoint: none was saved")
    return chosen


def read_description(path: Path) -> dict[str, Any]:
    """config.json of a run: configuration, vocabulary, sha256 of the data.

    Raises:
        RunError: no such folder, or it is not a run's.
    """
    file = path / "config.json"
    if not file.is_file():
        what = (
            "is not a run: it has no config.json" if path.is_dir() else "does not exist"
        )
        others = sorted(str(p.parent) for p in path.parent.glob("*/config.json"))
        near = f"; the runs beside it: {', '.join(others)}" if others else ""
        raise RunError(f"{path} {what}{near}")
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise RunError(
            f"{file} is not JSON ({error}); it was altered by hand"
        ) from None

"""A training run as an object: parameters, metrics, samples; loaded from its folder."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxninja.data.datasets import Dataset
from jaxninja.data.text import DataError, Vocabulary
from jaxninja.errors import UserError, did_you_mean
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.storage import checkpoint, records, run_folder
from jaxninja.training import schema, steps
from jaxninja.training.config import RESUMABLE, TrainConfig
from jaxninja.training.evaluation import calibrate, mean_loss
from jaxninja.training.examples import dataset_of
from jaxninja.training.machine import settings
from jaxninja.training.sampling import check_seed, sample
from jaxninja.training.schema import Description, Diagnosis, Metadata, Metric, Result


class RunError(UserError, ValueError):
    """A folder that is no run, or whose data are gone; the message says what to do."""


@dataclass(repr=False, eq=False)
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
        problems: a sentence for what failed after the training, with its result saved.
    """

    path: Path
    config: TrainConfig
    vocabulary: Vocabulary
    state: steps.State
    step: int
    metrics: list[Metric]
    result: Result | None
    problems: list[str] = field(default_factory=list)
    _dataset: Dataset | None = None
    _calibrated: tuple[Params, Statistics] | None = None

    def __repr__(self) -> str:
        losses = {k: v for k, v in (self.result or {}).items() if k.endswith("_loss")}
        parts = [f"step {self.step:,} of {self.config.steps:,}"]
        parts += [f"{k.replace('_', ' ')} {v:.4f}" for k, v in losses.items() if v]
        return f"Run({str(self.path)!r}: {', '.join((*parts, *self.problems))})"

    def __eq__(self, other: object) -> bool:
        """The same run at the same step, with the same numbers to the bit."""
        if not isinstance(other, Run):
            return NotImplemented
        if self._identity() != other._identity():
            return False
        leaves = zip(*map(jax.tree.leaves, (self.state, other.state)), strict=True)
        return all(_same_bits(a, b) for a, b in leaves)

    def _identity(self) -> tuple:
        structure = jax.tree.structure(self.state)
        return self.path.resolve(), self.config, self.vocabulary, self.step, structure

    @property
    def params(self) -> Params:
        """C, W1, b1, W2, b2, bngain, bnbias for the lecture's network.

        Those that are put in their place are sampled from and evaluated, with batchnorm
        calibrated anew.
        """
        return self.state.params

    @property
    def model(self) -> Model:
        return self.config.network(len(self.vocabulary))

    @property
    def diagnostics(self) -> list[Diagnosis]:
        """Statistics of activations, gradients and updates, a record a diagnosed step.

        See `monitor.observe` for their fields; empty with --diagnose 0.
        """
        return schema.read_diagnostics(self.path / "diagnostics.jsonl")

    @property
    def dataset(self) -> Dataset:
        """The data of the run, read again on first use.

        Raises:
            RunError: they are not there, or not what the run was trained on.
        """
        if self._dataset is None:
            self._dataset = _dataset(self)
        return self._dataset

    @property
    def without_data(self) -> str | None:
        """Why the data of the run cannot be read, or None if they can."""
        try:
            _ = self.dataset
        except RunError as error:
            return str(error)
        return None

    def statistics(self, bn: str = "calibrated") -> Statistics:
        """Batchnorm's statistics at inference.

        Args:
            bn: `calibrated`, over the whole training set, or `running`.
        """
        if bn == "running" or not self.state.statistics:
            return self.state.statistics
        if bn != "calibrated":
            raise RunError(f"bn is {bn!r}, expected calibrated or running")
        if self._calibrated is None or not _same(self._calibrated[0], self.params):
            fresh = calibrate(self.params, self.dataset.train.x, self.model)
            self._calibrated = (dict(self.params), fresh)
        return self._calibrated[1]

    def losses(self, bn: str = "calibrated") -> dict[str, float | None]:
        """Mean loss in nats on train, val, the clean part of val, and test.

        None for a part without examples: that of clean val, if all of val's items occur
        in train as well.
        """
        statistics = self.statistics(bn)
        mean = partial(mean_loss, self.params, statistics, model=self.model)
        parts = self.dataset.parts.items()
        return {f"{k}_loss": mean(x, y) if len(y) else None for k, (x, y) in parts}

    @settings.fixed()
    def sample(
        self,
        count: int = 20,
        temperature: float = 1.0,
        top_k: int | None = None,
        prompt: str = "",
        seed: int = 0,
        bn: str | None = None,
    ) -> list[str]:
        """Invented items; see `jaxninja.training.sampling.sample` for the arguments.

        By default batchnorm is calibrated, or takes the running statistics where the
        data of the run are gone.

        Raises:
            SampleError: an argument that makes no sense, or logits that are not finite.
            DataError: the prompt has a symbol that the data do not have.
        """
        check_seed(seed)
        bn = bn or ("running" if self.without_data else "calibrated")
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


def _same_bits(a: Any, b: Any) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    kinds = (a.shape, a.dtype) == (b.shape, b.dtype)
    return kinds and a.tobytes() == b.tobytes()


def _same(before: Params, now: Params) -> bool:
    """The very same arrays; those of JAX cannot change, those of NumPy can."""
    same = before.keys() == now.keys() and all(before[k] is now[k] for k in now)
    return same and all(isinstance(array, jax.Array) for array in now.values())


def _dataset(run: Run) -> Dataset:
    """The data of a run, known again by their sha256."""
    data = run.config.data
    try:
        dataset = dataset_of(run.config)
    except DataError as error:
        raise RunError(f"{run.path} was trained on {data}: {error}") from None
    trained_on = read_description(run.path).data_sha256
    if dataset.sha256 != trained_on:
        raise RunError(
            f"{data} has changed since {run.path} was trained: sha256 "
            f"{dataset.sha256[:12]}..., expected {trained_on[:12]}...; restore the "
            "file, or train anew"
        )
    if dataset.vocabulary != run.vocabulary:
        raise RunError(
            f"{run.path / 'config.json'}: its vocabulary is not that of {data}; it was "
            "altered"
        )
    return dataset


def load(path: str | Path, at: str = "last") -> Run:
    """A run from its folder; see `read` for the arguments and errors."""
    return read(Path(path), at)[0]


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
    config, vocabulary = description.config, Vocabulary(description.vocabulary)
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
    vocabulary = Vocabulary(description.vocabulary).sha256
    if metadata.get("vocabulary", vocabulary) != vocabulary:
        raise RunError(
            f"{path / 'config.json'}: its vocabulary is not the one that the "
            "checkpoint was trained with; it was altered"
        )


def identity(config: TrainConfig) -> dict[str, Any]:
    """What makes two configurations the same run's: not where it and its data lie.

    The data are known by their sha256, the file of a route by the copy in the run.
    """
    values = config.to_dict() | {"route": Path(config.route).name}
    return {k: v for k, v in values.items() if k not in ("data", "name", "runs")}


def _checkpoint(path: Path, at: str) -> Path:
    choices = {"last": run_folder.latest_checkpoint, "best": run_folder.best_checkpoint}
    if at not in choices:
        raise RunError(f"at is {at!r}, expected last or best")
    read_description(path)  # says it if this is no run at all
    chosen = choices[at](path)
    if chosen is None:
        which = "" if at == "last" else "best "
        raise RunError(f"{path} has no {which}checkpoint: none was saved")
    return chosen


def read_description(path: Path) -> Description:
    """config.json of a run: configuration, vocabulary, sha256 of the data.

    Raises:
        RunError: no such folder, or it is not a run's.
        RecordError: it is not what was written.
    """
    file = path / "config.json"
    if not file.is_file():
        what = (
            "is not a run: it has no config.json" if path.is_dir() else "does not exist"
        )
        raise RunError(f"{path} {what}{_near(path)}")
    return schema.read_description(file)


def _near(path: Path) -> str:
    """Which run was meant, if one beside it has nearly this name."""
    others = {p.parent.name for p in path.parent.glob("[!.]*/config.json")}
    meant = did_you_mean(path.name, others, lambda name: str(path.parent / name))
    there = f"; {len(others)} runs are in {path.parent}" if others else ""
    return meant or there

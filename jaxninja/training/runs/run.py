"""A training run as an object: its parameters, its metrics, its samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxninja.data.datasets import Dataset
from jaxninja.data.running_text import RunningText
from jaxninja.data.text import DataError, Vocabulary
from jaxninja.data.tokenizers import Tokenizer
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.evaluation import calibrate, mean_loss
from jaxninja.training.examples import dataset_of
from jaxninja.training.machine import settings
from jaxninja.training.runs import schema
from jaxninja.training.runs.descriptions import RunError, read_description
from jaxninja.training.runs.schema import Diagnosis, Metric, Result
from jaxninja.training.sampling import items, texts
from jaxninja.training.sampling.choice import (
    Choice,
    check_length,
    check_seed,
    in_parts,
    read,
)
from jaxninja.training.sampling.items import LIMIT
from jaxninja.training.sampling.texts import BEGINNING


@dataclass(repr=False, eq=False)
class Run:
    """What `train` returns and `load` reads.

    Attributes:
        path: the run folder.
        config: what was trained, and how.
        vocabulary: of the data; of items the boundary is id 0, of running text it is
            the tokenizer.
        state: parameters, optimizer state and running statistics.
        step: steps taken.
        metrics: one record for each log interval.
        result: losses and speed at the end, or None for a run that has not ended.
        problems: a sentence for what failed after the training, with its result saved.
    """

    path: Path
    config: TrainConfig
    vocabulary: Vocabulary | Tokenizer
    state: steps.State
    step: int
    metrics: list[Metric]
    result: Result | None
    problems: list[str] = field(default_factory=list)
    _dataset: Dataset | RunningText | None = None
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
        """The network: its dataclass of sizes."""
        return self.config.network(len(self.vocabulary))

    @property
    def diagnostics(self) -> list[Diagnosis]:
        """Statistics of activations, gradients and updates, a record a diagnosed step.

        See `monitor.observe` for their fields; empty with --diagnose 0.
        """
        return schema.read_diagnostics(self.path / "diagnostics.jsonl")

    @property
    def dataset(self) -> Dataset | RunningText:
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

    def batch(self, step: int) -> tuple[jax.Array, jax.Array]:
        """Ids and labels of a step, counted from 0: [N, T], and [N] or [N, T].

        Raises:
            RunError: `step` is no whole number from 0 on.
        """
        whole = isinstance(step, int | np.integer) and not isinstance(step, bool)
        if not whole or not 0 <= step < 2**31:
            raise RunError(f"step is {step!r}, expected a whole number from 0 on")
        return steps.feed(self.config, self.dataset)(step).batch(self.config, step)

    def losses(self, bn: str = "calibrated") -> dict[str, float | None]:
        """Mean loss in nats on train, val, the clean part of val, and test.

        None for a part without examples: that of clean val, if all of val's items occur
        in train as well. Of running text there are train and val, each as the mean over
        `running_text.EVALUATED` of its tokens at most.
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
        top_p: float | None = None,
        length: int | None = None,
    ) -> list[str]:
        """Invented items or texts; see `jaxninja.training.sampling` for the arguments.

        By default batchnorm is calibrated, or takes the running statistics where the
        data of the run are gone. A text goes on from its prompt, by default the end of
        a line (the first token, where no token is one), for `length` tokens, by default
        the configuration's. More than fit into memory together are drawn in parts.

        Raises:
            SampleError: an argument that makes no sense, or logits that are not finite.
            DataError: the prompt has a symbol that the data do not have.
        """
        count, temperature = read("count", count), read("temperature", temperature)
        top_k, top_p = read("top_k", top_k), read("top_p", top_p)
        prompt, seed = read("prompt", prompt), read("seed", seed)
        length = read("length", length)
        check_seed(seed)
        key = jax.random.fold_in(jax.random.key(seed), 2)
        how = Choice(temperature, top_k, top_p)
        draw: Callable[..., list[list[int]]]
        given: dict[str, Any]
        if self.config.reads_text:
            text = self.vocabulary.encode(prompt) if prompt else self._beginning()
            limit = self.config.length if length is None else length
            given = {"prompt": [*text], "length": limit}
            draw, most = partial(texts.write, **given), texts.at_once(self.model)
        else:
            bn = bn or ("running" if self.without_data else "calibrated")
            start = tuple(self.vocabulary.encode(prompt))
            length = LIMIT if length is None else length
            check_length(length)
            given = {"prompt": start, "limit": length + len(start)}
            given["statistics"] = self.statistics(bn)
            draw, most = partial(items.sample, **given), items.at_once(self.model)
        draw = partial(draw, params=self.params, model=self.model, how=how)
        found: list[str] = []
        for turn, size in enumerate(in_parts(count, most)):
            own = jax.random.fold_in(key, turn) if turn else key
            found += map(self.vocabulary.decode, draw(own, count=size))
        return found

    def _beginning(self) -> Sequence[int]:
        """The end of a line, or the first token where none stands for it."""
        try:
            return [*self.vocabulary.encode(BEGINNING)]
        except DataError:
            return [0]

    def new(self, items: list[str]) -> int:
        """How many of these items do not occur in the data, in any of its parts."""
        assert isinstance(self.dataset, Dataset)
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


def _dataset(run: Run) -> Dataset | RunningText:
    """The data of a run, known again by their sha256."""
    data = run.config.data
    try:
        dataset = dataset_of(run.config)
    except DataError as error:
        raise RunError(f"{run.path} was trained on {data}: {error}") from None
    trained_on = read_description(run.path).data_sha256
    if dataset.sha256 != trained_on:
        raise RunError(
            f"{data} does not hold what {run.path} was trained on: sha256 "
            f"{dataset.sha256[:12]}..., expected {trained_on[:12]}...; restore the "
            "file, or train anew"
        )
    if dataset.vocabulary != run.vocabulary:
        raise RunError(
            f"{run.path / 'config.json'}: its vocabulary is not that of {data}; it was "
            "altered"
        )
    return dataset

"""The configuration of a training run, and what makes one impossible."""

import dataclasses
import difflib
import math
from dataclasses import dataclass
from typing import Any, Literal

from jaxninja.models.mlp import MLP

# What `--resume` may change: how long, where, and how often to look.
RESUMABLE = {
    "steps",
    "device",
    "log_every",
    "eval_every",
    "checkpoint_every",
    "keep",
    "keep_best",
    "check_grads",
    "samples",
}


class ConfigError(ValueError):
    """A configuration that cannot be trained; the message says which field and why."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train and how. The defaults are the lecture's.

    Attributes:
        data: names, surnames, makemore (downloaded once), or the path of a UTF-8 text
            file with one item a line.
        route: who derives the gradients: `network`, the whole backward pass by hand;
            `rules`, jax.grad through hand-derived layers; `autodiff`, jax.grad alone.
        steps: optimizer steps.
        batch_size: examples a step, drawn with replacement.
        seed: of the initialisation and of the batches. It does not move the data split.
        context: symbols the network sees.
        embedding: features of a symbol.
        hidden: units of the hidden layer.
        eps: added to batchnorm's variance.
        ddof: batchnorm's variance is over n - ddof: 1 in the lecture, 0 in the paper.
        bn_momentum: weight of the new value in batchnorm's running statistics.
        optimizer: from optax.
        lr: learning rate.
        lr_drop_at: the step from which the learning rate is lr * lr_drop.
        lr_drop: factor of that drop.
        weight_decay: of adamw.
        clip: largest global norm of the gradient; none by default.
        dtype: of the matrix products of a training step; parameters and sums are in
            float32 always, and so is the evaluation.
        matmul_precision: JAX's setting for float32 products, which on a GPU decides
            between TF32 and more; `default` leaves it as it is.
        device: auto takes what JAX finds; gpu without a GPU is an error.
        name: of the run folder; by default the next free <data>-<route>-<n>.
        runs: folder of the run folders.
        log_every: steps between lines of metrics.jsonl.
        eval_every: steps between validation losses (with the running statistics).
        checkpoint_every: steps between checkpoints.
        keep: checkpoints to keep, the last ones.
        keep_best: keep the checkpoint of the least validation loss as well.
        check_grads: compare the route's gradients with autodiff's at this many steps.
        samples: items to invent at the end.
    """

    data: str = "names"
    route: Literal["network", "rules", "autodiff"] = "network"
    steps: int = 200_000
    batch_size: int = 32
    seed: int = 0
    context: int = 3
    embedding: int = 10
    hidden: int = 200
    eps: float = 1e-5
    ddof: int = 1
    bn_momentum: float = 1e-3
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.1
    lr_drop_at: int = 100_000
    lr_drop: float = 0.1
    weight_decay: float = 0.01
    clip: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    matmul_precision: Literal["default", "high", "highest"] = "default"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    name: str | None = None
    runs: str = "runs"
    log_every: int = 1_000
    eval_every: int = 10_000
    checkpoint_every: int = 10_000
    keep: int = 2
    keep_best: bool = True
    check_grads: int = 0
    samples: int = 20

    def __post_init__(self) -> None:
        for field, (holds, expected) in _requirements(self).items():
            if not holds:
                given = getattr(self, field)
                raise ConfigError(f"{field} is {given!r}, expected {expected}")

    def model(self, vocabulary: int) -> MLP:
        """The network of this configuration for a vocabulary of so many symbols."""
        sizes = (self.context, self.embedding, self.hidden)
        return MLP(vocabulary, *sizes, self.eps, self.ddof, self.dtype)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Inverse of `to_dict`; a field it does not know is an error."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values.keys() - set(known):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"unknown field {name!r}{hint}")
        return cls(**values)


def _requirements(c: TrainConfig) -> dict[str, tuple[bool, str]]:
    """field -> (does it hold, what is expected)."""
    counts = ("steps", "batch_size", "context", "embedding", "hidden")
    every = ("log_every", "eval_every", "checkpoint_every", "keep")
    table = {name: (_count(c, name, 1), "1 or more") for name in (*counts, *every)}
    for name in ("check_grads", "samples", "lr_drop_at"):
        table[name] = (_count(c, name, 0), "0 or more")
    for name in ("lr", "lr_drop", "eps"):
        table[name] = (_finite(c, name), "a finite number above 0")
    table["weight_decay"] = (
        _finite(c, "weight_decay", True),
        "a finite number, 0 or more",
    )
    table["seed"] = (-(2**31) <= c.seed < 2**31, "an integer of 32 bits")
    table["ddof"] = (c.ddof in (0, 1), "0 (the paper) or 1 (the lecture)")
    table["bn_momentum"] = (0 < c.bn_momentum <= 1, "above 0 and at most 1")
    table["clip"] = (c.clip is None or _finite(c, "clip"), "a finite number above 0")
    for name in ("route", "optimizer", "device", "dtype", "matmul_precision"):
        choices = TrainConfig.__annotations__[name].__args__
        table[name] = (getattr(c, name) in choices, "one of " + ", ".join(choices))
    if c.batch_size == c.ddof:
        expected = "2 or more: with ddof 1 the variance of one example is 0 / 0"
        table["batch_size"] = (False, expected)
    return table


def _count(config: TrainConfig, name: str, least: int) -> bool:
    value = getattr(config, name)
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _finite(config: TrainConfig, name: str, zero: bool = False) -> bool:
    value = getattr(config, name)
    return math.isfinite(value) and (value > 0 or (zero and value == 0))

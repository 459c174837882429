"""The configuration of a training run, and what makes one impossible."""

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from jaxninja.errors import UserError, did_you_mean
from jaxninja.models.deep import Deep
from jaxninja.models.network import Model
from jaxninja.models.ninja import Ninja
from jaxninja.training.config_values import plain, shown

ROUTES = ("network", "rules", "autodiff")
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
    "diagnose",
    "samples",
}

# The lecture's network: all other values make another one.
LECTURE = {
    "layers": 1,
    "activation": "tanh",
    "batchnorm": "hidden",
    "init": "part4",
    "gain": None,
}

# What the kernel trains besides: its sizes are those of its source.
KERNEL = {
    "route": "network",
    "batch_size": 32,
    "context": 3,
    "embedding": 10,
    "hidden": 200,
    "optimizer": "sgd",
    "clip": None,
    "dtype": "float32",
}
KERNEL_VOCABULARY = 27

INTERVALS = ("log_every", "eval_every", "checkpoint_every", "keep")
INT32 = 2**31 - 1  # the step is an integer of 32 bits, as are sizes
COUNTS = {
    "steps": (1, INT32),
    "lr_drop_at": (0, INT32),
    "batch_size": (1, INT32),
    "context": (1, INT32),
    "embedding": (1, INT32),
    "hidden": (1, INT32),
    "samples": (0, INT32),
    "layers": (1, 1_000),  # each is compiled on its own
}


class ConfigError(UserError, ValueError):
    """A configuration that cannot be trained; the message says which field and why."""


@dataclass(frozen=True)
class TrainConfig:
    """What to train and how. The defaults are the lecture's.

    Attributes:
        data: names, surnames, makemore (downloaded once), or the path of a UTF-8 text
            file with one item a line.
        route: who derives the gradients: `network`, the whole backward pass by hand;
            `rules`, jax.grad through hand-derived layers; `autodiff`, jax.grad alone;
            FILE.py, the function `backward` in it (exercise 4 of the workbook).
        engine: what runs the steps: `xla`, a compiled loop; `kernel`, one hand-written
            kernel with the whole loop in it, for a GPU (see training/kernel). It trains
            the lecture's network with its sizes by sgd, and is built on first use.
        steps: optimizer steps.
        batch_size: examples a step, drawn with replacement.
        seed: of the initialisation and of the batches. It does not move the data split.
        context: symbols the network sees.
        embedding: features of a symbol.
        hidden: units of each hidden layer.
        layers: hidden layers. Any network but the lecture's needs --route rules.
        activation: of the hidden layers; gelu is its erf form.
        batchnorm: none; hidden, before each activation; all, on the logits as well.
        init: initialisation by name: the stages of the lecture's Part 3 (original,
            softmax, saturation, kaiming, deep), xavier, or part4.
        gain: of the hidden layers' weights; by default the activation's own.
        eps: added to batchnorm's variance.
        ddof: batchnorm's variance is over n - ddof: 1 in the lecture, 0 in the paper.
        running_ddof: the same for the running variance; by default as in ddof.
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
        diagnose: steps between statistics of activations, gradients and updates, which
            `jaxninja report` shows; 0 for none.
        samples: items to invent at the end.
    """

    data: str = "names"
    route: str = "network"
    engine: Literal["xla", "kernel"] = "xla"
    steps: int = 200_000
    batch_size: int = 32
    seed: int = 0
    context: int = 3
    embedding: int = 10
    hidden: int = 200
    layers: int = 1
    activation: Literal["tanh", "relu", "sigmoid", "gelu", "gelu-tanh"] = "tanh"
    batchnorm: Literal["none", "hidden", "all"] = "hidden"
    init: Literal[
        "part4", "original", "softmax", "saturation", "kaiming", "xavier", "deep"
    ] = "part4"
    gain: float | None = None
    eps: float = 1e-5
    ddof: int = 1
    running_ddof: int | None = None
    bn_momentum: float = 1e-3
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw"] = "sgd"
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
    diagnose: int = 1_000
    samples: int = 20

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(type(self)).items():
            given = getattr(self, field)
            try:
                object.__setattr__(self, field, plain(given, kind))
            except ValueError as error:
                text = f"{field} is {shown(given)}, expected {error}"
                raise ConfigError(text) from None
        for field, (holds, expected) in _requirements(self).items():
            if not holds:
                given = shown(getattr(self, field))
                raise ConfigError(f"{field} is {given}, expected {expected}")

    @property
    def is_lectures(self) -> bool:
        """Is this the network of Part 4, whose backward pass is by hand as a whole?"""
        return all(getattr(self, name) == value for name, value in LECTURE.items())

    def model(self, vocabulary: int) -> Model:
        """The network of this configuration for a vocabulary of so many symbols."""
        if self.engine == "kernel" and vocabulary != KERNEL_VOCABULARY:
            raise ConfigError(
                f"engine is 'kernel', expected xla: it is for {KERNEL_VOCABULARY} "
                f"symbols, and {self.data} has {vocabulary}"
            )
        sizes = (vocabulary, self.context, self.embedding, self.hidden)
        if self.is_lectures:
            return Ninja(*sizes, self.eps, self.ddof, self.dtype)
        shape = (self.layers, self.activation, self.batchnorm, self.init, self.gain)
        return Deep(*sizes, *shape, self.eps, self.ddof)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Inverse of `to_dict`; a field it does not know is an error."""
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                hint = did_you_mean(str(name), known)
                raise ConfigError(f"unknown field {name!r}{hint}")
        return cls(**values)


def expect_config(config: Any, fields: dict[str, Any], call: str = "train") -> None:
    """Refuse what was given in place of a configuration, and say how to give it.

    Args:
        config: the argument of that name.
        fields: arguments by names that `call` does not have.
        call: the function that takes the configuration.

    Raises:
        ConfigError: it is no TrainConfig, or there are such arguments.
    """
    if isinstance(config, dict):
        fields = {**config, **fields}
    if fields:
        TrainConfig.from_dict(fields)  # an unknown name or a bad value is told first
        given = ", ".join(f"{name}={shown(v)}" for name, v in fields.items())
        raise ConfigError(
            f"{call} takes these in a configuration: {call}(TrainConfig({given}))"
        )
    if config is not None and not isinstance(config, TrainConfig):
        is_path = isinstance(config, str | os.PathLike)
        hint = f"; to go on with a run: {call}(resume={config!r})" if is_path else ""
        raise ConfigError(f"config is {shown(config)}, expected a TrainConfig{hint}")


def _requirements(c: TrainConfig) -> dict[str, tuple[bool, str]]:
    """field -> (does it hold, what is expected)."""
    table = {name: (getattr(c, name) >= 1, "1 or more") for name in INTERVALS}
    for name in ("check_grads", "diagnose"):
        table[name] = (getattr(c, name) >= 0, "0 or more")
    for name, (least, most) in COUNTS.items():
        expected = f"{least} or more, at most {most:,}"
        table[name] = (least <= getattr(c, name) <= most, expected)
    for name in ("lr", "lr_drop", "eps"):
        table[name] = (_finite(c, name), "a finite number above 0")
    table["weight_decay"] = (
        _finite(c, "weight_decay", True),
        "a finite number, 0 or more",
    )
    table["seed"] = (-(2**31) <= c.seed < 2**31, "an integer of 32 bits")
    table["ddof"] = (c.ddof in (0, 1), "0 (the paper) or 1 (the lecture)")
    expected = "0 (the paper) or 1 (unbiased)"
    table["running_ddof"] = (c.running_ddof in (None, 0, 1), expected)
    table["gain"] = (c.gain is None or _finite(c, "gain"), "a finite number above 0")
    table["bn_momentum"] = (0 < c.bn_momentum <= 1, "above 0 and at most 1")
    table["clip"] = (c.clip is None or _finite(c, "clip"), "a finite number above 0")
    literal = ("engine", "optimizer", "device", "activation", "batchnorm", "init")
    for name in (*literal, "dtype", "matmul_precision"):
        choices = TrainConfig.__annotations__[name].__args__
        table[name] = (getattr(c, name) in choices, "one of " + ", ".join(choices))
    is_file = c.route.endswith(".py")
    expected = f"one of {', '.join(ROUTES)}, or the path of a .py file"
    table["route"] = (c.route in ROUTES or is_file, expected)
    if (c.route == "network" or is_file) and not c.is_lectures:
        expected = (
            "rules or autodiff: the backward pass of a whole network by hand is "
            f"that of the lecture's, not of one with {_other_than(LECTURE, c)}"
        )
        table["route"] = (False, expected)
    if c.engine == "kernel" and (other := _other_than(KERNEL, c)):
        expected = (
            "xla: the kernel is for the lecture's network with its sizes and by sgd, "
            f"not for one with {other}"
        )
        table["engine"] = (False, expected)
    if c.dtype == "bfloat16" and not c.is_lectures:
        table["dtype"] = (False, "float32 for a network other than the lecture's")
    if c.batchnorm != "none" and c.batch_size in (c.ddof, c.running_ddof):
        expected = "2 or more: with ddof 1 the variance of one example is 0 / 0"
        table["batch_size"] = (False, expected)
    return table


def _other_than(values: dict[str, Any], config: TrainConfig) -> str:
    """The fields that have other values than these, and which."""
    given = {name: getattr(config, name) for name in values}
    return ", ".join(f"{n} {v}" for n, v in given.items() if v != values[n])


def _finite(config: TrainConfig, name: str, zero: bool = False) -> bool:
    value = getattr(config, name)
    return math.isfinite(value) and (value > 0 or (zero and value == 0))

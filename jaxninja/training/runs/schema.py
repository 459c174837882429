"""What the files of a run hold, as types: `storage.records` checks each against them.

Fields that later versions added have defaults or are not required, so that folders of
earlier versions load; fields that are not listed are kept as they are.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from jaxninja.data.text import Vocabulary
from jaxninja.storage.records import RecordError, parse, read, read_lines
from jaxninja.training.config import ConfigError, TrainConfig

Count = Annotated[int, Meta(ge=0)]
Number = float | None  # null where a number was not finite
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Description:
    """config.json: what was trained, on which symbols and data, in which settings.

    Of running text the symbols are those of the tokenizer char, and none of another.
    """

    config: TrainConfig
    vocabulary: tuple[str, ...]
    data_sha256: Sha256
    settings: dict[str, Any] = field(default_factory=dict)  # of JAX, by their names

    def __post_init__(self) -> None:
        if not self.config.reads_text:
            Vocabulary(self.vocabulary).check()


class Metric(TypedDict):
    """A line of metrics.jsonl: the interval of the log that ends at `step`."""

    step: Count
    lr: float
    train_loss: Number  # mean over the interval
    val_loss: Number  # null where it was not evaluated
    seconds: float
    tokens_per_second: NotRequired[Number]  # since the line before
    flops_per_second: NotRequired[Number]  # estimated
    share_of_machine: NotRequired[Number]  # of its measured rate of products


class Result(TypedDict):
    """result.json: the losses in nats, batchnorm calibrated on train, and the speed.

    Running text has two parts, items have four.
    """

    train_loss: Number
    val_loss: Number
    clean_val_loss: NotRequired[Number]  # null where all of val occur in train too
    test_loss: NotRequired[Number]
    steps_per_second: Number
    seconds: float
    steps: Count
    parameters: Count
    route: str
    data: str
    model: NotRequired[str]


class Histogram(TypedDict):
    """Counts in equal bins from low to high; nonfinite values are in none."""

    low: float
    high: float
    counts: Annotated[list[Count], Meta(min_length=1)]
    nonfinite: float


class Activation(TypedDict):
    """Of an array of activations; shares are between 0 and 1."""

    mean: Number
    std: Number
    saturated: Number
    dead: Number
    constant: Number
    histogram: Histogram


class Gradient(TypedDict):
    """Of the gradient with respect to an array."""

    std: Number
    zero: Number
    histogram: Histogram


class Parameter(TypedDict):
    """How strongly a step moves a parameter; update_data is a log10."""

    data_std: Number
    grad_std: Number
    grad_zero: Number
    grad_data: Number
    update_data: Number
    histogram: Histogram


class Gap(TypedDict):
    """Between running and calibrated statistics of a batchnorm."""

    mean: Number
    std: Number


class Diagnosis(TypedDict):
    """A line of diagnostics.jsonl: the step about to come."""

    step: Count
    loss: Number
    grad_norm: Number
    clipped: Number
    activations: dict[str, Activation]
    gradients: dict[str, Gradient]
    parameters: dict[str, Parameter]
    batchnorm: dict[str, Gap]


class Metadata(TypedDict):
    """What a checkpoint says beside its arrays."""

    step: Count
    config: dict[str, Any]
    seconds: float
    loss_sum: float
    loss_count: Count
    vocabulary: NotRequired[Sha256]  # of the symbols that the rows of C stand for


def read_description(file: Path) -> Description:
    """config.json, checked.

    Raises:
        RecordError: it cannot be read, or a field is not what `Description` says.
        ConfigError: it has a field that this version does not know.
    """
    description = read(file, Description)
    raw = parse(file.read_text(encoding="utf-8"), str(file))
    try:
        TrainConfig.from_dict(raw["config"])
    except ConfigError as error:
        raise RecordError(f"{file}: config: {error}") from None
    return description


def read_diagnostics(file: Path) -> list[Diagnosis]:
    """The lines of diagnostics.jsonl, all of them of the same arrays.

    Raises:
        RecordError: a line is not what `Diagnosis` says, or of other arrays.
    """
    lines = read_lines(file, Diagnosis)
    for line in lines:
        _same_arrays(line, lines[0], file)
    return lines


def _same_arrays(line: Any, first: Any, file: Path) -> None:
    """Each record has the arrays of the first, and a gradient for each activation."""
    place = f"{file}, step {line['step']}"
    parts = ("activations", "gradients", "parameters", "batchnorm")
    wanted = [(part, first[part]) for part in parts]
    wanted += [("gradients", line["activations"])]
    for part, names in wanted:
        missing = sorted(set(names) - set(line[part]))
        if missing:
            raise RecordError(
                f"{place}: {part}.{missing[0]} is missing; it was altered"
            )

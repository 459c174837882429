"""What a training would hold in memory at least, held against what there is.

The allocator's own error comes late, after minutes of compiling and with a run folder
made, and names no option. The estimate is of the large arrays alone, so that nothing is
refused that would fit. Samples are drawn in parts, which are small beside them.
"""

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxninja.models import network
from jaxninja.training.config import ConfigError, TrainConfig

NUMBER = 4  # bytes of a float32 or an int32
BLOCK = 4_096  # examples at a time in an evaluation
MOMENTS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
CGROUP = ("memory.max", "memory/memory.limit_in_bytes")  # versions 2 and 1


def estimate(config: TrainConfig, vocabulary: int, examples: int) -> dict[str, int]:
    """Bytes of the largest arrays.

    Args:
        config: of the training, its context known.
        vocabulary: symbols, the boundary included.
        examples: of the whole data set.

    Returns:
        The fields of the configuration that decide a size -> its bytes.
    """
    copies = 2 + MOMENTS[config.optimizer]  # the parameters and their gradients
    if config.reads_text:
        return _of_text(config, vocabulary, copies)
    weights, units, wide = _sizes(config, vocabulary)
    context = config.context or 1
    labels = context if config.reads_sequences else 0
    predictions = context if config.reads_sequences else 1
    rows = min(max(BLOCK // predictions, 1), examples)
    batch = config.batch_size * context + config.batch_size // config.accumulate * units
    return {
        "hidden, embedding, context, layers": NUMBER * copies * weights,
        "batch_size": NUMBER * batch,
        "hidden, embedding, context": NUMBER * rows * wide,
        "context": NUMBER * examples * (context + labels),
    }


def _of_text(config: TrainConfig, vocabulary: int, copies: int) -> dict[str, int]:
    """The same of a model of running text, which says itself what it costs."""
    model, context = config.network(vocabulary), config.context
    costs = network.PAGES[config.model].language.costs  # type: ignore[union-attr]
    # the state as it was before a chunk waits in case a loss is not finite
    copies += copies - 1 + (config.accumulate > 1)
    # pyrefly: ignore[unsupported-operation]  of running text it has one
    tokens = config.batch_size // config.accumulate * context
    kept = costs.kept(model, config.route, tokens, context)
    return {
        "embedding, layers": NUMBER * copies * costs.parameters(model),
        "batch_size": NUMBER * (kept + costs.widest(model, tokens)),
    }


def _way(config: TrainConfig, size: Callable[[TrainConfig], int], limit: int) -> str:
    """What takes the least and trains the same, if anything does."""
    changes: dict[str, Any] = {}
    if config.residuals not in (None, "1C") and config.route == "network":
        changes["residuals"] = "1C"
    if not config.normalises and config.accumulate < config.batch_size:
        changes["accumulate"] = config.batch_size
    names = itertools.chain(*(itertools.combinations(changes, n) for n in range(3)))
    ways = [{name: changes[name] for name in some} for some in names]
    sizes = [size(replace(config, **way)) for way in ways]
    least = min(sizes)
    way = ways[sizes.index(least)]
    options = " and ".join(f"--{name} {value}" for name, value in way.items())
    still = "still " if least > limit else ""
    return f"; with {options} it would be {still}{_gigabytes(least)}" if way else ""


def _sizes(config: TrainConfig, V: int) -> tuple[int, int, int]:
    """Numbers in the weights; in what an example's step holds; in its widest array."""
    T, E, H = config.context or 1, config.embedding or 0, config.hidden or 0
    layers, heads = config.layers or 0, config.heads or 0
    ends, rest = V * E + H * V, max(T.bit_length() - 2, 0)  # wavenet's further layers
    cell = (E + H) * H
    weights, units, wide = {
        "ninja": (
            ends + T * E * H + (layers - 1) * H**2,
            T * E + layers * H + V,
            max(T * E, H),
        ),
        "bigram": (V * V, T * V, T * V),
        "mlp": (ends + T * E * H, T * (T * E + H + V), T * max(T * E, H)),
        "bow": (V * E + T * E + 2 * E * H, T * (2 * E + H + V), T * max(E, H)),
        "rnn": (ends + cell, T * (E + H + V), T * max(E, H)),
        "gru": (ends + 3 * cell, T * (E + 4 * H + V), T * max(E, H)),
        "lstm": (ends + 4 * cell, T * (E + 5 * H + V), T * max(E, H)),
        "transformer": (
            2 * V * E + T * E + layers * 12 * E**2,
            T * (layers * (12 * E + heads * T) + V),
            T * max(4 * E, heads * T),
        ),
        "wavenet": (
            ends + 2 * E * H + rest * 2 * H**2,
            T * E + (T - 1) * H + V,
            T * max(E, H // 2),
        ),
    }[config.model]
    return weights, units, wide


def expect_to_fit(
    config: TrainConfig, vocabulary: int, examples: int, limit: int | None
) -> None:
    """Refuse a configuration that cannot be trained in `limit` bytes.

    Raises:
        ConfigError: says which options decide the largest part.
    """

    def size(config):
        return sum(estimate(config, vocabulary, examples).values())

    parts, total = estimate(config, vocabulary, examples), size(config)
    if limit is None or total <= limit:
        return
    names = max(parts, key=parts.__getitem__).split(", ")
    largest = max(names, key=lambda name: getattr(config, name) or 0)
    raise ConfigError(
        f"{largest} is {getattr(config, largest):,}, but training would take at least "
        f"{_gigabytes(total)} of memory, and there are {_gigabytes(limit)}"
        f"{_way(config, size, limit)}"
    )


def available(device: Any) -> int | None:
    """Bytes that a device may use, its owner's limits included; None if unknown."""
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    limits = [*_physical(), *_of_cgroup(), *_of_process()]
    return min(limits, default=None)


def _physical() -> list[int]:
    try:
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # Windows has none
        return []


def _of_cgroup() -> list[int]:
    """The limit of a container."""
    texts = []
    for name in CGROUP:
        try:
            texts.append(Path("/sys/fs/cgroup", name).read_text().strip())
        except OSError:
            continue
    return [int(text) for text in texts if text.isdecimal()]


def _of_process() -> list[int]:
    try:
        import resource
    except ImportError:  # Windows
        return []
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if soft == resource.RLIM_INFINITY else [soft]


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 1e15 else f"{count / 1e9:.1e} GB"

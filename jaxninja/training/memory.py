"""What a training would hold in memory at least, held against what there is.

The allocator's own error comes late, after minutes of compiling and with a run folder
made, and names no option. The estimate is of the large arrays alone, so that nothing is
refused that would fit.
"""

import os
from pathlib import Path
from typing import Any

from jaxninja.training.config import ConfigError, TrainConfig

NUMBER = 4  # bytes of a float32 or an int32
BLOCK = 4_096  # examples at a time in an evaluation
LIMIT = 100  # symbols of a sample, at most
MOMENTS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2, "adamw": 2}
CGROUP = ("memory.max", "memory/memory.limit_in_bytes")  # versions 2 and 1


def estimate(config: TrainConfig, vocabulary: int, examples: int) -> dict[str, int]:
    """Bytes of the largest arrays.

    Args:
        config: of the training.
        vocabulary: symbols, the boundary included.
        examples: of the whole data set.

    Returns:
        The fields of the configuration that decide a size -> its bytes.
    """
    features = config.context * config.embedding
    weights = [
        vocabulary * config.embedding,
        features * config.hidden,
        (config.layers - 1) * config.hidden**2,
        config.hidden * vocabulary,
    ]
    copies = 2 + MOMENTS[config.optimizer]  # the parameters and their gradients
    units = features + config.layers * config.hidden + vocabulary  # of one example
    rows = min(BLOCK, examples)
    return {
        "hidden, embedding, context, layers": NUMBER * copies * sum(weights),
        "batch_size": NUMBER * config.batch_size * (units + config.context),
        "hidden, embedding, context": NUMBER * rows * max(features, config.hidden),
        "context": NUMBER * examples * config.context,
        "samples": NUMBER * config.samples * (LIMIT + config.context),
    }


def expect_to_fit(
    config: TrainConfig, vocabulary: int, examples: int, limit: int | None
) -> None:
    """Refuse a configuration that cannot be trained in `limit` bytes.

    Raises:
        ConfigError: says which options decide the largest part.
    """
    parts = estimate(config, vocabulary, examples)
    total = sum(parts.values())
    if limit is None or total <= limit:
        return
    names = max(parts, key=parts.__getitem__).split(", ")
    largest = max(names, key=lambda name: getattr(config, name))
    raise ConfigError(
        f"{largest} is {getattr(config, largest):,}, but training would take at least "
        f"{_gigabytes(total)} of memory, and there are {_gigabytes(limit)}"
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

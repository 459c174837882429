"""The data of a configuration: in windows or as sequences, and how long these are."""

import dataclasses
from collections.abc import Sequence

from jaxninja.data.datasets import Dataset, load_dataset
from jaxninja.training.config import ConfigError, TrainConfig


def dataset_of(config: TrainConfig) -> Dataset:
    """The data, split and encoded for the model; the context is known by now."""
    assert config.context is not None
    whole = config.reads_sequences
    return load_dataset(config.data, config.context, config.split, whole)


def with_context(config: TrainConfig, items: Sequence[str]) -> TrainConfig:
    """The configuration with a context that holds each item, if its model reads them.

    Raises:
        ConfigError: one was given that is too short for the longest item.
    """
    if not config.reads_sequences:
        return config
    longest = max(map(len, items))
    if config.context is None:
        return dataclasses.replace(config, context=longest + 1)
    if config.context <= longest:
        raise ConfigError(
            f"context is {config.context}, expected {longest + 1} or more: model "
            f"{config.model} reads an item whole, and the longest has {longest} symbols"
        )
    return config

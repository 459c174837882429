"""The data of a configuration: items or running text, and how long a sequence is."""

import dataclasses
import os
from collections.abc import Sequence
from typing import NamedTuple

from jaxninja.data import corpus, datasets
from jaxninja.data.corpus import Corpus, load_corpus
from jaxninja.data.datasets import Dataset, load_dataset, load_items
from jaxninja.data.running_text import RunningText
from jaxninja.data.text import DataError, Vocabulary
from jaxninja.data.tokenizers import Tokenizer, of_symbols
from jaxninja.training.config import ConfigError, TrainConfig


def dataset_of(config: TrainConfig) -> Dataset | RunningText:
    """The data, split and encoded for the model; the context is known by now."""
    assert config.context is not None
    if config.reads_text:
        return RunningText(_corpus(config), config.context)
    whole = config.reads_sequences
    # pyrefly: ignore[bad-argument-type]  of items it has one
    return load_dataset(config.data, config.context, config.split, whole)


def _corpus(config: TrainConfig) -> Corpus:
    # pyrefly: ignore[bad-argument-type]  of running text it has one
    return load_corpus(config.data, config.tokenizer, config.tokenizer_files)


class Extent(NamedTuple):
    """How much there is, before it is made ready for a model."""

    config: TrainConfig  # with the context that the data decide
    vocabulary: int  # symbols or tokens
    examples: int  # held in memory: items, or rows to evaluate on


def extent(config: TrainConfig) -> Extent:
    """The size of a configuration's data.

    Raises:
        ConfigError, DataError: the context does not suit the data, or they cannot be
            read.
    """
    _expect_a_file(config.data)
    if config.reads_text:
        text = _corpus(config)
        # pyrefly: ignore[bad-argument-type]  of running text it has one
        text.check(config.context)
        text.tokenizer.encode("")  # what it lacks is said before the training
        return Extent(config, len(text.tokenizer), 1)
    items = load_items(config.data)
    config = with_context(config, items)
    whole = config.reads_sequences
    examples = len(items) if whole else sum(len(item) + 1 for item in items)
    return Extent(config, len(Vocabulary.of(items)), examples)


def _expect_a_file(data: str) -> None:
    """A run reads its data more than once, and a pipe is empty then.

    Raises:
        DataError: they come from a pipe, or from another device.
    """
    if os.path.exists(data) and not (os.path.isfile(data) or os.path.isdir(data)):
        raise DataError(
            f"{data} is no file, expected one: a run reads its data again when it goes "
            "on; save them to a file first"
        )


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


def vocabulary_of(
    config: TrainConfig, symbols: Sequence[str]
) -> Vocabulary | Tokenizer:
    """The vocabulary that a run has recorded as these symbols.

    Raises:
        DataError: they were altered.
    """
    if config.reads_text:
        text = "".join(symbols)
        # pyrefly: ignore[bad-argument-type]  of running text it has one
        return of_symbols(config.tokenizer, text, config.tokenizer_files)
    vocabulary = Vocabulary(tuple(symbols))
    vocabulary.check()
    return vocabulary


def absolute(config: TrainConfig) -> TrainConfig:
    """The same data, wherever one stands: paths are made absolute."""
    named = corpus.NAMED if config.reads_text else datasets.NAMED
    paths = {name: getattr(config, name) for name in ("tokenizer_files", "init_from")}
    paths |= {"data": config.data} if config.data not in named else {}
    whole = {k: os.path.abspath(path) for k, path in paths.items() if path is not None}
    return dataclasses.replace(config, **whole)

"""What the experiments share: a network trained in memory, and what is said of it."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp

from jaxninja.data.datasets import Dataset, load_dataset
from jaxninja.report import Gathered, findings
from jaxninja.training import steps
from jaxninja.training.config import TrainConfig
from jaxninja.training.monitor import dead_over_set, observe


class Outcome(NamedTuple):
    """What an experiment found.

    Attributes:
        leak: what goes wrong, in a sentence.
        wrong, fixed: the same measurements of the wrong version and of the fixed one.
        fix: what was done.
        word: what the diagnostics say of the wrong version.
    """

    leak: str
    wrong: Mapping[str, float]
    fixed: Mapping[str, float]
    fix: str
    word: str


class Trained(NamedTuple):
    """A network after some steps, and the diagnostics of its first and last one."""

    config: TrainConfig
    state: steps.State
    lines: list[dict]


@lru_cache(maxsize=1)
def names() -> Dataset:
    return load_dataset("names")


def train(count: int, **options) -> Trained:
    """Train on the embedded names for so many steps; nothing is written."""
    config = TrainConfig(route="rules", **options)
    model = config.network(len(names().vocabulary))
    x, y = map(jnp.asarray, names().train)
    state = steps.init_state(config, model)
    lines = [observe(config, model, state, steps.Items(x, y), 0)]
    if count:
        state, _ = steps.make_advance(config, model)(state, steps.Items(x, y), 0, count)
        lines.append(observe(config, model, state, steps.Items(x, y), count))
    return Trained(config, state, lines)


def dead(trained: Trained) -> dict[str, tuple[int, int]]:
    """Units that are dead for the whole training set."""
    model = trained.config.network(len(names().vocabulary))
    x, y = map(jnp.asarray, names().train)
    return dead_over_set(trained.state.params, x, y, model)


def word(trained: Trained, topic: str) -> str:
    """The first sentence that asks for something, on a topic, and what it asks for."""
    lines, config = trained.lines, trained.config.to_dict()
    found = Gathered(Path(), config, names().vocabulary, diagnostics=lines)
    for finding in findings(found):
        if finding.topic == topic and finding.level != "good":
            return f"{finding.text} {finding.todo}"
    return "nothing"

"""What a run carries from step to step."""

from typing import Any, NamedTuple

from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.config import TrainConfig
from jaxninja.training.optimizers import optimizer
from jaxninja.training.steps.keys import key


class State(NamedTuple):
    """All that a run needs to go on, beside its configuration and the step."""

    params: Params
    optimizer: Any  # optax's own state, its step count included
    statistics: Statistics  # running mean [H] and var [H] of each batchnorm


def init_state(config: TrainConfig, model: Model, seed: Any = None) -> State:
    """The state at step 0; an array `seed` stands for `config.seed`, as in a sweep."""
    params = network.of(model).init(key(config, "init", seed), model)
    statistics = network.initial_statistics(model)
    return State(params, optimizer(config).init(params), statistics)

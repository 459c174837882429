"""The state of a run at step 0: drawn, or with the weights of a file."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.models import network
from jaxninja.storage import weights
from jaxninja.training import steps
from jaxninja.training.config import ConfigError, TrainConfig

SIZES = ("layers", "heads", "embedding")  # that the weights of a file decide


def initial_state(config: TrainConfig, vocabulary: int) -> steps.State:
    """What the first step begins with.

    Raises:
        ConfigError: the weights of `init_from` are of other sizes.
        WeightsFileError, WeightsError: they cannot be read, or are not the model's.
    """
    model = config.network(vocabulary)
    state = steps.init_state(config, model)
    if config.init_from is None:
        return state
    language = network.page(model).language
    assert language is not None
    tensors, beside = weights.load(config.init_from)
    found = language.weights.sizes(tensors, beside)
    expect_sizes(config, model, found)
    params = language.weights.imported(tensors, model)
    kinds = {name: a.dtype for name, a in state.params.items()}
    placed = {name: jnp.asarray(a, kinds[name]) for name, a in params.items()}
    return state._replace(params=jax.block_until_ready(placed))


def expect_sizes(config: TrainConfig, model: Any, found: Any) -> None:
    """Refuse weights of another network than the configuration's, and say whose.

    Raises:
        ConfigError: names what differs, and the options that suit the weights.
    """
    if found.vocabulary != model.vocabulary:
        raise ConfigError(
            f"init_from is of {found.vocabulary:,} tokens, but tokenizer "
            f"{config.tokenizer} has {model.vocabulary:,} for {config.data}; pass the "
            "--tokenizer that the weights were trained with"
        )
    differ = [name for name in SIZES if getattr(found, name) != getattr(model, name)]
    longer = model.context > found.context
    if differ or longer:
        names = [*SIZES, "context"] if longer else SIZES
        options = " ".join(f"--{name} {getattr(found, name)}" for name in names)
        raise ConfigError(
            f"init_from is {config.init_from}, weights of other sizes than those "
            f"given: pass {options}"
        )

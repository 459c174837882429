"""The optimizers by name, from optax: learning rate, its drop, clipping."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxninja.intermediates.statistics import global_norm
from jaxninja.training.config import TrainConfig


def schedule(config: TrainConfig, lr: Any = None) -> optax.Schedule:
    """The learning rate of a step: lr, and lr * lr_drop from step lr_drop_at on."""
    at = config.lr_drop_at
    drop = None if at is None else {at: config.lr_drop}
    return optax.piecewise_constant_schedule(config.lr if lr is None else lr, drop)


def optimizer(config: TrainConfig, lr: Any = None) -> optax.GradientTransformation:
    """An optimizer of optax by name, after clipping by global norm if asked for."""
    rate = schedule(config, lr)
    chosen = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=0.9),
        "rmsprop": lambda: optax.rmsprop(rate),
        "adam": lambda: optax.adam(rate, b2=config.beta2),
        "adamw": lambda: optax.adamw(
            rate, b2=config.beta2, weight_decay=config.weight_decay
        ),
    }[config.optimizer]()
    if config.clip is None:
        return chosen
    return optax.chain(clipped(config.clip), chosen)


class Clipped(NamedTuple):
    """State of `clipped`."""

    acted: jax.Array  # int32: the steps so far at which the gradient was too long


def clipped(limit: float) -> optax.GradientTransformation:
    """optax's clipping by global norm, and a count of how often it acts."""
    clip = optax.clip_by_global_norm(limit)

    def init(params):
        return Clipped(jnp.zeros((), jnp.int32))

    def update(grads, state, params=None):
        acted = state.acted + (global_norm(grads) > limit)
        return clip.update(grads, optax.EmptyState())[0], Clipped(acted)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]

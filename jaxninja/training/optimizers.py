"""The optimizers by name, from optax: learning rate over time, decay, clipping."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxninja.intermediates.statistics import global_norm
from jaxninja.models import network
from jaxninja.training.config import TrainConfig


def schedule(config: TrainConfig, lr: Any = None) -> optax.Schedule:
    """The learning rate of a step, counted from 0.

    It is lr, and lr * lr_drop from step lr_drop_at on, times `shape`.
    """
    at = config.lr_drop_at
    drop = None if at is None else {at: config.lr_drop}
    steady = optax.piecewise_constant_schedule(config.lr if lr is None else lr, drop)
    if not config.warmup and not config.cosine:
        return steady
    factor = shape(config.warmup, config.cosine, config.lr_last)
    return lambda step: steady(step) * factor(step)


def shape(warmup: int, cosine: int, last: float) -> optax.Schedule:
    """A factor: from 1 / (warmup + 1) to 1 at step `warmup`, then along half a cosine
    to `last` at step `cosine`, where it stays; without a cosine at 1."""
    rise = optax.linear_schedule(1 / (warmup + 1), 1.0, max(warmup, 1))
    fall = optax.cosine_decay_schedule(1.0, max(cosine - warmup, 1), last)
    after = fall if cosine else optax.constant_schedule(1.0)
    return optax.join_schedules([rise, after], [warmup])


def decayed(config: TrainConfig) -> Any:
    """What weight decay is for: the matrices that the model names, or all (None)."""
    matrices = getattr(network.PAGES[config.model].module, "MATRICES", None)
    if matrices is None:
        return None
    return lambda params: {name: name in matrices for name in params}


def optimizer(config: TrainConfig, lr: Any = None) -> optax.GradientTransformation:
    """An optimizer of optax by name, after clipping by global norm if asked for."""
    rate = schedule(config, lr)
    chosen = {
        "sgd": lambda: optax.sgd(rate),
        "momentum": lambda: optax.sgd(rate, momentum=0.9),
        "rmsprop": lambda: optax.rmsprop(rate),
        "adam": lambda: optax.adam(rate, b2=config.beta2),
        "adamw": lambda: optax.adamw(
            rate,
            b2=config.beta2,
            weight_decay=config.weight_decay,
            mask=decayed(config),
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

"""A loss that is not finite: where it began, in which array, and what is left."""

from pathlib import Path

import jax
import jax.numpy as jnp

from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.training.config import TrainConfig
from jaxninja.training.steps.batches import Data, Feed
from jaxninja.training.steps.programs import program
from jaxninja.training.steps.state import State


class Diverged(ArithmeticError):
    """The loss is not finite at `step`; `state`, at `start`, is the last good one.

    Of a training whose first loss is not finite there is none: both are the same step.
    """

    def __init__(self, state: State, start: int, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.state, self.start, self.step = state, start, step


def first_nonfinite(
    state: State, step: int, config: TrainConfig, model: Model, data: Data
) -> str:
    """Name of the first array, in the order of computation, that is not finite."""
    ids, labels = data.batch(config, step)
    named = state.params | network.intermediates(state.params, ids, labels, model)
    return next((k for k, a in named.items() if not jnp.isfinite(a).all()), "loss")


def state_at(
    diverged: Diverged, config: TrainConfig, model: Model, feed: Feed
) -> State:
    """The state at the step whose loss is not finite.

    The steps from the last good state are taken again, by the same program, which gives
    the same numbers.
    """
    state, n = diverged.state, diverged.step - diverged.start
    if n:
        copy = jax.tree.map(jnp.copy, state)
        data = feed(diverged.start)
        state, _ = program(config, model, data)(copy, data, diverged.start, n)
    return state


def what_is_left(diverged: Diverged, config: TrainConfig, path: Path) -> str:
    """Is there a good state, and what would help? For a person."""
    ways = f"a smaller --lr (it was {config.lr:g})"
    ways += " or with --clip 1" * clip_helps(config.clip)
    if diverged.start < diverged.step:
        good = f"step {diverged.start}, the last good one, is saved in {path}"
        return f"{good}. Train anew with {ways}"
    if diverged.step:
        return f"the state that {path} went on from gives it. Train anew with {ways}"
    return "no step was taken, so it is the weights at the start. Train from others"


def clip_helps(clip: float | None) -> bool:
    """Would --clip 1 change anything?"""
    return clip is None or clip > 1

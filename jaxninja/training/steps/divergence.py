"""A loss that is not finite: where it began, and in which array."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.training.config import TrainConfig
from jaxninja.training.steps.programs import program
from jaxninja.training.steps.state import State, batch


class Diverged(ArithmeticError):
    """The loss is not finite at `step`; `state`, at `start`, is the last good one."""

    def __init__(self, state: State, start: int, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.state, self.start, self.step = state, start, step


def first_nonfinite(
    state: State, step: int, config: TrainConfig, model: Model, x: Any, y: Any
) -> str:
    """Name of the first array, in the order of computation, that is not finite."""
    ids, labels = batch(config, x, y, step)
    named = state.params | network.intermediates(state.params, ids, labels, model)
    return next((k for k, a in named.items() if not jnp.isfinite(a).all()), "loss")


def state_at(
    diverged: Diverged, config: TrainConfig, model: Model, x: jax.Array, y: jax.Array
) -> State:
    """The state at the step whose loss is not finite.

    The steps from the last good state are taken again, by the same program, which gives
    the same numbers.
    """
    state, n = diverged.state, diverged.step - diverged.start
    if n:
        copy = jax.tree.map(jnp.copy, state)
        state, _ = program(config, model, x)(copy, x, y, diverged.start, n)
    return state

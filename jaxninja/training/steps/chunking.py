"""Training from step to step, a chunk of them in each call."""

import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.models.network import Model
from jaxninja.training.config import TrainConfig
from jaxninja.training.steps.divergence import Diverged
from jaxninja.training.steps.intervals import next_stop
from jaxninja.training.steps.programs import program
from jaxninja.training.steps.state import State


class Chunk(NamedTuple):
    """What `chunks` yields: the run after some more steps."""

    state: State  # donated to the next chunk: not to be used after it
    step: int  # steps taken so far
    losses: np.ndarray  # [n] loss of each of them, before its update
    seconds: float  # compilation left out
    before: State | None = None  # at its beginning


def chunks(
    config: TrainConfig,
    model: Model,
    state: State,
    x: jax.Array,
    y: jax.Array,
    start: int,
    stops: Collection[int] = (),
) -> Iterator[Chunk]:
    """Train from `start` to `config.steps`, handing over at every interval and stop.

    The results do not depend on where it hands over. A chunk has CHUNK steps at most,
    so whoever waits hears of it often, and one transfer to the host: its losses.

    Raises:
        Diverged: a loss is not finite; it carries the last finite state.
    """
    advance = program(config, model, x)
    while start < config.steps:
        n = next_stop(config, start, stops) - start
        before = jax.tree.map(jnp.copy, state)
        clock = time.perf_counter()
        state, losses = advance(state, x, y, start, n)
        losses = np.asarray(losses)[:n]
        seconds = time.perf_counter() - clock
        if not np.isfinite(losses).all():
            bad = int(np.isfinite(losses).argmin())
            raise Diverged(before, start, start + bad)
        start += n
        yield Chunk(state, start, losses, seconds, before)

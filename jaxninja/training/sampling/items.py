"""Inventing items: draw the next symbol, take it into the context, until the boundary.

A window is shifted by each symbol. A sequence is read from its start; one that is full
is shifted as well, as makemore.py crops it, so that an item may be longer than any that
was trained on.
"""

from functools import partial

import jax
import jax.numpy as jnp

from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params, Statistics
from jaxninja.training.machine import settings
from jaxninja.training.sampling.choice import Choice, chosen, expect, expect_finite

LIMIT = 100  # symbols after which an item is cut off
PLACES = 4_096  # that are read at a time, as in an evaluation


def at_once(model: Model) -> int:
    """Items that are invented together: memory is for so many."""
    return max(1, PLACES // (model.context if network.reads_sequences(model) else 1))


@settings.fixed()
def sample(
    key: jax.Array,
    params: Params,
    statistics: Statistics,
    model: Model,
    count: int = 20,
    how: Choice = Choice(),  # noqa: B008
    prompt: tuple[int, ...] = (),
    limit: int = LIMIT,
) -> list[list[int]]:
    """Items as lists of symbol ids, the prompt included, the boundary (id 0) not.

    Args:
        key: typed PRNG key.
        params: of the network.
        statistics: of batchnorm, running or calibrated; a batch of one is fine.
        model: of these parameters.
        count: items to invent.
        how: the next symbol is chosen.
        prompt: ids every item begins with.
        limit: symbols after which an item is cut off.

    Raises:
        SampleError: a count below 1, a choice that makes no sense, an id of the prompt
            outside 1..V-1, or logits that are not finite.
    """
    V = model.vocabulary
    expect("count", count, count >= 1, "1 or more")
    how.check(V)
    expect("limit", limit, limit > len(prompt), f"above the prompt's {len(prompt)}")
    expect("prompt", prompt, all(0 < i < V for i in prompt), f"ids in 1..{V - 1}")
    context, last = _start(model, prompt)
    context = jnp.tile(jnp.array(context, jnp.int32), (count, 1)), last
    keys, static = jax.random.split(key, limit - len(prompt)), (model, how.static)
    drawn, finite = continued(keys, params, statistics, context, how.divisor, static)
    expect_finite(finite)
    return [[*prompt, *_until_boundary(row)] for row in drawn.tolist()]


def _start(model: Model, prompt: tuple[int, ...]) -> tuple[list[int], int]:
    """The context after a prompt, and the place in it of the last symbol."""
    T, read = model.context, [0, *prompt]
    if not network.reads_sequences(model):
        return ([0] * T + list(prompt))[-T:], T - 1
    read = read[-T:]
    return read + [0] * (T - len(read)), len(read) - 1


@partial(jax.jit, static_argnums=5)
def continued(keys, params, statistics, context, divisor, static):
    """[count, steps] ids, and whether the logits of each step were finite.

    Args:
        keys: one for each step.
        params, statistics: of the network.
        context: ids [count, T], and the place in it of the last symbol.
        divisor: of the logits.
        static: the model, and the `static` of a Choice.
    """
    model, choice = static
    sequences = network.reads_sequences(model)

    def step(read, key):
        context, last = read
        logits = network.of(model).apply(params, statistics, context, model)
        logits = logits[:, last] if sequences else logits
        finite = jnp.isfinite(logits).all()
        symbol = chosen(key, logits, divisor, choice)
        return _extended(context, last, symbol), (symbol, finite)

    symbols, finite = jax.lax.scan(step, context, keys)[1]
    return symbols.T, finite


def _extended(context, last, symbol):
    """The context with one more symbol: at its end if it is full, and shifted then."""
    length = context.shape[1]
    full = last == length - 1
    shifted = jnp.concatenate([context[:, 1:], symbol[:, None]], 1)
    written = context.at[:, last + 1].set(symbol, mode="drop")
    return jnp.where(full, shifted, written), jnp.where(full, last, last + 1)


def _until_boundary(ids: list[int]) -> list[int]:
    return ids[: ids.index(0)] if 0 in ids else ids

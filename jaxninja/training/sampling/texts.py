"""Going on with a text, token by token.

While prompt and text fit the context, each token is read once and its keys and values
are kept. Positions are absolute, so once the context is full the last of it is read
anew for every token, as nanoGPT does.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.models import network
from jaxninja.models.network import Model
from jaxninja.models.parts import Params
from jaxninja.training.machine import settings
from jaxninja.training.sampling.choice import (
    Choice,
    check_length,
    chosen,
    expect,
    expect_finite,
)
from jaxninja.training.sampling.items import continued

BEGINNING = "\n"  # what is read where nothing is given
CACHE = 2**29  # numbers in the keys and values of texts that are written together


def at_once(model: Any) -> int:
    """Texts that are written together: memory is for so many."""
    return max(1, CACHE // (2 * model.layers * model.context * model.embedding))


@settings.fixed()
def write(
    key: jax.Array,
    params: Params,
    model: Model,
    count: int = 1,
    how: Choice = Choice(),  # noqa: B008
    prompt: Sequence[int] = (),
    length: int = 500,
    cached: bool = True,
) -> list[list[int]]:
    """Texts as lists of tokens, the prompt included.

    Args:
        key: typed PRNG key.
        params: of the network.
        model: of these parameters.
        count: texts to write.
        how: the next token is chosen.
        prompt: tokens that each begins with, one or more; as many of the last are read
            as the context holds.
        length: tokens to write after it, at most 10,000.
        cached: keep keys and values. Without, all is read anew for each token: the
            same logits up to rounding.

    Raises:
        SampleError: a count below 1, a length outside 1..10,000, an empty prompt, a
            token outside the vocabulary, a choice that makes no sense, or logits that
            are not finite.
    """
    V, prompt = model.vocabulary, [int(i) for i in prompt]
    expect("count", count, count >= 1, "1 or more")
    check_length(length)
    expect("prompt", prompt, bool(prompt), "one token or more")
    expect("prompt", prompt, all(0 <= i < V for i in prompt), f"ids in 0..{V - 1}")
    how.check(V)
    ids = jnp.tile(jnp.array(prompt[-model.context :], jnp.int32), (count, 1))
    keys = jax.random.split(key, length)
    fits = min(length, model.context - ids.shape[1]) if cached else 0
    static, drawn = (model, how.static), jnp.zeros((count, 0), jnp.int32)
    for draw, part in ((_with_cache, keys[:fits]), (_anew, keys[fits:])):
        if len(part):
            more, finite = draw(part, params, ids, how.divisor, static)
            expect_finite(finite)
            ids = jnp.concatenate([ids, more], 1)[:, -model.context :]
            drawn = jnp.concatenate([drawn, more], 1)
    return [[*prompt, *row] for row in drawn.tolist()]


@partial(jax.jit, static_argnums=4)
def _with_cache(keys, params, ids, divisor, static):
    """[count, steps] tokens, and whether the logits of each step were finite."""
    model, choice = static
    language: Any = network.page(model).language
    cache = language.cache.empty(params, len(ids), model)
    logits, cache = language.cache.read(params, cache, ids, 0, model)

    def step(state, key):
        logits, cache, at = state
        token = chosen(key, logits, divisor, choice)
        finite = jnp.isfinite(logits).all()
        more = language.cache.read(params, cache, token[:, None], at, model)
        return (*more, at + 1), (token, finite)

    start = logits, cache, jnp.int32(ids.shape[1])
    tokens, finite = jax.lax.scan(step, start, keys)[1]
    return tokens.T, finite


def _anew(keys, params, ids, divisor, static):
    """The same without a cache: the context, shifted once it is full."""
    model, length = static[0], ids.shape[1]
    context = jnp.pad(ids, [(0, 0), (0, model.context - length)]), length - 1
    return continued(keys, params, {}, context, divisor, static)

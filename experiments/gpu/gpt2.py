"""GPT-2 124M: tokens a second and memory of value and gradients by hand."""

import importlib
import importlib.util
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.gpu.clock import compiled, first_line, least

MODEL = "jaxninja.models.gpt2"
BY_HAND = "jaxninja.models.by_hand.gpt2"


def measure(tiny: bool) -> Iterator[dict]:
    if importlib.util.find_spec(MODEL) is None:
        yield {"model": "gpt2", "failed": "this version has no GPT-2"}
        return
    page, by_hand = map(importlib.import_module, (MODEL, BY_HAND))
    name, batch = ("gpt2-tiny", 1) if tiny else ("gpt2", 8)
    for dtype in ("float32",) if tiny else ("bfloat16", "float32"):
        for keep in ("10C",) if tiny else ("10C", "1C"):
            model = page.named(name, dtype=dtype, keep=keep)
            row = {"model": name, "in": dtype, "keeps": keep, "batch": batch}
            yield row | _speed(page, by_hand, model, batch)


def _speed(page: Any, by_hand: Any, model: Any, batch: int) -> dict[str, Any]:
    params = page.init(jax.random.key(0), model)
    keys = jax.random.split(jax.random.key(1))
    shape = (batch, model.context)
    ids, labels = (jax.random.randint(k, shape, 0, model.vocabulary) for k in keys)
    try:
        gradients = partial(by_hand.value_and_grad, model=model)
        call, size = compiled(gradients, params, ids, labels)
        seconds = least(call, 0.5)
    except Exception as error:  # out of memory, say, which is an answer
        return {"failed": first_line(error)}
    kept = sum(a.nbytes for a in jax.tree.leaves(params))
    tokens = jnp.size(ids) / seconds
    memory = {"temporary GiB": size / 2**30, "parameters GiB": kept / 2**30}
    return {"tokens/s": tokens, "ms": 1e3 * seconds} | memory

"""GPT-2 124M: tokens a second and memory of value and gradients by hand."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.gpu import peers
from experiments.gpu.clock import compiled, first_line, least
from jaxninja.models import gpt2
from jaxninja.models.by_hand import gpt2 as by_hand


def measure(tiny: bool) -> Iterator[dict]:
    name, batch = ("gpt2-tiny", 1) if tiny else ("gpt2", 8)
    for dtype in ("float32",) if tiny else ("bfloat16", "float32"):
        for keep in ("10C",) if tiny else ("10C", "1C"):
            model = gpt2.named(name, dtype=dtype, residuals=keep)
            row = {"model": name, "in": dtype, "keeps": keep, "batch": batch}
            yield row | _speed(model, *_given(model, batch))
        row = {"model": name, "in": dtype, "keeps": "PyTorch, autograd", "batch": batch}
        yield row | _in_torch(model, *_given(model, batch))


def _given(model: gpt2.Gpt2, batch: int) -> tuple[Any, jax.Array, jax.Array]:
    keys = jax.random.split(jax.random.key(1))
    shape = (batch, model.context)
    ids, labels = (jax.random.randint(k, shape, 0, model.vocabulary) for k in keys)
    return gpt2.init(jax.random.key(0), model), ids, labels


def _in_torch(model: gpt2.Gpt2, params: Any, ids: Any, labels: Any) -> dict[str, Any]:
    found = peers.seconds(peers.gpt2, params, ids, labels, model)
    if "failed" in found:
        return found
    seconds = found["seconds"]
    return {"tokens/s": jnp.size(ids) / seconds, "ms": 1e3 * seconds}


def _speed(model: gpt2.Gpt2, params: Any, ids: Any, labels: Any) -> dict[str, Any]:
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

"""Layers against autodiff, JAX's own and PyTorch's, and what the device allows."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.gpu import peers
from experiments.gpu.clock import compiled, first_line, least, on_gpu
from experiments.gpu.machine import copy_rate, product_rate
from jaxninja.rule import Case, Rule
from jaxninja.rules import RULES, manual
from jaxninja.rules.losses.linear_cross_entropy import rule as on_logits

FEW = 12  # rules that are compiled at the same time
HEADS, WIDTH = 12, 64
GPT2 = {"N": 8_192, "D": 768, "V": 50_257}


def rules(tiny: bool) -> Iterator[dict]:
    """Forward and backward of each rule, as a share of autodiff's and of the limits.

    A few are compiled at the same time, and then timed while nothing else runs.
    """
    allowed = _limits(tiny)
    chosen = [
        (r, r.cases[0] if tiny else r.bench) for r in RULES[: 2 if tiny else None]
    ]
    for start in range(0, len(chosen), FEW):
        with ThreadPoolExecutor() as pool:
            made = list(pool.map(_programs, chosen[start : start + FEW]))
        for (rule, case), programs in zip(chosen[start:], made, strict=False):
            yield {"rule": rule.name, "size": str(case)} | _timed(programs, allowed)


def vocabulary(tiny: bool) -> Iterator[dict]:
    """linear_cross_entropy at the vocabulary of GPT-2."""
    case = Case(on_logits.cases[0].dims if tiny else GPT2, on_logits.bench.static)
    row = {"rule": on_logits.name, "size": str(case)}
    yield row | _timed(_programs((on_logits, case)), _limits(tiny))
    arrays = on_logits.example(jax.random.key(0), **case.dims)
    found = peers.seconds(peers.vocabulary, arrays)
    us = {} if "failed" in found else {"us": 1e6 * found["seconds"]}
    yield row | {"rule": "PyTorch, linear and cross_entropy"} | (us or found)


def _limits(tiny: bool) -> tuple[float, float]:
    """Bytes and operations a second: products of float32 run in TF32 by default."""
    product = product_rate("float32, TF32", 64 if tiny else 4096)
    return copy_rate(2**16 if tiny else 2**28), product


def _programs(chosen: tuple[Rule, Case]) -> dict[str, Any]:
    """By hand and by autodiff: call and temporary bytes; bytes moved and operations."""
    rule, case = chosen
    try:
        arrays = rule.example(jax.random.key(0), **case.dims)
        ways = [
            _both(lambda *a, op=op: op(*rule.arranged(a, case.static)))
            for op in (rule.op, rule.reference)
        ]
        mine, theirs = (compiled(way, arrays) for way in ways)
        moved = (arrays, jax.eval_shape(ways[0], arrays))
        size = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(moved))
    except Exception as error:  # one rule without a program stops no other
        return {"failed": first_line(error)}
    work = {"bytes": size, "operations": _operations(ways[1], arrays)}
    return {"mine": mine, "theirs": theirs} | work


def _timed(programs: dict[str, Any], allowed: tuple[float, float]) -> dict[str, Any]:
    if "failed" in programs:
        return programs
    (mine, my_bytes), (theirs, their_bytes) = programs["mine"], programs["theirs"]
    try:
        seconds, autodiff = least(mine, 0.05), least(theirs, 0.05)
    except Exception as error:  # out of memory, say, which is an answer
        return {"failed": first_line(error)}
    limit = max(programs["bytes"] / allowed[0], programs["operations"] / allowed[1])
    row = {"us": 1e6 * seconds, "of autodiff's time": seconds / autodiff}
    row |= {"of the limit": limit / seconds, "temporary MiB": my_bytes / 2**20}
    return row | {"autodiff's MiB": their_bytes / 2**20}


def _operations(f: Callable, *arguments: Any) -> float:
    """Of the plain form, as XLA counts them before it compiles."""
    found: Any = jax.jit(f).lower(*arguments).cost_analysis()
    return float((found or {}).get("flops", 0.0))


def _both(forward: Callable) -> Callable:
    def both(arrays):
        y, pull = jax.vjp(forward, *arrays)
        dy = jax.tree.map(lambda a: jnp.ones_like(a) * 0.5, y)
        cotangents = jax.tree.leaves(pull(dy))
        return y, [d for d in cotangents if d.dtype != jax.dtypes.float0]

    return both


def attention(tiny: bool) -> Iterator[dict]:
    """Causal attention with gradients in bfloat16: 12 heads of 64, one sequence."""
    for T in (16,) if tiny else (1_024, 2_048, 4_096, 8_192, 16_384):
        shape = (1, T, HEADS, WIDTH)
        keys = jax.random.split(jax.random.key(0), 3)
        arrays = tuple(jax.random.normal(key, shape, jnp.bfloat16) for key in keys)
        row: dict[str, Any] = {"T": T}
        for name, f in _attentions().items():
            yield row | {"by": name} | _attention(f, arrays)
        found = peers.seconds(peers.attention, shape)
        ms = {} if "failed" in found else {"ms": 1e3 * found["seconds"]}
        yield row | {"by": "PyTorch SDPA"} | (ms or found)


def _attentions() -> dict[str, Callable | str]:
    """Name -> function of q, k and v, or why there is none."""
    cudnn = partial(_jax_nn, how="cudnn") if on_gpu() else "needs a GPU"
    xla = partial(_jax_nn, how="xla")
    own = {"rule": manual.attention, "plain form": _plain}
    return own | {"jax.nn, cuDNN": cudnn, "jax.nn, XLA": xla}


def _jax_nn(q, k, v, how):
    return jax.nn.dot_product_attention(q, k, v, is_causal=True, implementation=how)


def _plain(q, k, v):
    T = q.shape[1]
    z = jnp.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1])
    z = jnp.where(jnp.tril(jnp.ones((T, T), bool)), z, -jnp.inf)
    p = jax.nn.softmax(z.astype(jnp.float32)).astype(q.dtype)
    return jnp.einsum("bhts,bshd->bthd", p, v)


def _attention(f: Callable | str, arrays: tuple) -> dict[str, Any]:
    if isinstance(f, str):
        return {"failed": f}
    try:
        call, size = compiled(_both(f), arrays)
        seconds = least(call)
    except Exception as error:  # out of memory, say, which is an answer
        return {"failed": first_line(error)}
    return {"ms": 1e3 * seconds, "temporary MiB": size / 2**20}

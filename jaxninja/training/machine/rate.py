"""How fast the machine multiplies matrices, and what share of that a training has."""

import time
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

# On a CPU a product of this size takes some 20 ms, on a GPU a few.
SIZES = {"cpu": 1_024}
LARGE = 8_192
ROUNDS = 5


@lru_cache
def measured(platform: str, dtype: str) -> float:
    """Operations a second in a large product of matrices, the best of a few.

    Args:
        platform: of JAX's default device.
        dtype: of the factors, float32 or bfloat16; on a CPU always float32, whose
            products stand for those of bfloat16 there.
    """
    n = SIZES.get(platform, LARGE)
    kind = jnp.float32 if platform == "cpu" else dtype
    a = jnp.ones((n, n), kind)
    multiply = jax.jit(partial(jnp.matmul, preferred_element_type=jnp.float32))
    jax.block_until_ready(multiply(a, a))
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        jax.block_until_ready(multiply(a, a))
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds)


class Pace(NamedTuple):
    """What a step of running text does, and what the machine could."""

    tokens: int  # of a step
    flops: int  # of a step, estimated
    machine: float  # operations a second, measured, of all devices

    def at(self, rate: float) -> dict[str, float]:
        """At so many steps a second, as fields of a line of metrics.jsonl."""
        return {
            "tokens_per_second": _short(self.tokens * rate),
            "flops_per_second": _short(self.flops * rate),
            "share_of_machine": _short(self.flops * rate / self.machine),
        }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def digits(value: float) -> str:
    """Three digits of a number, whole from 100 on, with commas."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def in_words(line: Mapping[str, Any]) -> str:
    """A line of metrics.jsonl, for a person."""
    tokens, flops = digits(line["tokens_per_second"]), line["flops_per_second"] / 1e9
    share = line["share_of_machine"]
    return (
        f"pace       step {line['step']}: {tokens} tokens/s, {digits(flops)} GFLOP/s, "
        f"{share:.0%} of the machine's rate in products"
    )

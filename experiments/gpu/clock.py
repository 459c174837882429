"""Seconds of work on a device, which runs on while the host goes ahead."""

import time
from collections.abc import Callable
from typing import Any

import jax


def least(work: Callable[[], Any], turn: float = 0.1, rounds: int = 3) -> float:
    """Least seconds of one call, over rounds of about `turn` seconds.

    The first call, which compiles, is not counted. A round's calls are queued, and the
    clock stops when the last of them has ended.
    """
    jax.block_until_ready(work())
    count = max(1, round(turn / max(_round(work, 1), 1e-6)))
    return min(
        _round(work, min(count, 10_000)) / min(count, 10_000) for _ in range(rounds)
    )


def _round(work, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        out = work()
    jax.block_until_ready(out)
    return time.perf_counter() - start


def compiled(f: Callable, *arguments: Any) -> tuple[Callable[[], Any], int]:
    """A call of f with these arguments, and the temporary bytes of its program."""
    program = jax.jit(f).lower(*arguments).compile()
    memory = program.memory_analysis()
    return lambda: program(*arguments), memory.temp_size_in_bytes if memory else 0


def on_gpu() -> bool:
    return jax.default_backend() == "gpu"


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]

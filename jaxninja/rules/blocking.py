"""Choices by platform and size: how much of an array a rule takes at a time.

The rules compute the same either way. On a CPU a block should stay in cache; a GPU or
TPU wants few large operations. The choices for a CPU were measured (by
experiments/benchmarks), the others were not.
"""

import jax


def platform() -> str:
    """Of the device in force: that of `jax.default_device`, else of JAX's first."""
    chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
    if chosen is None or isinstance(chosen, str):
        return chosen or jax.default_backend()
    return chosen.platform


def in_parallel() -> bool:
    """Whether steps should be computed together, at the cost of more of them."""
    return platform() != "cpu"


def rows(count: int, width: int, itemsize: int) -> int:
    """Rows of a [count, width] array to take together; `count` is all of them."""
    if in_parallel() or count * width * itemsize <= 2**21:
        return count
    return min(count, max(1, 2**18 // (width * itemsize)))


def positions(length: int) -> int:
    """Positions of a sequence in a block of attention's scores."""
    most = 512 if in_parallel() else 128 if length < 2048 else 256
    even = -(-length // -(-length // most))
    return min(length, -(-even // 8) * 8)


def batch_and_heads(batch: int, heads: int, length: int) -> tuple[int, int]:
    """Batch elements and heads of keys, with so many queries or keys each, that
    attention does together: their copies, heads first, are of the sequence's size."""
    if in_parallel():
        return batch, heads
    few = max(1, 1024 // length)
    some = _divisor(heads, few)
    return _divisor(batch, few // some) if some == heads else 1, some


def _divisor(count: int, most: int) -> int:
    return max(n for n in range(1, most + 1) if count % n == 0)


def steps_early(rows: int) -> bool:
    """Whether a recurrence multiplies all inputs by their weights before its steps.

    One product for all steps is large, but what it makes must wait in memory. On a CPU
    that is slower, if the rows of a single step already fill a product.
    """
    return in_parallel() or rows < 16

"""JAX's settings around a run: those it fixes, and those it respects and records.

A program at large may forbid implicit promotions and transfers, switch compilation off,
or draw its random numbers otherwise. None of that is to stop a training or to change
its random numbers, so it is fixed while one runs, and only then. Float64 and the
precision of products are the user's choice: the header names them, and what is compiled
is kept apart by them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax

IMPLEMENTATION = "threefry2x32"  # of the random numbers: the same on every device
RESPECTED = ("jax_enable_x64", "jax_default_matmul_precision")


@contextmanager
def fixed() -> Iterator[None]:
    """A context, or a decorator, in which the settings are those of a training."""
    contexts = (
        jax.disable_jit(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.transfer_guard("allow"),
        jax.default_prng_impl(IMPLEMENTATION),
        jax.threefry_partitionable(True),
    )
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def respected() -> tuple[Any, ...]:
    """The values of RESPECTED now, context managers included."""
    return tuple(getattr(jax.config, name) for name in RESPECTED)

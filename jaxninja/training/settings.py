"""JAX's settings around a run: those it fixes, and those it respects and records.

A program at large may forbid implicit promotions and transfers, switch compilation off,
or draw its random numbers otherwise. None of that is to stop a training or to change
its random numbers, so it is fixed while one runs, and only then. Float64 and the
precision of products are the user's choice: the header names them, and what is compiled
is kept apart by them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax

from jaxninja.training.config import ConfigError

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


def in_force() -> dict[str, Any]:
    """What the numbers of a run depend on, by JAX's names, for its config.json."""
    names = (*RESPECTED, "jax_default_prng_impl", "jax_threefry_partitionable")
    with fixed():
        return {name: getattr(jax.config, name) for name in names}


def expect(began: dict[str, Any], path: Path) -> None:
    """A run goes on in the settings that it began with.

    Raises:
        ConfigError: one is another now; a run of an earlier version names none.
    """
    for name, now in in_force().items():
        before = began.get(name, now)
        if before != now:
            variable = name.upper()
            how = f"set {variable}={before}" if before else f"unset {variable}"
            raise ConfigError(
                f"{name} is {now}, but {path} began with {before}; {how} to go on "
                "with it, or train anew"
            )


def respected() -> tuple[Any, ...]:
    """The values of RESPECTED now, context managers included."""
    return tuple(getattr(jax.config, name) for name in RESPECTED)

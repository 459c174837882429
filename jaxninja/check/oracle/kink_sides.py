"""Gradients of the reference where each kink within it is decided by itself.

`relu(x @ w)` at w = 0 has a kink in every entry of the product, and relu'(0) = 0 in all
of them is right by everybody's convention; yet no w nearby makes all products negative
at once. So the numbers that are compared are moved, each by itself, and not only the
arguments. Where the function is smooth that changes nothing.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.oracle.truth import reference_of
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.control_flow import CONTROL
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import is_float
from jaxninja.jaxpr import bind

# fmt: off
KINKED = frozenset((
    "max", "min", "gt", "ge", "lt", "le", "abs", "sign", "reduce_max",
    "reduce_min", "argmax", "argmin", "sort", "top_k", "cummax", "cummin", "clamp",
    "custom_jvp_call",
))
# fmt: on
RANDOM = 6


def selections(plain, args: tuple, dy: list, distance: float) -> Iterator[tuple]:
    """Value and gradients, all compared numbers moved up, down, and by random signs;
    call it under float64."""
    run = _moved(plain)
    for seed, bias in ((0, 1.0), (0, -1.0), *((k, 0.0) for k in range(RANDOM))):
        key = np.array([seed, 0x5E1], np.uint32)
        yield jax.tree.map(np.asarray, run(args, dy, distance, key, bias))


@lru_cache(maxsize=128)
def _moved(plain) -> Callable:
    """(args, dy, distance, key, bias) -> value, gradients; a bias of 1 moves all up."""

    def run(args, dy, distance, key, bias):
        count = [0]

        def step(eqn, ins):
            name = eqn.primitive.name
            if name in CONTROL:
                return CONTROL[name](eqn, ins, step)
            if name not in KINKED or not is_float(jnp.asarray(ins[0])):
                return None
            count[0] += 1
            first = jnp.asarray(ins[0])
            own = jax.random.fold_in(key, count[0])
            signs = jax.random.rademacher(own, first.shape, float)
            ways = jnp.where(bias == 0, signs, bias)
            largest = jnp.max(jnp.abs(first), initial=1.0, where=jnp.isfinite(first))
            change = jax.lax.stop_gradient(distance * largest * ways)
            return bind(eqn, [first + change.astype(first.dtype), *ins[1:]])

        shifted: Any = opened(plain, step)
        return reference_of(shifted)(args, dy)

    return compiled(run)

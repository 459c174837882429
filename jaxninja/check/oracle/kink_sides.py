"""Gradients of the reference where each kink within it is decided by itself.

`relu(x @ w)` at w = 0 has a kink in every entry of the product, and relu'(0) = 0 in all
of them is right by everybody's convention; yet no w nearby makes all products negative
at once. So the numbers that are compared are moved, each by itself, and not only the
arguments. Where the function is smooth that changes nothing.

What is the largest along an axis is at a tie the first one, or the last, by most
conventions: so numbers that are compared along an axis also go up or down along it. In
a chain of such choices, the smallest of the largest, each is of ties as they are: there
the values of a choice stay, and what makes the first the largest makes it the smallest.
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
ORDERED = frozenset((
    "reduce_max", "reduce_min", "argmax", "argmin", "sort", "top_k", "cummax", "cummin",
    "scatter-max", "scatter-min",
))
KINKED = ORDERED | {
    "max", "min", "gt", "ge", "lt", "le", "abs", "sign", "clamp", "custom_jvp_call",
}
# fmt: on
SMALLEST = frozenset(("reduce_min", "argmin", "cummin", "scatter-min"))
SIGNED = "abs", "sign"  # decided apart from what is compared with a bound
SIDES = tuple(
    (0, bias, slope, signed, chain)
    for chain, ways in (
        (0.0, ((0.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (0.0, -1.0))),
        (1.0, ((1.0, 1.0), (-1.0, 1.0))),
    )
    for bias in (1.0, -1.0)
    for slope, signed in ways
)
RANDOM = tuple((k, 0.0, 0.0, 1.0, k % 3 / 2) for k in range(12))


def selections(plain, args: tuple, dy: list, distance: float) -> Iterator[tuple]:
    """Value and gradients, all compared numbers moved up, all down, and each comparison
    one of the ways, by random signs, or not at all; call it under float64."""
    run = _moved(plain)
    for seed, *way in (*SIDES, *RANDOM):
        key = np.array([seed, 0x5E1], np.uint32)
        yield jax.tree.map(np.asarray, run(args, dy, distance, key, *way))


@lru_cache(maxsize=128)
def _moved(plain) -> Callable:
    """(args, dy, distance, key, bias, slope, signed, chain) -> value, gradients; a bias
    of 1 moves all up, and so does a slope the later ones of what is compared along an
    axis; `signed` times as far what has an absolute value: 0 leaves it at 0; a chain of
    1 leaves what is chosen along an axis at its value."""

    def run(args, dy, distance, key, bias, slope, signed, chain):
        count = [0]

        def step(eqn, ins):
            name = eqn.primitive.name
            if name in CONTROL:
                return CONTROL[name](eqn, ins, step)
            compared = 2 if name.startswith("scatter") else 0
            if name not in KINKED or not is_float(jnp.asarray(ins[compared])):
                return None
            count[0] += 1
            given = jnp.asarray(ins[compared])
            own = jax.random.fold_in(key, count[0])
            signs = jax.random.rademacher(own, given.shape, float)
            choices = jnp.stack(
                [signs, *(s * jnp.ones_like(signs) for s in (1, -1, 0))]
            )
            ways = jnp.where(bias == 0, jax.random.choice(own, choices), bias)
            if name in SIGNED:
                ways = signed * ways / 2  # what is then compared moves by more
            if name in ORDERED:
                ramp = jnp.linspace(-1, 1, given.size).reshape(given.shape)
                ramp *= 1 - 2 * chain * (name in SMALLEST)
                ways = jnp.where(slope == 0, ways, slope * ramp)
            largest = jnp.max(jnp.abs(given), initial=1.0, where=jnp.isfinite(given))
            change = jax.lax.stop_gradient(distance * largest * ways)
            moved = given + change.astype(given.dtype)
            outs = bind(eqn, [*ins[:compared], moved, *ins[compared + 1 :]])
            return _back(outs, bind(eqn, ins), chain) if name in ORDERED else outs

        shifted: Any = opened(plain, step)
        return reference_of(shifted)(args, dy)

    return compiled(run)


def _back(outs: list, exact: list, part) -> list:
    """What was chosen among moved numbers, this part of the way back to its value."""
    pairs = zip(outs, exact, strict=True)
    return [
        a + jax.lax.stop_gradient(part * (b - a)) if is_float(jnp.asarray(a)) else a
        for a, b in pairs
    ]

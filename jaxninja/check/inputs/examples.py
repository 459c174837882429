"""Example inputs, traced once a shape and run in NumPy, else by one compiled program.

`jax.random` outside of jit compiles each of its steps for each shape: that takes longer
than all the rest of a first check.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend.core import Literal, jaxpr_as_fun

from jaxninja.check.inputs.numpy_draws import in_numpy
from jaxninja.check.subject.compilation import compiled
from jaxninja.jaxpr import equations


def drawn(example: Callable, seed: int, dims: dict[str, int]) -> Any:
    """`example(jax.random.key(seed), **dims)`, traced once where it can be traced."""
    key = jax.random.key(seed)
    try:
        program = _program(example, tuple(dims.items()), _kinds_of_numbers())
    except TypeError:  # it has no hash
        program = None
    return example(key, **dims) if program is None else program(key)


def _kinds_of_numbers() -> tuple:
    """What the jaxpr of an example depends on besides its sizes."""
    names = "jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable"
    return tuple(getattr(jax.config, name) for name in names)


@lru_cache(maxsize=256)
def _program(example: Callable, dims: tuple, numbers: tuple) -> Callable | None:
    """The example as traced; None if it must run in Python, or holds arrays of the
    host, random ones perhaps.

    What is no array, a static option that it returns beside them, stays as it is.
    """
    rest: list = []

    def arrays(key):
        leaves, tree = jax.tree.flatten(example(key, **dict(dims)))
        rest[:] = [tree, [None if isinstance(a, Tracer) else a for a in leaves]]
        return [a for a in leaves if isinstance(a, Tracer)]

    try:
        closed = jax.make_jaxpr(arrays)(jax.random.key(0))
    except Exception:  # in Python it will work, or say what is wrong with it
        return None
    if _holds_arrays(closed) or any(hasattr(a, "dtype") for a in rest[1]):
        return None
    run = in_numpy(closed) or compiled(jaxpr_as_fun(closed))
    return partial(_whole, run, *rest)


def _whole(run: Callable, tree, rest: list, key):
    computed = iter(run(key))
    return tree.unflatten([next(computed) if a is None else a for a in rest])


def _holds_arrays(closed) -> bool:
    literals = (
        v.val for e in equations(closed.jaxpr) for v in e.invars if type(v) is Literal
    )
    return bool(closed.consts) or any(np.ndim(value) for value in literals)

"""Example inputs, drawn by one compiled program a shape.

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

from jaxninja.check.subject.compilation import compiled
from jaxninja.jaxpr import equations


def drawn(example: Callable, seed: int, dims: dict[str, int]) -> Any:
    """`example(jax.random.key(seed), **dims)`, of one jit where it can be jitted."""
    key = jax.random.key(seed)
    try:
        wide = jax.config.read("jax_enable_x64")
        program = _program(example, tuple(dims.items()), wide)
    except TypeError:  # it has no hash
        program = None
    return example(key, **dims) if program is None else program(key)


@lru_cache(maxsize=256)
def _program(example: Callable, dims: tuple, x64: bool) -> Callable | None:
    """The example under jit; None if it must run in Python, or holds arrays of the
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
    return partial(_whole, compiled(jaxpr_as_fun(closed)), *rest)


def _whole(run: Callable, tree, rest: list, key):
    computed = iter(run(key))
    return tree.unflatten([next(computed) if a is None else a for a in rest])


def _holds_arrays(closed) -> bool:
    literals = (
        v.val for e in equations(closed.jaxpr) for v in e.invars if type(v) is Literal
    )
    return bool(closed.consts) or any(np.ndim(value) for value in literals)

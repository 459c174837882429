"""What tracing tells about a rule, traced once for its shapes.

A rule is checked again and again, with other values or another bug: its shapes, dtypes
and casts are the same each time, and to trace it takes longer than to run it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.subject import Subject


def remembered(look: Callable[[Subject, tuple], Any]) -> Callable:
    """`look(subject, args)`, which depends on the shapes and dtypes of args alone."""

    @lru_cache(maxsize=256)
    def known(subject: Subject, floats, tree, shapes: tuple):
        return look(subject, jax.tree.unflatten(tree, shapes))

    @wraps(look)
    def run(subject: Subject, args: tuple):
        leaves, tree = jax.tree.flatten(args)
        shapes = tuple(map(_shape, leaves))
        return known(subject, jnp.result_type(float), tree, shapes)

    return run


@dataclass(frozen=True)
class _Ranks:
    """Shapes and dtypes, of which those of equal ranks are equal."""

    ranks: tuple
    shapes: tuple = field(compare=False)


def remembered_by_rank(look: Callable[[Subject, tuple], Any]) -> Callable:
    """`look(subject, args)`, on which ranks and dtypes bear and sizes do not."""

    @lru_cache(maxsize=256)
    def known(subject: Subject, floats, tree, kinds: _Ranks):
        return look(subject, jax.tree.unflatten(tree, kinds.shapes))

    @wraps(look)
    def run(subject: Subject, args: tuple):
        leaves, tree = jax.tree.flatten(args)
        shapes = tuple(map(_shape, leaves))
        kinds = _Ranks(tuple((len(a.shape), a.dtype) for a in shapes), shapes)
        return known(subject, jnp.result_type(float), tree, kinds)

    return run


def _shape(leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), jax.dtypes.result_type(leaf))

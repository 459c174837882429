"""A function as JAX traced it, which NumPy runs: to compile takes far longer.

A check runs each of its functions a few times, on arrays of some thousand numbers. What
NumPy gives is the same on every machine but for the order in which its sums are taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.code.tracing import flatten


@dataclass(frozen=True)
class Traced:
    """A function of arrays, for the shapes and types that it was traced for.

    Attributes:
        closed: the jaxpr.
        tree: of the results.
    """

    closed: Any
    tree: Any

    @cached_property
    def program(self) -> Program:
        """The same as steps that NumPy can run; ValueError if they are thousands."""
        return flatten(self.closed)

    def __call__(self, *arguments: Any) -> Any:
        leaves = [np.asarray(a) for a in jax.tree.leaves(arguments)]
        with np.errstate(all="ignore"):
            values = self.program.run(leaves)
        found = [np.asarray(values[slot]) for slot in self.program.outputs]
        return jax.tree.unflatten(self.tree, found)


def traced(f: Callable, *arguments: Any) -> Traced:
    """Trace a function of arrays, or of trees of them.

    Raises:
        Exception: whatever f raises where JAX traces it.
    """
    closed, shape = jax.make_jaxpr(f, return_shape=True)(*arguments)
    return Traced(closed, jax.tree.structure(shape))

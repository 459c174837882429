"""The graph that `trace` returns: a computation that draws itself."""

from dataclasses import dataclass
from typing import Any

import jax

from jaxninja.engine.computation import Computation
from jaxninja.engine.core import walk
from jaxninja.engine.cotangents import weights
from jaxninja.engine.drawing.svg import to_svg
from jaxninja.engine.drawing.text import to_text
from jaxninja.engine.errors import NoRule


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Graph(Computation):
    """A computation with all of its values; what it records is in `Computation`."""

    def to_text(self, grads: Any = None, fold: bool | None = None) -> str:
        """A line for each operation; see `jaxninja.engine.drawing.text`."""
        return to_text(self, grads, fold)

    def to_svg(self, grads: Any = None, fold: bool | None = None) -> str:
        """A drawing, from left to right; see `jaxninja.engine.drawing.svg`."""
        return to_svg(self, grads, fold)

    def _repr_svg_(self) -> str:
        """In a notebook: with gradients, where one scalar has been returned."""
        try:
            return to_svg(self, walk(self, weights(self, None)))
        except (TypeError, NoRule):  # no scalar; an operation without a rule
            return to_svg(self)

"""The result of a walk: the gradient of every node."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from jaxninja.engine.computation import Node, Tape


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Gradients:
    """d output / d node, for every node of a graph; a pytree.

    Look one up by node, by number or by name: `grads[graph.nodes[3]]`, `grads[3]`,
    `grads["h"]`; a name in the body of a scan has the gradients of all steps, stacked.
    A node without influence on the output has gradient zero; a constant, an integer and
    what is computed from these alone has None.

    Attributes:
        inner: the gradients inside a step's bodies, by the number of the step.
    """

    terms: list  # None: zero, or no gradient at all
    inner: dict[int, Any]
    values: list
    tape: Tape = field(metadata={"static": True})

    def __getitem__(self, which: "Node | int | str") -> Any:
        if isinstance(which, str):
            return self._named(which)
        i = which.index if isinstance(which, Node) else which
        if not self.tape.active[i]:
            return None
        term = self.terms[i]
        return jnp.zeros_like(self.values[i]) if term is None else term

    def _named(self, name: str) -> Any:
        every = list(self.names())
        found = [where[i] for n, where, i in every if n == name]
        if len(found) == 1:
            return found[0]
        known = ", ".join(sorted({n for n, _, _ in every})) or "none"
        count = "no node is" if not found else f"{len(found)} nodes are"
        raise KeyError(f"{count} named {name!r}; the names are: {known}")

    def names(self) -> "Iterator[tuple[str, Gradients, int]]":
        """Every name, of the bodies too, and where it is: gradients and index."""
        for i, name in self.tape.names.items():
            yield name, self, i
        for inside in self.inner.values():
            for body in inside if isinstance(inside, list) else [inside]:
                if body is not None:
                    yield from body.names()

    def __len__(self) -> int:
        return len(self.terms)

    def __repr__(self) -> str:
        return f"<Gradients of {len(self)} nodes>"

    @property
    def arguments(self) -> Any:
        """In the structure of the traced function's arguments, one tuple."""
        tree, places = self.tape.in_tree
        leaves = [None] * tree.num_leaves
        for place, i in zip(places, self.tape.arguments, strict=True):
            leaves[place] = self[i]
        return jax.tree.unflatten(tree, leaves)

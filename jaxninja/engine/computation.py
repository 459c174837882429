"""What the engine records: a computation, with every value in it.

A node is a value: an argument, a constant, or a result of an operation. Nodes are
numbered in the order of computation, so the operands of an operation come before its
results, and the backward walk is the order reversed: no topological sort is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from jaxninja.engine import private
from jaxninja.jaxpr import called_name


class Node(NamedTuple):
    """One value of a graph."""

    index: int
    primitive: str  # "argument", "constant", or the operation that made it
    operands: tuple[int, ...]  # indices of nodes
    value: Any
    name: str | None  # of the argument, or from jax.ad_checkpoint.checkpoint_name
    scope: tuple[str, ...]  # jax.named_scope blocks and jitted functions around it
    active: bool  # it depends on an argument that can have a gradient, and has one

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its value."""
        return self.value.shape

    @property
    def dtype(self) -> Any:
        """Of its value."""
        return self.value.dtype


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """One operation: an equation of the jaxpr, and the nodes it reads and makes."""

    eqn: Any
    rule: Any  # how its backward pass is computed; None: there is no rule
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    scope: tuple[str, ...]
    caller: Any = None  # the equation of the call that it was found in, if any

    @property
    def called(self) -> str:
        """The name of the function that the step runs, if it runs one."""
        return called_name(self.eqn)

    @property
    def name(self) -> str:
        primitive = self.eqn.primitive.name
        return f"{primitive}[{self.called}]" if self.called else primitive

    @property
    def where(self) -> str:
        here = private.where(self.eqn)
        there = private.where(self.caller) if self.caller else here
        return here if here == there else f"{here}, called at {there}".lstrip(", ")


@dataclass(frozen=True, eq=False, repr=False)
class Tape:
    """The part of a computation that is no array: its shape, so to speak."""

    steps: tuple[Step, ...]
    arguments: tuple[int, ...]
    outputs: tuple[int, ...]
    active: tuple[bool, ...]  # for each node
    names: Mapping[int, str]
    rules: Mapping[Any, Any]
    in_tree: Any = None  # how f takes its arguments and returns its outputs
    out_tree: Any = None
    # ints that f was called with
    fixed: Mapping[str, int] = field(default_factory=dict)


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False, repr=False)
class Computation:
    """All values of a computation: a pytree, so `jit` can return one.

    Attributes:
        values: of each node. In the body of a scan they are stacked, [length, ...].
        saved: of a step that keeps more than its operands and results, by its number:
            the computation of a scan's body, the residuals of a custom_vjp function.
        tape: what is static.
    """

    values: list
    saved: dict[int, Any]
    tape: Tape = field(metadata={"static": True})

    @property
    def nodes(self) -> list[Node]:
        """All nodes, in the order of computation."""
        made = {out: step for step in self.tape.steps for out in step.outs}
        return [self._node(i, made.get(i)) for i in range(len(self.values))]

    def _node(self, i: int, step: Step | None) -> Node:
        origin = "argument" if i in self.tape.arguments else "constant"
        return Node(
            i,
            step.name if step else origin,
            step.ins if step else (),
            self.values[i],
            self.tape.names.get(i),
            step.scope if step else (),
            self.tape.active[i],
        )

    def bodies(self, step: int) -> "list[Computation]":
        """The computations inside a step: of a scan's body, of a cond's branches."""
        inside = jax.tree.leaves(self.saved.get(step), is_leaf=_is_computation)
        return list(filter(_is_computation, inside))

    @property
    def output(self) -> Any:
        """What the traced function returned."""
        outputs = [self.values[i] for i in self.tape.outputs]
        return jax.tree.unflatten(self.tape.out_tree, outputs)

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        """In one line: the values may be large."""
        name, steps = type(self).__name__, len(self.tape.steps)
        return f"<{name}: {len(self)} nodes, {steps} operations>"


def _is_computation(x: Any) -> bool:
    return isinstance(x, Computation)

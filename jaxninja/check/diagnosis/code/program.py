"""A traced function as a flat list of steps that runs in NumPy, over and over.

Each value has a number, its slot. `Program.run` fills all slots; `Program.rerun`
changes one of them and repeats only what lies downstream of it: that is what trying an
edit costs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jax.extend.core import jaxprs_in_params

from jaxninja import jaxpr as jaxprs
from jaxninja.check.diagnosis.code.numpy_primitives import run


@dataclass(frozen=True)
class Step:
    """One primitive on numbered values.

    `origin` is the path of the equation in its jaxprs. The turns of a loop that is
    written out share it; what only lays out the turns has none.
    """

    eqn: Any
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    traceback: Any
    origin: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.eqn.primitive.name


class Seen:
    """All values, those that have changed in place of the old ones."""

    def __init__(self, values: Sequence[Any], changed: dict[int, Any]):
        self.values, self.changed = values, changed

    def __getitem__(self, slot: int):
        return self.changed[slot] if slot in self.changed else self.values[slot]

    def __len__(self) -> int:
        return len(self.values)


Makes = dict[int, Callable[[Any], Any]]  # slot -> its new value, from all values


@dataclass
class Program:
    """Steps over numbered values.

    Attributes:
        inputs: slots of the arguments, in flattened order.
        constants: value of each slot that no step computes and no argument fills.
        literals: the constants that stand in the text, such as the 2 of 2 * x.
        steps: in the order in which they run.
        outputs: slots of the results, flattened.
        maker: the step that computes a slot, for those that have one.
        calls: traceback of each call that is opened, by the path of its equation.
    """

    inputs: list[int]
    constants: dict[int, Any]
    literals: set[int]
    steps: list[Step]
    outputs: list[int]
    maker: dict[int, int] = field(default_factory=dict)
    calls: dict[tuple[int, ...], Any] = field(default_factory=dict)
    _below: dict[int, list[int]] = field(default_factory=dict)
    _dependent: dict[int, frozenset[int]] = field(default_factory=dict)
    _reached: dict[int, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.maker = {s: i for i, step in enumerate(self.steps) for s in step.outs}
        self.readers: dict[int, list[int]] = {}
        for i, step in enumerate(self.steps):
            for slot in dict.fromkeys(step.ins):
                self.readers.setdefault(slot, []).append(i)
        self.size = 1 + max([*self.inputs, *self.constants, *self.maker], default=0)

    def run(self, arguments: Sequence[Any]) -> list:
        """The value of every slot."""
        values: list = [None] * self.size
        given = zip(self.inputs, arguments, strict=True)
        for slot, value in (*self.constants.items(), *given):
            values[slot] = value
        for step in self.steps:
            outs = run(step.eqn, [values[s] for s in step.ins])
            for slot, value in zip(step.outs, outs, strict=True):
                values[slot] = value
        return values

    def rerun(self, values: Sequence[Any], slot: int, value) -> list:
        """All results after the change of one slot; `values` stays as it is."""
        changed = self.changes(values, {slot: value}, self.below(slot))
        return [changed[s] if s in changed else values[s] for s in self.outputs]

    def changes(self, values, changed: dict[int, Any], steps: Sequence[int]) -> dict:
        """What becomes of every slot that depends on the changed ones."""
        changed = dict(changed)
        for i in steps:
            step = self.steps[i]
            ins = [changed[s] if s in changed else values[s] for s in step.ins]
            for slot, value in zip(step.outs, run(step.eqn, ins), strict=True):
                changed.setdefault(slot, value)
        return changed

    def with_inputs(self, values: Sequence[Any], given: dict[int, Any]) -> list:
        """All results for other values of some inputs."""
        steps = sorted({i for slot in given for i in self.below(slot)})
        changed = self.changes(values, given, steps)
        return [changed[s] if s in changed else values[s] for s in self.outputs]

    def remade(self, values: Sequence[Any], makes: dict[int, Callable]) -> list:
        """All results where some values are made otherwise, out of all values."""
        seen = Seen(values, {})
        for slot in makes:
            if slot not in self.maker:
                seen.changed[slot] = makes[slot](seen)
        steps = {self.maker[s] for s in makes if s in self.maker}
        for i in sorted(steps.union(*map(self.below, makes))):
            step = self.steps[i]
            outs = run(step.eqn, [seen[s] for s in step.ins])
            for slot, value in zip(step.outs, outs, strict=True):
                seen.changed[slot] = value
                if slot in makes:
                    made = makes[slot](seen)
                    if np.shape(made) != np.shape(values[slot]):
                        raise ValueError("of another shape than before")
                    seen.changed[slot] = made
        return [seen[s] for s in self.outputs]

    @cached_property
    def groups(self) -> dict[tuple, list[int]]:
        """The steps of each equation: of one in a loop, one a turn."""
        found: dict[tuple, list[int]] = {}
        for index, step in enumerate(self.steps):
            if step.origin and step.outs:
                found.setdefault(step.origin, []).append(index)
        return found

    @cached_property
    def inner_dtypes(self) -> frozenset[str]:
        """Those of what is computed inside of its steps, in loops and branches."""
        params = (step.eqn.params for step in self.steps)
        jaxprs_inside = (jaxpr for p in params for jaxpr in jaxprs_in_params(p))
        inner = (eqn for jaxpr in jaxprs_inside for eqn in jaxprs.equations(jaxpr))
        return frozenset(str(v.aval.dtype) for eqn in inner for v in eqn.outvars)

    def firsts(self, members: Sequence[int]) -> list[int]:
        """The first result of each step."""
        return [self.steps[i].outs[0] for i in members]

    def address(self, slot: int) -> tuple:
        """Where a value comes from, the same at other sizes."""
        if slot in self.maker:
            step = self.steps[self.maker[slot]]
            return (*step.origin, step.name, step.outs.index(slot))
        if slot in self.inputs:
            return ("input", self.inputs.index(slot))
        reader = self.steps[min(self.readers.get(slot, [0]))]
        known = reader.ins.index(slot) if slot in reader.ins else 0
        return (*reader.origin, "read", known)

    def below(self, slot: int) -> list[int]:
        """The steps that depend on a slot, in order."""
        if slot not in self._below:
            found, todo = set(), list(self.readers.get(slot, ()))
            while todo:
                i = todo.pop()
                if i not in found:
                    found.add(i)
                    for out in self.steps[i].outs:
                        todo.extend(self.readers.get(out, ()))
            self._below[slot] = sorted(found)
        return self._below[slot]

    def depends(self, slot: int, other: int) -> bool:
        """Whether a value is made from another one."""
        if other not in self._dependent:
            self._dependent[other] = frozenset(self.below(other))
        return self.maker.get(slot, -1) in self._dependent[other]

    def tracebacks(self, index: int) -> list:
        """Of a step, and of the calls that hold it, the innermost first."""
        step = self.steps[index]
        paths = (step.origin[:k] for k in range(len(step.origin) - 1, 0, -1))
        return [step.traceback, *(self.calls[p] for p in paths if p in self.calls)]

    def is_infinite(self, slot: int) -> bool:
        """Whether it is a constant of -inf, from which a maximum starts."""
        value = self.constants.get(slot, 0)
        return np.ndim(value) == 0 and bool(np.asarray(value) == -np.inf)

    def reaches(self, slot: int) -> frozenset[int]:
        """Numbers of the results that depend on a slot."""
        if slot not in self._reached:
            touched = {slot}.union(*(self.steps[i].outs for i in self.below(slot)))
            numbers = (k for k, s in enumerate(self.outputs) if s in touched)
            self._reached[slot] = frozenset(numbers)
        return self._reached[slot]

"""The values of a program that an edit may change or use, and what they are called."""

from functools import cached_property

import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem

UNWRITTEN = ("stop_gradient", "optimization_barrier")  # by the user, as a rule
PASSIVE = ("copy", "copy_p", "broadcast_in_dim", "reshape", "convert_element_type")
SIDES = ("gt", "ge", "lt", "le", "eq", "ne")
PASSIVE += (*UNWRITTEN, "scan_entry")


class Reader:
    """A program on one sample; with `only`, the values of that one address of it."""

    def __init__(self, problem: Problem, only: tuple | None = None):
        assert problem.program is not None
        self.problem, self.only = problem, only
        self.program = problem.program
        self.known: dict[int, str] = {}

    def name(self, slot: int) -> str:
        """What the user calls a value, else the operation that makes it."""
        if slot not in self.known:
            self.known[slot] = self._name(slot)
        return self.known[slot]

    def _name(self, slot: int) -> str:
        if slot in self.problem.names:
            return self.problem.names[slot]
        if slot in self.program.constants:
            value = self.problem.values[slot]
            number = is_array(value) and value.ndim == 0 and value.dtype.kind in "if"
            return f"{value:.6g}" if number else self._constant(slot)
        index = self.program.maker[slot]
        if self.program.steps[index].name in PASSIVE:
            return self.name(self.program.steps[index].ins[0])
        inner = self.program.steps[index].name
        if inner == "scan_stack":
            return f"{self.name(self.program.steps[index].ins[-1])} of each turn"
        place = self.problem.place_of(index)
        if place is None:
            return inner
        return f"{inner} in " + (f"`{place.text}`" if place.text else str(place))

    def _constant(self, slot: int) -> str:
        """An array that the trace holds, by the text that uses it."""
        readers = self.program.readers.get(slot, [])
        place = self.problem.place_of(readers[0]) if readers else None
        text = place.text if place else ""
        return f"the constant in `{text}`" if text else "a constant"

    def step_of(self, slot: int) -> int | None:
        """The step to point at: the one that makes the slot, or first reads it."""
        maker, steps = self.program.maker, self.program.steps
        while slot in maker and steps[maker[slot]].name in UNWRITTEN:
            slot = steps[maker[slot]].ins[0]
        if slot in maker:
            return maker[slot]
        readers = self.program.readers.get(slot, [])
        return next(
            (i for i in readers if self.program.reaches(steps[i].outs[0])), None
        )

    @cached_property
    def within(self) -> frozenset[int]:
        """The values of a loop's turns, the last one's aside: what stands for one turn
        alone is written nowhere."""
        steps = self.program.steps
        turns = {i for members in self.program.groups.values() for i in members[:-1]}
        turns |= {i for i, step in enumerate(steps) if step.name == "scan_entry"}
        return frozenset(s for i in turns for s in steps[i].outs)

    def concerns(self, slot: int) -> bool:
        return self.only is None or self.program.address(slot) == self.only

    def slots(self, target: frozenset[int], inputs: bool = False) -> list[int]:
        """The float values on which every leaf of the target depends."""
        own = [s for step in self.program.steps for s in step.outs[:1]]
        given = self.program.inputs if inputs else []
        return [
            slot
            for slot in [*given, *own]
            if is_inexact(self.problem.values[slot])
            and slot not in self.within
            and self.concerns(slot)
            and target <= self.program.reaches(slot)
        ]

    def compared(self, slot: int) -> bool:
        """Whether nothing is done with a value but to compare it: a factor of it, that
        some side changes with, is chance."""
        readers = self.program.readers.get(slot, ())
        steps = [self.program.steps[i] for i in readers]
        return bool(steps) and all(
            self.compared(step.outs[0]) if step.name in PASSIVE else step.name in SIDES
            for step in steps
        )

    def available(self) -> list[int]:
        """Every array that an edit may use: inputs first, then intermediate values."""
        made = [s for step in self.program.steps for s in step.outs[:1]]
        made = [s for s in made if s not in self.within]
        found: dict[tuple, int] = {}
        for slot in [*self.program.inputs, *made]:
            value = self.problem.values[slot]
            if is_array(value) and (value.ndim or value.dtype.kind == "f"):
                same = (value.shape, value.dtype, value.tobytes())
                if found.setdefault(same, slot) not in self.problem.names:
                    found[same] = slot  # of like values the one that has a name
        return list(found.values())

    def before(self, other: int, slot: int) -> bool:
        """Whether `other` may be used for `slot`: it does not depend on it."""
        if other == slot:
            return False
        return not self.program.depends(other, slot)


def is_array(value) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def is_float(value) -> bool:
    return is_array(value) and value.dtype.kind == "f"


def is_inexact(value) -> bool:
    return is_array(value) and value.dtype.kind in "fc"

"""All single edits of a forward, in a fixed order: the likely ones first."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

import jax
import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.constants import sizes
from jaxninja.check.diagnosis.code.elsewhere import wording
from jaxninja.check.diagnosis.code.names import argument_leaves, named
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.edits.axes import other_sums, over_other_axes
from jaxninja.check.diagnosis.edits.loops import in_turns
from jaxninja.check.diagnosis.edits.reader import Reader, is_inexact
from jaxninja.check.diagnosis.edits.single import Edit, instead, structural
from jaxninja.check.diagnosis.edits.squares import of_a_square
from jaxninja.check.diagnosis.edits.values import (
    exponents,
    multiplied,
    replaced,
    squared,
    transposed,
)
from jaxninja.check.diagnosis.forward.edits import Nearby, of_edit, own_edits
from jaxninja.check.diagnosis.forward.layouts import other_axes, other_layouts
from jaxninja.check.diagnosis.forward.numbers import (
    constant_edit,
    constants,
    counts,
    power_edit,
    scales,
    usual,
)
from jaxninja.check.diagnosis.forward.slopes import Forward

TRIES = 10  # of a number that is solved for
SOLVED = "solved"  # ends the key of such a number


class Neighbourhood:
    """The single edits of a forward, in a fixed order."""

    def __init__(self, problem: Problem, forward: Forward, budget: Budget):
        self.forward, self.program = forward, forward.program
        self.budget = budget
        self.view = Problem(
            problem.subject,
            problem.sample,
            forward.program,
            forward.base,
            problem.home,
            problem.unit,
        )
        self.view.names = named(
            self.program, argument_leaves(problem.subject, problem.sample)
        )
        self.reader = Reader(self.view)
        names = zip(problem.sample.names, problem.expected, strict=True)
        outputs = jax.tree.leaves(problem.sample.dy)
        self.lengths = sizes([*names, *(("dy", np.asarray(g)) for g in outputs)])

    def phases(
        self, leaves: tuple[int, ...], mine: float
    ) -> Iterator[Iterable[Nearby]]:
        """All edits; `mine` is the slope along `leaves` that a number is solved for."""
        yield self.steps()
        yield usual(self.program, self.lengths)
        yield scales(self.program, self.floats(), self.lengths)
        yield self.solved(leaves, mine)
        yield self.values()

    def steps(self) -> Iterator[Nearby]:
        """What needs nothing but a step and its operands."""
        yield from other_layouts(self.program)
        yield from other_axes(self.program)
        yield from self.grouped(self._of_step)

    def _of_step(self, index: int) -> Iterator[Edit]:
        name = self.reader.name
        yield from structural(self.program, index, name)
        yield from transposed(self.view, index, name)
        yield from of_a_square(self.program, index)
        yield from other_sums(self.program, index)
        yield from over_other_axes(self.program, index)
        yield from own_edits(self.program, index, name)
        outs = self.program.steps[index].outs
        yield from (e for e in self.exponents if e.slot in outs)

    @cached_property
    def exponents(self) -> list[Edit]:
        return list(exponents(self.program, frozenset()))

    def values(self) -> Iterator[Nearby]:
        """What reaches for another value."""
        every = self.reader.available()
        yield from self._arguments()
        yield from counts(
            self.view, self.program.groups, self.lengths, self.reader.name
        )

        def of_step(index: int) -> Iterator[Edit]:
            out = self.program.steps[index].outs[0]
            earlier = [s for s in every if self.reader.before(s, out)]
            name = self.reader.name
            yield from squared(self.view, index, name)
            yield from replaced(self.view, index, earlier, name)
            if is_inexact(self.view.values[out]):
                yield from multiplied(self.view, out, earlier, name)

        yield from self.grouped(of_step)

    def _arguments(self) -> Iterator[Nearby]:
        """One argument in the place of another wherever that is used."""
        for slot in self.program.inputs:
            for other in self.program.inputs:
                one, two = self.view.values[slot], self.view.values[other]
                same = np.shape(one) == np.shape(two) and np.ndim(one)
                if slot != other and same:
                    what = instead(self.reader.name(other), self.reader.name(slot))
                    makes = {slot: lambda v, other=other: v[other]}
                    key = ("argument", slot, other)
                    yield Nearby(makes, what, "swap", 1.8, slot, key)

    def grouped(self, generate) -> Iterator[Nearby]:
        """The edits of each equation, made in every turn of its loop."""
        for origin, members in self.program.groups.items():
            for edit in in_turns([list(generate(i)) for i in members]):
                yield of_edit(edit, (origin, wording(edit.what)))

    def floats(self) -> dict[tuple, list[int]]:
        """The float values, by the equation that makes them; arguments too."""
        values = self.view.values
        inputs = {("argument", k): [s] for k, s in enumerate(self.program.inputs)}
        made = {
            origin: [self.program.steps[i].outs[0] for i in members]
            for origin, members in self.program.groups.items()
        }
        every = (inputs | made).items()
        return {key: slots for key, slots in every if is_inexact(values[slots[0]])}

    def solved(self, leaves: tuple[int, ...], mine: float) -> Iterator[Nearby]:
        """Numbers of the text, with the one for which the slope is the user's."""
        for start, edit_to in self.budget.during(self._free(), "other forwards"):

            def miss(c, edit_to=edit_to):
                return self.forward.slope(edit_to(c).makes, leaves, 0) - mine

            c = _root(miss, start)
            if c is not None:
                yield edit_to(c)

    def _free(self) -> Iterator[tuple[float, Callable[[float], Nearby]]]:
        """Each number of the text, and the edit that puts another in its place."""
        for key, slots in constants(self.program):
            value = self.program.constants[slots[0]]
            if value.dtype.kind == "f":
                facts = (*key, SOLVED), slots, value
                yield (
                    float(value),
                    lambda c, f=facts: constant_edit(*f, c, self.lengths),
                )
        for origin, members in self.program.groups.items():
            steps = [self.program.steps[i] for i in members]
            if steps[0].name == "integer_pow":
                facts = (*origin, SOLVED), steps, self.lengths
                start = float(steps[0].eqn.params["y"])
                yield start, lambda c, f=facts: power_edit(f[0], f[1], c, f[2])


def _root(miss, start: float) -> float | None:
    """A number near the start for which a function is zero, by secants."""
    one, two = start, start * 1.01 + (1e-3 if start == 0 else 0.0)
    here, there = miss(one), miss(two)
    for _ in range(TRIES):
        if not np.isfinite(there) or here == there:
            return None
        one, two, here = two, two - there * (two - one) / (there - here), there
        there = miss(two)
        if abs(two - one) <= 1e-9 * abs(two):
            return two
    return None

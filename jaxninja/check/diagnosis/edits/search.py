"""Single-edit repair: the one change of the user's backward that makes it right.

Each edit is tried on a failing sample; what mends a leaf there, without spoiling
another, is tried again on a sample it was not found on, and only then believed.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxninja.check.diagnosis.code.constants import constant_name, number, sizes
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.source import return_place
from jaxninja.check.diagnosis.edits.axes import over_other_axes
from jaxninja.check.diagnosis.edits.single import (
    Edit,
    conjugated,
    instead,
    structural,
)
from jaxninja.check.diagnosis.edits.values import (
    exponents,
    fits,
    mean_term,
    multiplied,
    newton,
    replaced,
    scaled,
    slope,
    spread,
    squared,
    term,
    transposed,
)
from jaxninja.check.hints import Place, Statement, say

UNWRITTEN = ("stop_gradient", "optimization_barrier")  # by the user, as a rule
PASSIVE = ("copy", "copy_p", "broadcast_in_dim", "reshape", "convert_element_type")
PASSIVE += UNWRITTEN


@dataclass(frozen=True)
class Fix:
    """An edit, the wrong leaves that it makes right, and where it stands."""

    edit: Edit
    leaves: frozenset[int]
    where: Place | None
    subject: str  # the piece of the user's text that changes

    @property
    def change(self) -> Statement:
        """The edit and its place, as a statement."""
        at = say("at line", place=str(self.where)) if self.where else None
        return say("edit", at=at, subject=self.subject, edit=self.edit.what)


class Search:
    """All edits that mend some set of leaves on one sample and on a fresh one."""

    def __init__(self, problem: Problem, fresh: Problem, deadline: float):
        assert problem.program is not None
        self.problem, self.fresh, self.deadline = problem, fresh, deadline
        self.program = problem.program
        self.lengths = sizes(
            (name, problem.values[slot])
            for slot, name in problem.names.items()
            if slot in problem.program.inputs
        )

    def fixes(self, target: frozenset[int], reach: bool = True) -> list[Fix]:
        """The edits that make the whole target right, the least far-fetched first.

        With `reach` also those that take in a value from elsewhere.
        """
        found: list[Fix] = []
        phases = (self.structural, self.constants, self.scales, self.others)
        for phase in phases if reach else phases[:1]:
            for edit in phase(target):
                if time.process_time() > self.deadline:
                    return _ranked(found)
                fix = self.judged(edit, target)
                found += [fix] if fix is not None else []
            if found:
                break
        return _ranked(found)

    def first(self, target: frozenset[int]) -> Fix | None:
        """The first cheap edit that makes the whole target right."""
        for phase in (self.scales, self.structural):
            for edit in phase(target):
                fix = self.judged(edit, target)
                if fix is not None or time.process_time() > self.deadline:
                    return fix
        return None

    def judged(self, edit: Edit, target: frozenset[int]) -> Fix | None:
        """The edit as a fix, if it makes the target right on both samples."""
        for problem in (self.problem, self.fresh):
            if not target <= self.right_after(problem, edit):
                return None
        return self.fix(edit, target)

    def fix(self, edit: Edit, target: frozenset[int]) -> Fix:
        index = self.step_of(edit.slot)
        where = self.problem.place_of(index) if index is not None else None
        where = where or return_place(self.problem.subject.source)
        return Fix(edit, target, where, self.name(edit.slot))

    def right_after(self, problem: Problem, edit: Edit) -> frozenset[int]:
        """The leaves that are right on a sample when the edit is made."""
        try:
            with np.errstate(all="ignore"):
                value = edit.make(problem.values)
                before = problem.values[edit.slot]
                widened = np.iscomplexobj(value) and not np.iscomplexobj(before)
                if np.shape(value) != np.shape(before) or widened:
                    return frozenset()
                return problem.fixes(
                    self.program.rerun(problem.values, edit.slot, value)
                )
        except Exception:  # operands that do not go together: not an edit
            return frozenset()

    def name(self, slot: int) -> str:
        if slot in self.problem.names:
            return self.problem.names[slot]
        if slot in self.program.constants:
            value = np.asarray(self.problem.values[slot])
            number = value.ndim == 0 and value.dtype.kind in "if"
            return f"{value:.6g}" if number else "a constant"
        index = self.program.maker[slot]
        if self.program.steps[index].name in PASSIVE:
            return self.name(self.program.steps[index].ins[0])
        place = self.problem.place_of(index)
        inner = self.program.steps[index].name
        return f"{inner} in `{place.text}`" if place and place.text else inner

    def step_of(self, slot: int) -> int | None:
        """The step to point at: the one that makes the slot, or first reads it."""
        maker, steps = self.program.maker, self.program.steps
        while slot in maker and steps[maker[slot]].name in UNWRITTEN:
            slot = steps[maker[slot]].ins[0]
        if slot in maker:
            return maker[slot]
        return min(self.program.readers.get(slot, [None]), default=None)  # type: ignore

    def slots(self, target: frozenset[int], inputs: bool = False) -> list[int]:
        """The float values on which every leaf of the target depends."""
        own = [s for step in self.program.steps for s in step.outs[:1]]
        given = self.program.inputs if inputs else []
        return [
            slot
            for slot in [*given, *own]
            if _is_inexact(self.problem.values[slot])
            and target <= self.program.reaches(slot)
        ]

    def structural(self, target) -> Iterator[Edit]:
        for index, step in enumerate(self.program.steps):
            if step.outs and target <= self.program.reaches(step.outs[0]):
                yield from structural(self.program, index, self.name)
                yield from transposed(self.problem, index, self.name)
                yield from over_other_axes(self.program, index)
        slots = self.slots(target, inputs=True)
        yield from conjugated(self.program, self.problem.values, slots)

    def constants(self, target) -> Iterator[Edit]:
        """Another number in place of one that stands in the text."""
        leaf = min(target)
        for slot in self.program.constants:
            value = np.asarray(self.problem.values[slot])
            if value.ndim or value.dtype.kind != "f" or not np.isfinite(value):
                continue
            if not target <= self.program.reaches(slot):
                continue
            with np.errstate(all="ignore"):
                c = newton(self.problem, slot, leaf)
            if c is not None and np.isfinite(c):
                what = instead(number(c, self.lengths), f"{float(value):.6g}")
                yield Edit(slot, lambda v, c=c: np.float64(c), what, "ratio", 1.1)
        yield from exponents(self.program, target)

    def scales(self, target) -> Iterator[Edit]:
        leaf = min(target)
        for slot in self.slots(target, inputs=True):
            value = np.asarray(self.problem.values[slot])
            t, misfit = self.slope(slot, value, leaf)
            if misfit < 1e-5 and abs(1 + t) > 1e-9:
                factor = number(1 + t, self.lengths)
                negated = factor.name == "-1"
                what = say("negate it") if negated else say("multiply", by=factor)
                kind, cost = "sign" if negated else "ratio", 2.0 if factor.name else 3.0
                yield scaled(slot, 1 + t, what, kind, cost)

    def slope(self, slot, direction, leaf):
        with np.errstate(all="ignore"):
            return slope(self.problem, slot, direction, leaf)

    def others(self, target) -> Iterator[Edit]:
        """What reaches for another value: factors, operands, terms."""
        every = self.available()
        for slot in self.slots(target, inputs=True):
            earlier = [s for s in every if self.before(s, slot)]
            yield from multiplied(self.problem, slot, earlier, self.name)
        for index, step in enumerate(self.program.steps):
            if step.outs and target <= self.program.reaches(step.outs[0]):
                yield from squared(self.problem, index, self.name)
                earlier = [s for s in every if self.before(s, step.outs[0])]
                yield from replaced(self.problem, index, earlier, self.name)
        for slot in self.slots(target):
            yield from self.terms(slot, every, min(target))
            yield from self.means(slot, every, min(target))

    def terms(self, slot, every, leaf) -> Iterator[Edit]:
        shape = np.shape(self.problem.values[slot])
        for other in every:
            value = self.problem.values[other]
            if not self.before(other, slot) or not _is_float(value):
                continue
            if np.shape(value) != shape and not (shape and fits(value, shape)):
                continue
            t, misfit = self.slope(slot, np.broadcast_to(value, shape), leaf)
            if misfit < 1e-5 and t:
                size = number(abs(t), self.lengths)
                times = "" if abs(abs(t) - 1) < 1e-7 else say("times", factor=size)
                code, cost = ("subtract" if t < 0 else "add"), 2.2 if size.name else 3.5
                what = say(code, times=times, what=self.name(other))
                yield term(slot, other, t, what, cost)

    def means(self, slot, every, leaf) -> Iterator[Edit]:
        """The mean of another value over an axis, forgotten."""
        shape = np.shape(self.problem.values[slot])
        for other in every:
            value = self.problem.values[other]
            alike = _is_float(value) and np.shape(value) == shape
            for axis in range(len(shape) if alike and self.before(other, slot) else 0):
                t, misfit = self.slope(slot, spread(value, axis), leaf)
                known = constant_name(abs(t), self.lengths)
                if misfit < 1e-5 and t and shape[axis] > 1 and known:
                    times = "" if known == "1" else say("times", factor=known)
                    mean = f"mean({self.name(other)}, axis={axis})"
                    what = say("subtract" if t < 0 else "add", times=times, what=mean)
                    yield mean_term(slot, other, axis, t, what)

    def available(self) -> list[int]:
        """Every array that an edit may use: inputs first, then intermediate values."""
        made = [s for step in self.program.steps for s in step.outs[:1]]
        found: dict[tuple, int] = {}
        for slot in [*self.program.inputs, *made]:
            value = self.problem.values[slot]
            if _is_array(value) and (value.ndim or value.dtype.kind == "f"):
                same = (value.shape, value.dtype, value.tobytes())
                found.setdefault(same, slot)
        return list(found.values())

    def before(self, other: int, slot: int) -> bool:
        """Whether `other` may be used for `slot`: it does not depend on it."""
        if other == slot:
            return False
        below = self.program.below(slot)
        return self.program.maker.get(other, -1) not in below


def _is_array(value) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def _is_float(value) -> bool:
    return _is_array(value) and value.dtype.kind == "f"


def _is_inexact(value) -> bool:
    return _is_array(value) and value.dtype.kind in "fc"


def _ranked(found: list[Fix]) -> list[Fix]:
    """The least far-fetched first; of equals the one next to the result."""
    return sorted(reversed(found), key=lambda fix: fix.edit.cost)


def repair(problem: Problem, fresh: Problem, deadline: float) -> list[Fix]:
    """The fixes of all wrong leaves at once, else of each on its own, best first."""
    search = Search(problem, fresh, deadline)
    together = search.fixes(problem.wrong)
    if together or len(problem.wrong) == 1:
        return together
    return [
        fix
        for leaf in sorted(problem.wrong)
        for fix in search.fixes(frozenset({leaf}))[:2]
    ]

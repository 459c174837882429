"""Single-edit repair: the one change of the user's backward that makes it right.

Each edit is tried on a failing sample; what fixes a leaf there, without spoiling
another, is tried again on a sample it was not found on, and only then believed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from jaxninja.check.budget import Budget, Item
from jaxninja.check.diagnosis.code.constants import number, sizes
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.source import return_place
from jaxninja.check.diagnosis.edits import lines
from jaxninja.check.diagnosis.edits.axes import (
    one_for_all,
    other_sums,
    over_other_axes,
    per_group,
    regrouped,
)
from jaxninja.check.diagnosis.edits.brackets import (
    bracketed,
    factor_of_one_term,
    weighted,
)
from jaxninja.check.diagnosis.edits.loops import in_a_loop, in_turns, turned
from jaxninja.check.diagnosis.edits.other_settings import at_settings
from jaxninja.check.diagnosis.edits.reader import Reader, is_inexact
from jaxninja.check.diagnosis.edits.rearranged import (
    drawn_anew,
    exchanged,
    factor_before,
    inverted,
    other_rows,
)
from jaxninja.check.diagnosis.edits.running import moved_in, other_option, running_sums
from jaxninja.check.diagnosis.edits.single import (
    Edit,
    Fix,
    conjugated,
    instead,
    structural,
)
from jaxninja.check.diagnosis.edits.solved import means, multiple, parts, terms
from jaxninja.check.diagnosis.edits.squares import of_a_square
from jaxninja.check.diagnosis.edits.values import (
    counted,
    exponents,
    in_all_uses,
    multiplied,
    newton,
    replaced,
    slope,
    squared,
    transposed,
)
from jaxninja.check.hints import say


class Search(Reader):
    """All edits that fix some set of leaves on one sample and on a fresh one."""

    def __init__(
        self,
        problem: Problem,
        fresh: Problem,
        budget: Budget,
        elsewhere: Elsewhere | None = None,
        only: tuple | None = None,
        harmless: bool | None = None,
    ):
        super().__init__(problem, only)
        self.harmless = harmless
        self.fresh, self.budget, self.elsewhere = fresh, budget, elsewhere
        self.lengths = sizes(
            (name, problem.values[slot])
            for slot, name in problem.names.items()
            if slot in self.program.inputs
        )

    def concerns(self, slot: int) -> bool:
        """With `harmless` only the values on which no right gradient depends; or, if
        it is False, only those on which one does: a change there is likely to spoil it.
        """
        alone = self.program.reaches(slot) <= self.problem.wrong
        return super().concerns(slot) and self.harmless in (None, alone)

    def fixes(self, target: frozenset[int], reach: bool = True) -> list[Fix]:
        """The edits that make the whole target right, the least far-fetched first.

        With `reach` also those that take in a value from elsewhere.
        """
        found: list[Fix] = []
        for phase in self.phases if reach else self.phases_near:
            for edit in self.in_time(phase(target)):
                fix = self.judged(edit, target)
                found += [fix] if fix is not None else []
            if any(not fix.options for fix in found):
                break
        return self.different(_ranked(found))

    def different(self, found: list[Fix]) -> list[Fix]:
        """Without what makes the same of the same value in other words."""
        kept: dict[tuple, Fix] = {}
        for fix in found:
            edit, key = fix.edit, (fix.edit.slot, fix.edit.what)
            if not edit.others:
                with np.errstate(all="ignore"):
                    made = np.asarray(edit.make(self.problem.values))
                key = edit.slot, made.shape, made.tobytes()
            kept.setdefault(key, fix)
        return list(kept.values())

    def first(self, target: frozenset[int]) -> Fix | None:
        """The first cheap edit that makes the whole target right."""
        for phase in (self.scales, self.structural):
            for edit in self.in_time(phase(target)):
                fix = self.judged(edit, target)
                if fix is not None:
                    return fix
        return None

    def in_time(self, items: Iterable[Item]) -> Iterator[Item]:
        return self.budget.during(items, "single edits of bwd")

    def judged(self, edit: Edit, target: frozenset[int]) -> Fix | None:
        """The edit as a fix, if it makes the target right on both samples."""
        for problem in (self.problem, self.fresh):
            if not target <= self.right_after(problem, edit):
                return None
        if self.elsewhere is None:
            return self.fix(edit, target)
        general = at_settings(self, edit, target)
        if general is None:
            return None
        edges = self.elsewhere.fails(target, lambda p: self.after(p, edit))
        if edges is None:
            return None
        fix, options = self.fix(general[0], target), general[1]
        return replace(fix, edges=tuple(dict.fromkeys(edges)), options=options)

    def beside(self, problem: Problem, only: tuple) -> "Search":
        """The search for an edit of one slot, on a sample of other sizes."""
        return Search(problem, problem, self.budget, only=only)

    @property
    def phases_near(self):
        """Those of a derivation."""
        return (self.structural, self.entries, self.operands)

    @property
    def phases(self):
        near = (self.structural, self.exchanges)
        return (*near, self.constants, self.scales, self.others)

    def after(self, problem: Problem, edit: Edit) -> list:
        """All gradients on a sample when the edit is made."""
        with np.errstate(all="ignore"):
            if edit.others:
                return self.program.remade(problem.values, edit.makes)
            value = edit.make(problem.values)
            return self.program.rerun(problem.values, edit.slot, value)

    def fix(self, edit: Edit, target: frozenset[int]) -> Fix:
        index = self.step_of(edit.slot)
        outs = () if index is None else self.program.steps[index].outs
        made = [s for s in outs if s == edit.slot]
        made = made or [s for s in outs if target <= self.program.reaches(s)]
        output = outs.index(made[0]) if made else 0
        where = None if index is None else self.problem.place_of(index, output)
        where = where or return_place(self.problem.subject.source)
        name = self.name(edit.slot)
        call = None if index is None else self.problem.call_to(index, where)
        if call is None:
            return Fix(edit, target, where, name)
        within = say("within", what=name, call=call.text or str(call))
        return Fix(edit, target, call, within)

    def right_after(self, problem: Problem, edit: Edit) -> frozenset[int]:
        """The leaves that are right on a sample when the edit is made."""
        try:
            with np.errstate(all="ignore"):
                if edit.others:
                    return problem.fixes(self.after(problem, edit))
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

    def structural(self, target) -> Iterator[Edit]:
        yield from drawn_anew(self, target)
        yield from inverted(self, target)
        yield from turned(self)
        for members in self.in_time(self.groups(target)):
            yield from in_turns([list(self.of_step(index)) for index in members])
        yield from lines.of_lines(self, target)
        slots = self.slots(target, inputs=True)
        yield from conjugated(self.program, self.problem.values, slots)

    def of_step(self, index: int) -> Iterator[Edit]:
        """What needs nothing but a step and its operands."""
        yield from structural(self.program, index, self.name)
        yield from transposed(self.problem, index, self.name)
        yield from of_a_square(self.program, index)
        yield from other_sums(self.program, index)
        yield from over_other_axes(self.program, index)
        yield from regrouped(self.program, index)
        yield from per_group(self.problem, index, self.name)
        for edits in (running_sums, other_option, moved_in, bracketed, factor_before):
            yield from edits(self.program, index, self.name)

    def entries(self, target) -> Iterator[Edit]:
        """One entry of an axis where each has its own."""
        for members in self.in_time(self.groups(target)):
            families = (one_for_all(self.program, i, self.name) for i in members)
            yield from in_turns(list(map(list, families)))

    def exchanges(self, target) -> Iterator[Edit]:
        yield from exchanged(self, target)

    def operands(self, target) -> Iterator[Edit]:
        """A value of the derivation in the place of another."""
        every = self.available()
        for members in self.in_time(self.groups(target)):
            index, (out, *turns) = members[0], self.program.firsts(members)
            earlier = [s for s in every if self.before(s, out)] if not turns else []
            yield from replaced(self.problem, index, earlier, self.name)

    def groups(self, target) -> Iterator[list[int]]:
        """The steps of each equation on which the target depends."""
        for members in self.program.groups.values():
            outs = self.program.firsts(members)
            reached = frozenset().union(*map(self.program.reaches, outs))
            if self.concerns(outs[0]) and target <= reached:
                yield members

    def constants(self, target) -> Iterator[Edit]:
        """Another number in place of one that stands in the text."""
        leaf, every = min(target), self.available()
        for slot in self.in_time(self.program.constants):
            value = np.asarray(self.problem.values[slot])
            if value.ndim or value.dtype.kind != "f" or not np.isfinite(value):
                continue
            if not self.concerns(slot) or not target <= self.program.reaches(slot):
                continue
            yield from counted(self.problem, slot, every, self.name)
            with np.errstate(all="ignore"):
                c = newton(self.problem, slot, leaf)
            if c is not None and np.isfinite(c):
                what = instead(number(c, self.lengths), f"{float(value):.6g}")
                yield Edit(slot, lambda v, c=c: np.float64(c), what, "ratio", 1.1)
        yield from exponents(self.program, target)

    def scales(self, target) -> Iterator[Edit]:
        for slot in self.in_time(self.slots(target, inputs=True)):
            yield from multiple(self, slot, min(target))
        for slot in self.in_time(self.slots(target, inputs=True)):
            yield from parts(self, slot, min(target))

    def slope(self, slot, direction, leaf):
        with np.errstate(all="ignore"):
            return slope(self.problem, slot, direction, leaf)

    def others(self, target) -> Iterator[Edit]:
        """What reaches for another value: factors, operands, terms."""
        every = self.available()
        yield from other_rows(self, every)
        yield from lines.in_a_loop_of_python(self, target)
        slots = (s for s in self.slots(target, inputs=True) if not self.compared(s))
        for slot in self.in_time(slots):
            earlier = [s for s in every if self.before(s, slot)]
            yield from multiplied(self.problem, slot, earlier, self.name)
        for members in self.in_time(self.groups(target)):
            if len(members) > 1:
                yield from in_a_loop(self, members)
                continue
            index, (out,) = members[0], self.program.firsts(members)
            yield from squared(self.problem, index, self.name)
            earlier = [s for s in every if self.before(s, out)]
            yield from replaced(self.problem, index, earlier, self.name)
            yield from in_all_uses(self.problem, out, earlier, self.name)
            floats = [s for s in earlier if is_inexact(self.problem.values[s])]
            for edits in (factor_of_one_term, weighted):
                yield from edits(self.program, index, floats, self.name)
        yield from lines.of_two_uses(self, target, every)
        for slot in self.in_time(self.slots(target)):
            yield from terms(self, slot, every, min(target))
            yield from means(self, slot, every, min(target))
        yield from lines.of_one_line(self, target, every)


def _ranked(found: list[Fix]) -> list[Fix]:
    """The least far-fetched first; of equals the one next to the result. What holds
    with all options is told alone."""
    found = [fix for fix in found if not fix.options] or found
    return sorted(reversed(found), key=lambda fix: fix.edit.cost)

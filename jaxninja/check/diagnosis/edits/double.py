"""Two mistakes in one gradient: an edit after which one more edit fixes it.

The program with the first edit made is a program like any other, so the second edit is
found by the same search. Only cheap edits are tried first, and only for a while.
"""

from dataclasses import dataclass, replace

import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere, alike
from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program, Seen
from jaxninja.check.diagnosis.edits.search import Search
from jaxninja.check.diagnosis.edits.single import Edit, Fix

PATIENCE = 1.5  # seconds for all pairs


@dataclass
class Edited(Program):
    """A program in which one slot is always what an edit makes of it."""

    edit: Edit | None = None

    def changes(self, values, changed, steps):
        assert self.edit is not None
        changed = dict(changed)
        fixed = frozenset(changed)
        seen = Seen(values, changed)
        for i in steps:
            step = self.steps[i]
            outs = run(step.eqn, [seen[s] for s in step.ins])
            for slot, value in zip(step.outs, outs, strict=True):
                if slot in fixed:
                    continue
                changed[slot] = value
                if slot == self.edit.slot:
                    changed[slot] = self.edit.make(seen)  # type: ignore[arg-type]
        return changed


def edited(problem: Problem, edit: Edit) -> Problem:
    """The problem that is left when an edit has been made."""
    plain = problem.program
    assert plain is not None
    program = Edited(
        plain.inputs,
        plain.constants,
        plain.literals,
        plain.steps,
        plain.outputs,
        plain.maker,
        plain.calls,
        edit=edit,
    )
    program._below = plain._below
    start = {edit.slot: edit.make(problem.values)}
    changed = plain.changes(problem.values, start, plain.below(edit.slot))
    values = [changed.get(s, v) for s, v in enumerate(problem.values)]
    left = replace(problem, program=program, values=values)
    left.names = problem.names
    return left


def pairs(
    problem: Problem, fresh: Problem, budget: Budget, elsewhere: Elsewhere
) -> tuple[Fix, Fix] | None:
    """Two edits that together fix all wrong leaves on all samples, else None."""
    budget = budget.part(PATIENCE)
    search = Search(problem, fresh, budget)
    target = problem.wrong
    cheapest = sorted(search.structural(target), key=lambda e: e.cost)
    for edit in budget.during(cheapest, "pairs of edits of bwd"):
        if edit.others:
            continue
        try:
            with np.errstate(all="ignore"):
                left, after = edited(problem, edit), edited(fresh, edit)
        except Exception:  # operands that do not go together: not an edit
            continue
        if not left.wrong or not left.wrong <= target or not _sound(left, problem):
            continue
        rest = Search(left, after, budget)
        second = rest.first(left.wrong)
        if second is not None and _holds(rest, edit, second.edit, elsewhere):
            return search.fix(edit, target), second
    return None


def _holds(rest: Search, first: Edit, second: Edit, elsewhere: Elsewhere) -> bool:
    """Whether both fix the wrong leaves on all samples that were checked."""

    def rerun(problem: Problem) -> list:
        return rest.after(edited(problem, first), second)

    here = elsewhere.problem
    if elsewhere.fails(here.wrong, rerun) != []:
        return False
    others = (p for p in elsewhere.settings if p.subject.static != here.subject.static)
    return all(_right(p, rerun) for p in others if alike(here, p))


def _right(problem: Problem, rerun) -> bool:
    """Whether all is right with other options; a fix of one alone is chance."""
    try:
        results = rerun(problem)
    except Exception:  # of other shapes
        return False
    return all(problem.right(k, result) for k, result in enumerate(results))


def _sound(left: Problem, problem: Problem) -> bool:
    """Whether what is left has the shapes that it had, and no NaN."""
    same = all(
        np.shape(a) == np.shape(b)
        for a, b in zip(left.values, problem.values, strict=True)
    )
    return same and all(np.isfinite(left.got[k]).all() for k in left.wrong)

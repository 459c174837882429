"""Whether an edit fixes a backward at other sizes and options too, where it is wrong,
and leaves it right where it is right; and what the edit is called then."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from jaxninja.check.diagnosis.code.constants import follow, numbers_of
from jaxninja.check.diagnosis.code.elsewhere import (
    Elsewhere,
    alike,
    generalised,
    wording,
)
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.hints import Number, Statement, say

Leaves = frozenset[int]


class Searching(Protocol):
    """The part of a search for edits that is needed to look at other settings."""

    problem: Problem
    elsewhere: Elsewhere | None
    lengths: dict[int, str]
    program: Program

    @property
    def phases(self) -> Sequence[Callable[[Leaves], Iterable[Edit]]]: ...
    def beside(self, problem: Problem, only: tuple) -> Any: ...
    def after(self, problem: Problem, edit: Edit) -> list: ...
    def right_after(self, problem: Problem, edit: Edit) -> Leaves: ...


def at_settings(
    search: Searching, edit: Edit, target: Leaves
) -> tuple[Edit, tuple[str, ...]] | None:
    """The edit as it is at all sizes and options, and the options with which it does
    not hold; None if it fixes nothing at other sizes, or spoils the rule as given."""
    assert search.elsewhere is not None
    for problem in search.elsewhere.sizes:
        general: Edit | None = edit
        if target & problem.wrong and alike(search.problem, problem):
            general = _at(search, edit, target, problem)
        if general is None:
            return None
        edit = general
    failing = []
    given = search.elsewhere.evidence.options  # others, with which alone it is wrong
    for problem in search.elsewhere.settings:
        of_size = problem.subject.static == search.problem.subject.static
        known = of_size and bool(problem.wrong or edit.what.numbers() or not given)
        if known or not alike(search.problem, problem):
            continue
        general = _at(search, edit, target, problem)
        if general is None and (of_size or given):
            return None
        failing += [problem.sample.label] if general is None else []
        edit = general or edit
    return edit, tuple(failing)


def _at(search: Searching, edit: Edit, target, problem: Problem) -> Edit | None:
    """The edit as it is at one more setting."""
    wrong = target & problem.wrong
    said, address = wording(edit.what), search.program.address(edit.slot)
    other: Searching = search.beside(problem, address)
    ours, theirs = search.lengths, other.lengths
    if search.problem.subject.static != problem.subject.static:
        ours = ours | numbers_of(search.problem.subject)
        theirs = theirs | numbers_of(problem.subject)
    edits = [e for e in _of(other, wrong or target, address) if wording(e.what) == said]
    if not edits:  # an axis of a square array is another edit, say
        fits = wrong or _harmless(other, problem, edit, (ours, theirs))
        return edit if fits else None
    held = [e.what for e in edits if (wrong or target) <= other.right_after(problem, e)]
    what = generalised(edit.what, held, ours, theirs) or _by_as_much(edit.what, held)
    return None if what is None else replace(edit, what=what)


def _of(search: Searching, target: Leaves, address: tuple) -> Iterator[Edit]:
    for phase in search.phases:
        for edit in phase(target):
            if search.program.address(edit.slot) == address:
                yield edit


def _harmless(other: Searching, problem: Problem, edit: Edit, lengths) -> bool:
    """Whether a rule that is right at a setting stays so. Of a number that is solved
    for none is found there: it has to be one that changes nothing."""
    numbers = edit.what.numbers()
    if numbers:
        ends = (Number(1.0), Number(0.0))
        return all(any(follow(n, end, *lengths) for end in ends) for n in numbers)
    try:
        made = edit.make(problem.values)
        if np.shape(made) != np.shape(problem.values[edit.slot]):
            return True
        results = other.after(problem, edit)
    except Exception:  # what it is made of is of another shape there: not to be tried
        return True
    return all(problem.agrees(k, result) for k, result in enumerate(results))


def _by_as_much(one: Statement, held: Iterable[Statement]) -> Statement | None:
    """A number of the text that is off by as much, or as many times, as elsewhere:
    -beta - 1 for -beta, whatever the option beta is."""
    for other in held:
        both = [(s["old"], s["new"]) for s in (one, other) if s.code == "instead"]
        if len(both) < 2 or not all(isinstance(new, Number) for _, new in both):
            continue
        (old, new), (their_old, their_new) = ((float(a), b.value) for a, b in both)
        by, times = new - old, new / (old or math.nan)
        if math.isclose(by, their_new - their_old, rel_tol=1e-5):
            sign = "-" if by < 0 else "+"
            return say("instead", new=f"{old:.6g} {sign} {abs(by):.6g}", old=one["old"])
        if math.isclose(times, their_new / (their_old or math.nan), rel_tol=1e-5):
            return say("instead", new=f"{times:.6g} * {old:.6g}", old=one["old"])
    return None

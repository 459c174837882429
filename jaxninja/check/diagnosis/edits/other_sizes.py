"""Whether an edit mends a backward at other sizes too, and what it is called then."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from jaxninja.check.diagnosis.code.elsewhere import (
    Elsewhere,
    alike,
    generalised,
    wording,
)
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit

Leaves = frozenset[int]


class Searching(Protocol):
    """The part of a search for edits that is needed to look at other sizes."""

    problem: Problem
    elsewhere: Elsewhere | None
    lengths: dict[int, str]
    program: Program

    @property
    def phases(self) -> Sequence[Callable[[Leaves], Iterable[Edit]]]: ...
    def beside(self, problem: Problem, only: tuple) -> Any: ...
    def right_after(self, problem: Problem, edit: Edit) -> Leaves: ...


def at_sizes(search: Searching, edit: Edit, target: Leaves) -> Edit | None:
    """The edit as it is at all sizes; None if it mends nothing at others."""
    assert search.elsewhere is not None
    for problem in search.elsewhere.sizes:
        there = target & problem.wrong
        if not there or not alike(search.problem, problem):
            continue
        said = wording(edit.what)
        address = search.program.address(edit.slot)
        other: Searching = search.beside(problem, address)
        edits = [e for e in _at(other, there, address) if wording(e.what) == said]
        if not edits:  # an axis of a square array is another edit, say
            continue
        held = [e.what for e in edits if there <= other.right_after(problem, e)]
        what = generalised(edit.what, held, search.lengths, other.lengths)
        if what is None:
            return None
        edit = replace(edit, what=what)
    return edit


def _at(search: Searching, target: Leaves, address: tuple) -> Iterator[Edit]:
    for phase in search.phases:
        for edit in phase(target):
            if search.program.address(edit.slot) == address:
                yield edit

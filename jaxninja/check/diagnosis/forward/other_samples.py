"""Whether the gradient of an edited forward is the user's on all that was checked."""

from collections.abc import Sequence
from dataclasses import replace

from jaxninja.check.diagnosis.code.elsewhere import generalised
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.forward.comparison import Case
from jaxninja.check.diagnosis.forward.edits import Nearby
from jaxninja.check.diagnosis.forward.neighbourhood import Neighbourhood
from jaxninja.check.diagnosis.forward.slopes import Forward

MOST = 24  # samples to look at


def at_sizes(
    around: Neighbourhood, edit: Nearby, sizes: Sequence[Problem], target
) -> Nearby | None:
    """The edit as it is at all sizes; None if it does not hold at others."""
    for problem in sizes:
        case = Case(problem, Forward(problem))
        told = tuple(k for k in target if case.tells((k,), 1))
        there = Neighbourhood(problem, case.forward, around.budget)
        if not told:
            continue
        phases = there.phases(told, case.mine(told, 0))
        alike = ([e for e in phase if e.key == edit.key] for phase in phases)
        edits = next(filter(None, alike), [])
        if not edits:  # what only a square array has, say
            continue
        held = [e.what for e in edits if agrees(case, e, told)]
        what = generalised(edit.what, held, around.lengths, there.lengths)
        if what is None:
            return None
        edit = replace(edit, what=what)
    return edit


def agrees(case: Case, edit: Nearby, target: Sequence[int]) -> bool:
    return all(case.same(edit.makes, (k,), 1) for k in target)


def all_cases(forward: Forward, samples: Sequence[Problem]) -> list[Case]:
    """The samples that were checked, ordinary ones first."""
    ordered = sorted(samples, key=lambda p: p.sample.edge)
    return [Case(p, forward.on(p)) for p in ordered[:MOST]]


def fails(cases: Sequence[Case], edit: Nearby, target) -> list[str] | None:
    """Labels of the edges where it does not hold; None if it fails elsewhere."""
    labels = []
    for case in cases:
        if _holds(case, edit, target):
            continue
        if not case.problem.sample.edge:
            return None
        labels.append(case.problem.sample.label)
    return list(dict.fromkeys(labels))


def _holds(case: Case, edit: Nearby, target) -> bool:
    """Of the leaves that are judged there, and whose slope differences give."""
    sample = case.problem.sample
    judged = sample.names if sample.judged is None else sample.judged
    told = [k for k in target if sample.names[k] in judged and case.smooth((k,), 1)]
    return agrees(case, edit, told)

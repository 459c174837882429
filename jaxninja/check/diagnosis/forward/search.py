"""The forward whose gradient the user's is: yours, with one change.

Many a mistake is no slip in a derivation but another function: the mean over all rows,
epsilon outside of the root, pairs for halves. Each single edit of the forward's steps
is tried: is the slope of what it makes the one that the user's gradients give? Asked
first roughly and along one direction, then leaf by leaf, on a fresh sample, and at
other sizes where the rule was seen at some.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.forward.comparison import Case
from jaxninja.check.diagnosis.forward.edits import Nearby
from jaxninja.check.diagnosis.forward.neighbourhood import Neighbourhood
from jaxninja.check.diagnosis.forward.other_samples import (
    agrees,
    all_cases,
    at_sizes,
    fails,
)
from jaxninja.check.diagnosis.forward.slopes import Forward
from jaxninja.check.hints import Place

SECONDS = 3.0
LARGEST = 3000  # entries of an array, beyond which the search is left out


@dataclass(frozen=True)
class Twin:
    """A forward whose gradient is the user's."""

    edit: Nearby
    leaves: frozenset[int]
    where: Place | None
    subject: str
    edges: tuple[str, ...] = ()  # where it is not the user's


def nearby(
    problem: Problem, fresh: Problem, elsewhere: Elsewhere, budget: Budget
) -> list[Twin]:
    """The edited forwards whose gradients are the user's, the simplest first.

    Args:
        problem, fresh: a failing sample, and one that was not looked at.
        elsewhere: what else was checked.
        budget: for all leaves together, of which each has a like part.

    Raises:
        Exception: whatever tracing or running the plain forward raises.
    """
    if any(np.size(a) > LARGEST for a in jax.tree.leaves(problem.sample.args)):
        return []
    forward = Forward(problem)
    cases = [Case(problem, forward), Case(fresh, forward.on(fresh))]
    wrong = tuple(sorted(problem.wrong))
    targets = [wrong, *([(k,) for k in wrong] if len(wrong) > 1 else [])]
    found: list[Twin] = []
    shares = budget.part(SECONDS).shares(len(targets))
    for target, share in zip(targets, shares, strict=True):
        if found and found[0].leaves >= set(target):
            break
        found += _twins(cases, elsewhere, target, share)
    return found


def _twins(cases, elsewhere, target: tuple[int, ...], budget: Budget) -> list[Twin]:
    if not all(case.tells((k,), 1) for case in cases for k in target):
        return []
    if not cases[0].tells(target, 0):
        return []
    around = Neighbourhood(cases[0].problem, cases[0].forward, budget)
    for phase in around.phases(target, cases[0].mine(target, 0)):
        found: list[Nearby] = []
        for edit in budget.during(phase, "other forwards"):
            if _holds(cases, edit, target):
                found.append(edit)
        if best := _best(around, found, elsewhere, target):
            return best
    return []


def _holds(cases: Sequence[Case], edit: Nearby, target: tuple[int, ...]) -> bool:
    if not cases[0].close(edit.makes, target, 0):
        return False
    return all(agrees(case, edit, target) for case in cases)


def _best(around: Neighbourhood, found, elsewhere: Elsewhere, target) -> list[Twin]:
    """The two simplest that hold on all samples, and at other sizes as well."""
    twins: list[Twin] = []
    cases = all_cases(around.forward, elsewhere.samples) if found else []
    for edit in sorted(found, key=lambda e: (e.cost, -e.slot)):
        general = at_sizes(around, edit, elsewhere.sizes, target)
        edges = None if general is None else fails(cases, edit, target)
        if general is not None and edges is not None:
            twins.append(_twin(around, general, target, edges))
        if len(twins) == 2:
            break
    return twins


def _twin(around: Neighbourhood, edit: Nearby, target, edges) -> Twin:
    step = around.reader.step_of(edit.slot)
    where = None if step is None else around.view.place_of(step)
    subject = around.reader.name(edit.slot)
    return Twin(edit, frozenset(target), where, subject, tuple(edges))

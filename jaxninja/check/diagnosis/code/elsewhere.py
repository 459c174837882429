"""The other samples of a check: an explanation must hold on each of them.

A fix is tried on every kind of input that was looked at, right ones too; and at other
sizes, where a constant shows whether it is a number or a length.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np

from jaxninja.check.diagnosis.code.constants import follow
from jaxninja.check.diagnosis.code.problem import Problem, problem_of
from jaxninja.check.evidence import Evidence
from jaxninja.check.hints import Number, Statement

Lengths = dict[int, str]
SIZES = 2  # other sizes to look at
SETTINGS = 6  # others
QUOTED = ("what", "new", "old", "by")  # facts that quote the text, numbers included
NUMBER = re.compile(r"(?<!\w)\d+\.?\d*(e[+-]?\d+)?")


class Elsewhere:
    """What else was checked, beside a failing sample and a fresh one."""

    def __init__(self, evidence: Evidence, problem: Problem):
        self.evidence, self.problem = evidence, problem

    @cached_property
    def samples(self) -> list[Problem]:
        """All samples of the same sizes."""
        found = []
        for sample in self.evidence.checked():
            try:
                found.append(self.problem.on(sample))
            except Exception:  # an index out of range, say: nothing can be tried there
                continue
        return found

    @cached_property
    def sizes(self) -> list[Problem]:
        """One sample of each of some other sizes, where the same leaves are wrong."""
        unit = self.evidence.unit
        found = [problem_of(*pair, unit) for pair in self.evidence.sizes[:SIZES]]
        return [p for p in found if p.wrong & self.problem.wrong]

    @cached_property
    def settings(self) -> list[Problem]:
        """One sample of each other setting, right or wrong: other options first."""
        return [
            problem_of(p.subject, p.sample, self.evidence.unit) for p in self.untraced
        ]

    @cached_property
    def untraced(self) -> list[Problem]:
        """The samples of these settings, without a program of the backward there."""
        known = {sample.label for _, sample in self.evidence.sizes[:SIZES]}
        static, unit = self.problem.subject.static, self.evidence.unit
        found = [
            Problem(subject, sample, unit=unit)
            for subject, sample in self.evidence.settings()
            if sample.label not in known
        ]
        return sorted(found, key=lambda p: p.subject.static == static)[:SETTINGS]

    @cached_property
    def other_options(self) -> list[Problem]:
        """Those of these samples, untraced, that are with other options."""
        static = self.problem.subject.static
        return [p for p in self.untraced if p.subject.static != static]

    def fails(self, target: frozenset[int], rerun) -> list[str] | None:
        """Labels of the edges where a fix does not hold; None if it fails elsewhere.

        `rerun(problem)` are all gradients after the fix.
        """
        labels = []
        for problem in self.samples:
            if not _holds(problem, target, rerun):
                if not problem.sample.edge or _spoils(problem, target, rerun):
                    return None
                labels.append(problem.sample.label)
        return labels


def _holds(problem: Problem, target: frozenset[int], rerun) -> bool:
    try:
        results = rerun(problem)
    except Exception:
        return False
    for k, result in enumerate(results):
        concerned = k in target or problem.agrees(k, problem.got[k])
        if concerned and not (problem.agrees(k, result) or _valid(problem, k, result)):
            return False
    return True


def _valid(problem: Problem, k: int, gradient) -> bool:
    """Whether the k-th gradient is one of those at a kink: a rule passes with it."""
    valid = problem.sample.valid
    return valid is not None and valid(k, np.asarray(gradient))


def _spoils(problem: Problem, target: frozenset[int], rerun) -> bool:
    """Whether the fix makes wrong what was right there; finite, and yet wrong."""
    right = [k for k in target if problem.agrees(k, problem.got[k])]
    try:
        results = rerun(problem) if right else []
    except Exception:
        return True
    made = [(k, np.asarray(results[k])) for k in right]
    return any(np.isfinite(g).all() and not problem.agrees(k, g) for k, g in made)


def alike(one: Problem, other: Problem) -> bool:
    """Whether the backwards at two sizes are of the same equations."""
    if one.program is None or other.program is None:
        return False
    return list(one.program.groups) == list(other.program.groups)


def wording(statement: Statement) -> tuple:
    """What a statement says, numbers aside: the same of the same edit at all sizes."""
    facts = []
    for name, fact in statement.facts:
        if isinstance(fact, Statement):
            fact = wording(fact)
        elif isinstance(fact, Number):
            fact = ""
        elif isinstance(fact, str) and name in QUOTED:
            fact = NUMBER.sub("#", fact)
        facts.append((name, fact))
    return statement.code, tuple(facts)


def generalised(
    statement: Statement, held: Iterable[Statement], ours: Lengths, theirs: Lengths
) -> Statement | None:
    """The statement as it is at both sizes, by one of those that hold at the other."""
    both = (merged(statement, other, ours, theirs) for other in held)
    return next((found for found in both if found is not None), None)


def merged(
    one: Statement, other: Statement, ours: Lengths, theirs: Lengths
) -> Statement | None:
    """What two statements of two sizes have in common; None if they disagree."""
    if one.code != other.code:
        return None
    facts = []
    for (name, fact), (_, theirs_) in zip(one.facts, other.facts, strict=True):
        both = _fact(fact, theirs_, ours, theirs)
        if both is None and fact is not None:
            return None
        facts.append((name, both))
    return Statement(one.code, tuple(facts))


def _fact(fact: Any, other: Any, ours: Lengths, theirs: Lengths) -> Any:
    if isinstance(fact, Number) and isinstance(other, Number):
        return follow(fact, other, ours, theirs)
    if isinstance(fact, Statement) and isinstance(other, Statement):
        return merged(fact, other, ours, theirs)
    return fact if isinstance(fact, Number) == isinstance(other, Number) else None

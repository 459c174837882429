"""Why a hand-written backward is wrong: the bug by name, where it is, what mends it.

From cheap to dear: how the gradient depends on its cotangent; how each wrong leaf
relates to the true ones; which path of the reference's backward is cut; which single
edit of the user's own backward mends it. A hint is verified on a sample that it was not
found on, or says "looks like".
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem, problems
from jaxninja.check.diagnosis.code.source import return_place
from jaxninja.check.diagnosis.cotangent import VAGUE, probes
from jaxninja.check.diagnosis.edits.double import pairs
from jaxninja.check.diagnosis.edits.search import Fix, repair
from jaxninja.check.diagnosis.gradient import relation
from jaxninja.check.diagnosis.jacobian import diagonal
from jaxninja.check.diagnosis.linearity import nonlinear_step
from jaxninja.check.diagnosis.reference import (
    Reference,
    changed,
    derivation,
    paths,
    two_cut,
    without_both,
)
from jaxninja.check.diagnosis.residuals import residual
from jaxninja.check.diagnosis.rounding import not_finite, rounded
from jaxninja.check.evidence import Evidence
from jaxninja.check.hints import Hint, Statement, say

SHORT = 0.5  # seconds for the edit of a bug that has a name already
TRIES = 3
SEED = 7919  # of the fresh sample; the checker's own samples have small seeds


def diagnose(evidence: Evidence, budget_seconds: float = 5.0) -> list[Hint]:
    """Explanations of what is wrong, best first.

    Args:
        evidence: failing samples, and how to draw a fresh one.
        budget_seconds: of processor time, after which it stops searching: a busy
            machine finds what an idle one does.

    Returns:
        Hints; empty if nothing was found or no sample is wrong.
    """
    deadline = time.process_time() + budget_seconds
    with jax.enable_x64(True), np.errstate(all="ignore"), _no_lost_parts():
        for problem in problems(evidence):
            if problem.wrong:
                return _hints(problem, _fresh(problem, evidence), deadline)
    return []


@contextmanager
def _no_lost_parts() -> Iterator[None]:
    """An edit that would drop imaginary parts raises, and so is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def _fresh(problem: Problem, evidence: Evidence) -> Problem:
    """A sample that was not looked at, on which the same leaves are wrong if any is."""
    for seed in range(SEED, SEED + TRIES):
        fresh = problem.on(evidence.resample(seed))
        if problem.wrong <= fresh.wrong:
            break
    return fresh


def _hints(problem: Problem, fresh: Problem, deadline: float) -> list[Hint]:
    """Names first, each with the edit that fixes its leaf; then further edits."""
    cast = rounded(problem, fresh)
    if cast is not None:
        return [_rounded(problem, *cast)]
    reference = _reference(problem)
    names = _named(problem, fresh, reference)
    clear = [hint for hint in names if hint.kind != VAGUE]
    vague = [replace(h, kind="cotangent") for h in names if h.kind == VAGUE]
    until = min(deadline, time.process_time() + SHORT) if clear else deadline
    fixes = [] if problem.program is None else repair(problem, fresh, until)
    if clear:
        others = _others(problem, fresh, fixes)
        return [*(_joined(problem, hint, fixes) for hint in clear), *others, *vague]
    edits = [_fixed(problem, fresh, fix) for fix in _distinct(fixes)]
    packed = None if edits else residual(problem, fresh)
    if packed is not None:
        edits = [_hint(problem, min(problem.wrong), *packed)]
    by_path = _by_path(problem, fresh, reference, deadline)
    if by_path and by_path[0].kind == "term":
        others = _others(problem, fresh, fixes)
        return [_joined(problem, by_path[0], fixes), *others, *vague]
    if edits and edits[0].verified:  # what is inside an operation adds nothing to it
        by_path = [hint for hint in by_path if hint.kind != "path"]
    if not edits and not by_path and problem.program is not None:
        edits = [
            _twice(problem, fresh, *both)
            for both in [pairs(problem, fresh, deadline)]
            if both
        ]
    return [*edits, *by_path, *vague]


def _by_path(problem, fresh, reference, deadline) -> list[Hint]:
    """What was changed in the derivation: a path cut, or a step of it left out."""
    if reference is None or not fresh.wrong:
        return []
    leaves = problem.leaf_names(problem.wrong)
    found = [
        _hint(problem, min(problem.wrong), *changed(path, leaves))
        for path in paths(problem, fresh, reference, deadline)
    ]
    simple = [hint for hint in found if hint.kind in ("term", "path")][:1]
    if simple:
        return simple
    leaf = diagonal(problem, fresh, reference)
    if leaf is not None:
        statement = say("diagonal", leaf=problem.sample.names[leaf])
        return [_hint(problem, leaf, "term", statement)]
    both = two_cut(problem, fresh, reference, deadline)
    if both is not None:
        return [_hint(problem, min(problem.wrong), *without_both(*both, leaves))]
    edits = derivation(problem, fresh, reference, deadline)
    steps = [_derived(problem, leaves, fix) for fix in edits[:1]]
    return [*steps, *found[:1]]


def _derived(problem: Problem, leaves: tuple[str, ...], fix: Fix) -> Hint:
    facts = {"leaves": leaves, "spot": fix.where or fix.subject}
    statement = say("derived", **facts, edit=fix.edit.what)
    return _hint(problem, min(fix.leaves), fix.edit.kind, statement)


def _twice(problem: Problem, fresh: Problem, first: Fix, second: Fix) -> Hint:
    one, both = _fixed(problem, fresh, first), (first.change, second.change)
    edits = dict(zip(("first", "second"), both, strict=True))
    leaves = problem.leaf_names(first.leaves)
    statement = say("mended by two", leaves=leaves, **edits)
    return replace(one, statement=statement, change=say("both", **edits))


def _reference(problem: Problem) -> Reference | None:
    try:
        return Reference(problem)
    except (
        Exception
    ):  # a plain forward that cannot be traced: what needs it is left out
        return None


def _named(problem, fresh, reference) -> list[Hint]:
    """Hints that need no look at any code: by the cotangent, else leaf by leaf."""
    found = _cotangent(problem, fresh, reference)
    if found is not None and found.kind != VAGUE:
        return [found]
    hints = [] if found is None else [found]
    for leaf in sorted(problem.wrong):
        relative = relation(problem, fresh, leaf)
        if relative is not None:
            hints.append(_hint(problem, leaf, *relative))
    return hints


def _cotangent(problem, fresh, reference) -> Hint | None:
    found = probes(problem, reference)
    if found is None:
        return None
    again = probes(fresh, reference) if fresh.wrong else None
    kind, statement = found
    same = again is not None and again[0] == kind
    if kind == "cotangent":
        same = again == found
    hint = _hint(problem, min(problem.wrong), kind, statement, same)
    step = nonlinear_step(problem)
    place = problem.place_of(step) if step is not None else None
    return hint if place is None else replace(hint, where=str(place))


def _rounded(problem: Problem, step: int, dtype: str) -> Hint:
    place = problem.place_of(step)
    leaves, spot = problem.leaf_names(problem.wrong), place or "one value"
    statement = say("cast", leaves=leaves, spot=spot, dtype=dtype)
    hint = _hint(problem, min(problem.wrong), "precision", statement)
    return replace(hint, where=str(place) if place else hint.where)


def blowup(evidence: Evidence) -> Hint | None:
    """Where a gradient that is not finite arises, if the backward can be traced."""
    with jax.enable_x64(True), np.errstate(all="ignore"):
        for problem in problems(evidence):
            found = not_finite(problem)
            lost = [k for k, g in enumerate(problem.got) if not np.isfinite(g).all()]
            if found is not None and lost:
                place = problem.place_of(found[0])
                leaves, spot = problem.leaf_names(lost), place or "one value"
                said = say("not finite", leaves=leaves, spot=spot, why=found[1])
                hint = _hint(problem, lost[0], "nan", said)
                return replace(hint, where=str(place) if place else hint.where)
    return None


def _hint(
    problem: Problem, leaf: int, kind: str, statement: Statement, verified: bool = True
) -> Hint:
    name, where = problem.sample.names[leaf], _made_at(problem, leaf)
    return Hint(statement, kind, verified, name, where)


def _made_at(problem: Problem, leaf: int) -> str | None:
    """The line that computes a leaf, else the one that returns it."""
    place = None
    if problem.program is not None:
        maker = problem.program.maker.get(problem.program.outputs[leaf])
        place = problem.place_of(maker) if maker is not None else None
    place = place or return_place(problem.subject.source)
    return str(place) if place is not None else None


def _joined(problem: Problem, hint: Hint, fixes: list[Fix]) -> Hint:
    """The hint with the line and the edit of the fix of its leaf."""
    leaf = problem.sample.names.index(hint.leaf)
    fix = next((m for m in fixes if leaf in m.leaves), None)
    if fix is None:
        return hint
    where = str(fix.where) if fix.where else hint.where
    return replace(hint, where=where, change=fix.change)


def _distinct(fixes: list[Fix]) -> list[Fix]:
    """The best fix of each leaf; of one leaf, or of all at once, the two best."""
    found: dict[tuple, Fix] = {}
    for fix in fixes:
        found.setdefault((fix.leaves, fix.subject, fix.edit.what), fix)
    best = {fix.leaves: fix for fix in reversed(found.values())}
    return list(found.values())[:2] if len(best) == 1 else list(reversed(best.values()))


def _others(problem: Problem, fresh: Problem, fixes: list[Fix]) -> list[Hint]:
    """A second edit beside a hint that has one: the reader picks the simpler."""
    given = {leaf: m.change for m in reversed(fixes) for leaf in m.leaves}
    for fix in fixes[1:]:
        if fix.change not in given.values():  # two steps of a line may be alike
            hint = _fixed(problem, fresh, fix)
            statement = say("mended, too", leaves=problem.leaf_names(fix.leaves))
            return [replace(hint, statement=statement) if hint.verified else hint]
    return []


def _fixed(problem: Problem, fresh: Problem, fix: Fix) -> Hint:
    where = str(fix.where) if fix.where else None
    leaves = problem.leaf_names(fix.leaves)
    edit = {"subject": fix.subject, "edit": fix.edit.what}
    statement = say("mended", leaves=leaves, **edit)
    proved = fix.leaves <= fresh.wrong  # else the edit was not put to the test there
    return Hint(statement, fix.edit.kind, proved, leaves[0], where, fix.change)

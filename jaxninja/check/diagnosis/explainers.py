"""Why a hand-written backward is wrong: the bug by name, where it is, what fixes it.

From cheap to dear: how the gradient depends on its cotangent; how each wrong leaf
relates to the true ones; which path of the reference's backward is cut; which single
edit of the user's own backward fixes it. A hint is verified on a sample that it was not
found on, or says "looks like".
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.budget import SECONDS, Budget
from jaxninja.check.diagnosis.chain_ends import stops_early
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.fresh_samples import unseen
from jaxninja.check.diagnosis.code.problem import Problem, problems
from jaxninja.check.diagnosis.cotangent import VAGUE, probes
from jaxninja.check.diagnosis.descriptions import given_otherwise, whereabouts
from jaxninja.check.diagnosis.edits.double import pairs
from jaxninja.check.diagnosis.edits.repairs import repair
from jaxninja.check.diagnosis.forward.search import nearby
from jaxninja.check.diagnosis.gradient import STRAIGHT, general, relation, surrogate
from jaxninja.check.diagnosis.jacobian import diagonal
from jaxninja.check.diagnosis.linearity import nonlinear_step
from jaxninja.check.diagnosis.options import only_with, told_with
from jaxninja.check.diagnosis.reference import (
    Reference,
    derivation,
    paths,
    two_cut,
)
from jaxninja.check.diagnosis.residuals import residual
from jaxninja.check.diagnosis.rounding import is_lost, not_finite, rounded
from jaxninja.check.diagnosis.usual_functions import borrowed
from jaxninja.check.diagnosis.wording import (
    changed,
    derived,
    distinct,
    fixed,
    hint_of,
    joined,
    of_cast,
    others,
    twice,
    twin,
    without_both,
)
from jaxninja.check.evidence import Evidence
from jaxninja.check.hints import Hint, say

FAR = 2.05  # cost of an edit of the backward, from which it is far-fetched
SHORT = 0.5  # seconds for the edit of a bug that has a name already
EDITS, PATHS = 5.0, 2.0  # seconds for the others, and for what the derivation lacks
PACKED = 1.0  # for residuals that are other ones


def diagnose(evidence: Evidence, budget: Budget | None = None) -> list[Hint]:
    """Explanations of what is wrong, best first.

    Args:
        evidence: failing samples, and how to draw a fresh one.
        budget: what the whole search may take; it knows what was not searched.

    Returns:
        Hints; empty if nothing was found or no sample is wrong.
    """
    budget = budget or Budget.of(SECONDS)
    with _trying():
        for problem in problems(evidence):
            if problem.wrong:
                elsewhere = Elsewhere(evidence, problem)
                fresh = unseen(problem, evidence)
                found = _once(_hints(problem, fresh, elsewhere, budget))
                return told_with(only_with(problem, fresh, evidence), found)
    return []


@contextmanager
def _trying() -> Iterator[None]:
    """Float64 for edits, of which no warning is the user's concern: a matrix becomes
    singular, say. One that would drop imaginary parts raises, and so is none."""
    with (
        jax.enable_x64(True),
        np.errstate(all="ignore"),
        warnings.catch_warnings(action="ignore"),
    ):
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        yield


def _hints(
    problem: Problem, fresh: Problem, elsewhere: Elsewhere, budget: Budget
) -> list[Hint]:
    """Names first, each with the edit that fixes its leaf; then further edits."""
    cast = rounded(problem, fresh)
    if cast is not None:
        return [of_cast(problem, *cast)]
    reference = _reference(problem, elsewhere)
    names = _named(problem, fresh, reference, elsewhere)
    clear = [hint for hint in names if hint.kind != VAGUE]
    vague = [replace(h, kind="cotangent") for h in names if h.kind == VAGUE]
    cut = []
    if all(hint.statement.code == "where" for hint in clear):
        cut = _cut(problem, fresh, reference, budget.part(PATHS))
        clear = [] if _is_path(cut) else clear  # why says more than where
    if not clear and not _is_path(cut):
        cut = _ended(problem, fresh, reference) or cut
    fixes = []
    if problem.program is not None and not any(h.kind == STRAIGHT for h in clear):
        part = budget.part(SHORT if clear or cut else EDITS)
        fixes = repair(problem, fresh, part, elsewhere)
    if clear:
        second = others(problem, fresh, fixes)
        return [*(joined(problem, hint, fixes) for hint in clear), *second, *vague]
    edits = [fixed(problem, fresh, fix) for fix in distinct(fixes)]
    simple = any(fix.edit.cost < FAR and not fix.options for fix in fixes)
    packed = None if edits else residual(problem, fresh, budget.part(PACKED))
    if packed is not None:
        edits = [hint_of(problem, min(problem.wrong), *packed)]
    by_path = cut
    if not (cut and cut[0].kind in ("term", "path", "factor")):
        by_path = _by_path(problem, fresh, reference, cut, budget.part(PATHS))
    clearer = (
        simple
        and edits[0].verified
        and by_path == [h for h in by_path if h.statement.code == "derived"]
    )
    if by_path and by_path[0].kind == "term" and not clearer:
        second = others(problem, fresh, fixes)
        return [joined(problem, by_path[0], fixes), *second, *vague]
    twins = []
    if not simple and packed is None and not any(map(_is_clear, by_path)):
        twins = _borrowed(problem, fresh, elsewhere)
        twins = twins or given_otherwise(problem, fresh, reference, elsewhere)
        twins = twins or ([] if by_path else _nearby(problem, fresh, elsewhere, budget))
    if twins:
        return [*twins, *edits[:1], *vague]
    if edits and edits[0].verified:  # what is inside an operation adds nothing to it
        by_path = [] if simple else [hint for hint in by_path if hint.kind != "path"]
    given = elsewhere.evidence.options  # with which alone it is wrong: a fix is plain
    if not (edits or by_path or given or problem.program is None):
        edits = [
            twice(problem, fresh, *both)
            for both in [pairs(problem, fresh, budget, elsewhere)]
            if both
        ]
    found = sorted([*edits, *by_path], key=_fails_at_edges)
    if not any(hint.verified for hint in found):
        found = [*whereabouts(problem, fresh, elsewhere), *found]
    return [*found, *vague]


def _once(hints: list[Hint]) -> list[Hint]:
    """Without those in the words of another: two places of a line may be alike."""
    return list({tuple(h.lines()): h for h in reversed(hints)}.values())[::-1]


def _fails_at_edges(hint: Hint) -> bool:
    return hint.statement.code == "fixed, not at"


def _is_clear(hint: Hint) -> bool:
    """Whether another function with the same gradient would say less."""
    return hint.kind == "path" or hint.statement.code == "stops early"


def _is_path(hints: list[Hint]) -> bool:
    return any(hint.kind in ("term", "path") for hint in hints)


def _borrowed(problem: Problem, fresh: Problem, elsewhere: Elsewhere) -> list[Hint]:
    """The usual functions whose gradients these are, wherever they are wrong."""
    ordinary = [p for p in elsewhere.samples if not p.sample.edge]
    others, hints = [fresh, *elsewhere.sizes, *ordinary], []
    for leaf in sorted(problem.wrong & fresh.wrong):
        found = borrowed(problem, leaf)
        wrong = [p for p in others if leaf in p.wrong] if found else []
        if found is not None and all(found == borrowed(p, leaf) for p in wrong):
            hints.append(hint_of(problem, leaf, *found))
    return hints


def _cut(problem, fresh, reference, budget: Budget) -> list[Hint]:
    """The path of the derivation that was left out, else those multiplied."""
    if reference is None or not fresh.wrong:
        return []
    leaves = problem.leaf_names(problem.wrong)
    found = [
        hint_of(problem, min(problem.wrong), *changed(path, leaves))
        for path in paths(problem, fresh, reference, budget)
    ]
    return [hint for hint in found if hint.kind in ("term", "path")][:1] or found


def _ended(problem, fresh, reference) -> list[Hint]:
    """The leaves whose chain rule stops at a value on the way."""
    if reference is None or not fresh.wrong:
        return []
    ends = [(k, stops_early(problem, fresh, reference, k)) for k in problem.wrong]
    return [hint_of(problem, k, *end) for k, end in sorted(ends) if end]


def _by_path(problem, fresh, reference, found, budget: Budget) -> list[Hint]:
    """What else was changed in the derivation: two paths, or a step of it left out."""
    if reference is None or not fresh.wrong:
        return []
    leaves = problem.leaf_names(problem.wrong)
    leaf = diagonal(problem, fresh, reference, budget)
    if leaf is not None:
        statement = say("diagonal", leaf=problem.sample.names[leaf])
        return [hint_of(problem, leaf, "term", statement)]
    both = two_cut(problem, fresh, reference, budget)
    if both is not None:
        return [hint_of(problem, min(problem.wrong), *without_both(*both, leaves))]
    edits = derivation(problem, fresh, reference, budget)
    steps = [derived(problem, leaves, fix) for fix in edits[:1]]
    if steps and steps[0].kind == "function":  # a multiple of a path is plainer
        return [*found[:1], *steps]
    return [*steps, *found[:1]]


def _nearby(problem, fresh, elsewhere: Elsewhere, budget: Budget) -> list[Hint]:
    """The forwards whose gradients these are; none if another one is declared."""
    if elsewhere.evidence.declared is not None:
        return []
    try:
        twins = nearby(problem, fresh, elsewhere, budget)
    except Exception:  # a plain forward that does not run in NumPy, or on no tracer
        return []
    return [twin(problem, found) for found in twins]


def _reference(problem: Problem, elsewhere: Elsewhere) -> Reference | None:
    if elsewhere.evidence.misled:
        return None
    try:
        return Reference(problem, elsewhere.evidence.declared)
    except (
        Exception
    ):  # a plain forward that cannot be traced: what needs it is left out
        return None


def _named(problem, fresh, reference, elsewhere) -> list[Hint]:
    """Hints that need no look at any code: by the cotangent, else leaf by leaf."""
    found = _cotangent(problem, fresh, reference)
    if found is not None and found.kind != VAGUE:
        return [found]
    hints = [] if found is None else [found]
    for leaf in sorted(problem.wrong):
        relative = surrogate(problem, [fresh, *elsewhere.samples], leaf)
        relative = relative or relation(problem, fresh, leaf, elsewhere.samples)
        relative = general(problem, elsewhere, leaf, relative)
        if relative is not None:
            kind, statement = relative
            hints.append(hint_of(problem, leaf, kind, statement))
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
        if fresh.wrong and not same:  # chance: of zeros it is that of any cotangent
            return None
    hint = hint_of(problem, min(problem.wrong), kind, statement, same)
    step = nonlinear_step(problem)
    place = problem.place_of(step) if step is not None else None
    return hint if place is None else replace(hint, where=str(place))


def blowup(evidence: Evidence) -> Hint | None:
    """Where a gradient that is not finite arises, if the backward can be traced."""
    with _trying():
        for problem in problems(evidence):
            got, expected = problem.got, problem.expected
            lost = frozenset(k for k in problem.wrong if is_lost(got[k], expected[k]))
            found = not_finite(problem, lost)
            if found is not None:
                place = problem.place_of(found[0])
                leaves, spot = problem.leaf_names(lost), place or "one value"
                label = problem.sample.label
                at = say("of inputs", label=label) if problem.sample.edge else ""
                facts = {"leaves": leaves, "at": at, "spot": spot, "why": found[1]}
                said = say("not finite", **facts)
                hint = hint_of(problem, min(lost), "nan", said)
                return replace(hint, where=str(place) if place else hint.where)
    return None

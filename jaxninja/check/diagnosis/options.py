"""A gradient that is wrong with some options or sizes only, or at some edges only."""

from dataclasses import replace

import numpy as np

from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem, alike, float_gradients
from jaxninja.check.diagnosis.wording import hint_of
from jaxninja.check.evidence import Evidence
from jaxninja.check.hints import Hint, listed, say


def only_with(problem: Problem, fresh: Problem, evidence: Evidence) -> Hint | None:
    """The options, or sizes, with which alone the rule was seen to be wrong."""
    if not evidence.options or not problem.wrong <= fresh.wrong:
        return None
    rest = ""
    if all(_unheeded(p, evidence) for p in (problem, fresh)):
        rest = say("unheeded", option=evidence.options[0])
    leaves, options = problem.leaf_names(problem.wrong), listed([*evidence.options])
    said = say("only with", leaves=leaves, options=options, unheeded=rest)
    return hint_of(problem, min(problem.wrong), "option", said)


def told_with(option: Hint | None, found: list[Hint]) -> list[Hint]:
    """What was found, if it was with these options only: said of them, and first that
    it is so. Of an option that bwd does not heed no more is to be said than what fixes
    it."""
    if option is None:
        return found
    if option.statement["unheeded"]:
        found = [hint for hint in found if hint.statement.code.startswith("fixed")]
        return [option, *found]
    options, (first, *rest) = option.statement["options"], found or [option]
    if first is not option and first.verified:
        said = say("there", first=option.statement, then=first.statement)
        head = [replace(first, statement=said)]
    else:
        head, rest = [option], found
    said = [say("with options", options=options, then=h.statement) for h in rest]
    pairs = zip(rest, said, strict=True)
    return head + [replace(hint, statement=statement) for hint, statement in pairs]


def only_at(problem: Problem, elsewhere: Elsewhere) -> Hint | None:
    """The edges at which alone the rule was seen to be wrong."""
    wrong = [p.sample for p in elsewhere.samples if p.wrong]
    if not wrong or not all(sample.edge for sample in wrong):
        return None
    kinds = listed(list(dict.fromkeys(sample.label for sample in wrong)))
    said = say("only at", leaves=problem.leaf_names(problem.wrong), kinds=kinds)
    return hint_of(problem, min(problem.wrong), "edge", said)


def _unheeded(problem: Problem, evidence: Evidence) -> bool:
    """Whether bwd gives the same with the options as given, all else as it is."""
    sample, as_given = problem.sample, evidence.as_given
    if as_given is None:
        return False
    try:
        grads = as_given.bwd(sample.residuals, sample.dy)
        other = [np.asarray(g) for g in float_gradients(sample.args, grads)]
    except Exception:  # options for which the residuals are other ones
        return False
    pairs = zip(other, problem.got, strict=True)
    return all(alike(a, b, problem.floor) for a, b in pairs)

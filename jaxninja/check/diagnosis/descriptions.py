"""With which options, at which inputs, in which entries the gradients are wrong; for
which other argument they are right."""

from dataclasses import replace
from typing import Any

import jax

from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.forward.other_arguments import other_leaf, other_option
from jaxninja.check.diagnosis.gradient import lengths
from jaxninja.check.diagnosis.jacobian import at_zero
from jaxninja.check.diagnosis.options import only_at
from jaxninja.check.diagnosis.places import where_wrong
from jaxninja.check.diagnosis.reference import Reference
from jaxninja.check.diagnosis.wording import hint_of
from jaxninja.check.hints import Hint, say


def whereabouts(problem: Problem, fresh: Problem, elsewhere: Elsewhere) -> list[Hint]:
    """The plainest of these descriptions, for when nothing says why."""
    if elsewhere.evidence.options and problem.wrong <= fresh.wrong:
        return []  # which options these are is said by all means
    zero = at_zero(elsewhere.evidence.samples)
    if zero is not None:
        leaf, argument = zero
        said = say("edge", leaf=leaf, argument=argument)
        return [hint_of(problem, problem.sample.names.index(leaf), "edge", said)]
    edge = only_at(problem, elsewhere)
    return _entries(problem, fresh, elsewhere) or ([edge] if edge else [])


def _entries(problem: Problem, fresh: Problem, elsewhere: Elsewhere) -> list[Hint]:
    """Of inputs as the user's: large ones, or few outputs, may hide what is wrong."""
    found = []
    for leaf in sorted(problem.wrong):
        try:
            place = where_wrong(problem, fresh, elsewhere.sizes, leaf)
        except Exception:  # a forward that runs on no tracer, or not in NumPy
            return []
        if place is not None:
            found.append(hint_of(problem, leaf, *place))
    return found


def given_otherwise(
    problem: Problem, fresh: Problem, reference: Reference | None, elsewhere: Elsewhere
) -> list[Hint]:
    """The argument without a gradient, or the option, that bwd takes for another."""
    if reference is None or elsewhere.evidence.declared is not None:
        return []
    sized = next(iter(elsewhere.sizes), None)
    found = other_leaf(problem, fresh, reference.with_leaves)
    if found is None and not elsewhere.evidence.options:  # else only those are wrong
        found = other_option(problem, (fresh, sized), _with_static, lengths)
    if found is None or not fresh.wrong:
        return []
    facts = {"argument": found.argument, "value": found.instead}
    said = say("given otherwise", leaves=problem.leaf_names(problem.wrong), **facts)
    return [hint_of(problem, min(problem.wrong), found.kind, said)]


def _with_static(problem: Problem, static: tuple) -> list:
    """The true gradients with other static options."""
    subject: Any = problem.subject  # one that has static options can change them
    other = replace(problem, subject=subject.with_static(static))
    reference = Reference(other)
    return reference.gradients(other, jax.tree.leaves(problem.sample.dy))

"""With which options, at which inputs, in which entries the gradients are wrong."""

import jax
import numpy as np

from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.jacobian import at_zero
from jaxninja.check.diagnosis.options import only_at, only_with
from jaxninja.check.diagnosis.places import where_wrong
from jaxninja.check.diagnosis.wording import hint_of
from jaxninja.check.hints import Hint, say


def whereabouts(problem: Problem, fresh: Problem, elsewhere: Elsewhere) -> list[Hint]:
    """The plainest of these descriptions, for when nothing says why."""
    option = only_with(problem, fresh, elsewhere.evidence)
    if option is not None:
        return [option]
    zero = at_zero(elsewhere.evidence.samples)
    if zero is not None:
        leaf, argument = zero
        said = say("edge", leaf=leaf, argument=argument)
        return [hint_of(problem, problem.sample.names.index(leaf), "edge", said)]
    edge = only_at(problem, elsewhere)
    return _entries(problem, fresh, elsewhere) or ([edge] if edge else [])


def _entries(problem: Problem, fresh: Problem, elsewhere: Elsewhere) -> list[Hint]:
    ordinary = [p for p in elsewhere.samples if not p.sample.edge and _is_dense(p)]
    found = []
    for leaf in sorted(problem.wrong):
        try:
            seen = [*elsewhere.sizes, *ordinary]
            place = where_wrong(problem, fresh, seen, leaf)
        except Exception:  # a forward that runs on no tracer, or not in NumPy
            return []
        if place is not None:
            found.append(hint_of(problem, leaf, *place))
    return found


def _is_dense(problem: Problem) -> bool:
    """Whether all outputs count: under a cotangent of zeros nothing can be wrong."""
    leaves = map(np.asarray, jax.tree.leaves(problem.sample.dy))
    return all(dy.all() for dy in leaves if dy.dtype.kind in "fc")

"""Why a hand-written backward is wrong: the bug by name, where it is, what mends it.

From cheap to dear: how the gradient depends on its cotangent; how each wrong leaf
relates to the true ones; which path of the reference's backward is cut; which single
edit of the user's own backward mends it. A hint is verified on a sample that it was not
found on, or says "looks like".
"""

import time

import jax
import numpy as np

from jaxninja.check.evidence import Evidence, Hint
from jaxninja.check.hints_problem import Problem, problems
from jaxninja.check.hints_repair import Mend, repair

SEED = 7919  # of the fresh sample; the checker's own samples have small seeds


def diagnose(evidence: Evidence, budget_seconds: float = 5.0) -> list[Hint]:
    """Explanations of what is wrong, best first.

    Args:
        evidence: failing samples, and how to draw a fresh one.
        budget_seconds: stop searching after this time.

    Returns:
        Hints; empty if nothing was found or no sample is wrong.
    """
    deadline = time.monotonic() + budget_seconds
    with jax.enable_x64(True), np.errstate(all="ignore"):
        for problem in problems(evidence):
            if not problem.wrong:
                continue
            fresh = problem.on(evidence.resample(SEED))
            return _hints(problem, fresh, deadline)
    return []


def _hints(problem: Problem, fresh: Problem, deadline: float) -> list[Hint]:
    found: list[Hint] = []
    if problem.program is not None:
        found += [_told(problem, m) for m in repair(problem, fresh, deadline)[:2]]
    return found


def _told(problem: Problem, mend: Mend) -> Hint:
    leaves = " and ".join(problem.sample.names[k] for k in sorted(mend.leaves))
    verb = "is" if len(mend.leaves) == 1 else "are"
    where = str(mend.where) if mend.where else None
    spot = f"{mend.subject} ({where})" if where else mend.subject
    sentence = f"d{leaves} {verb} exact after one edit of {spot}: {mend.edit.text}."
    edit = f"{where or 'bwd'}: {mend.subject}: {mend.edit.text}"
    return Hint(
        sentence,
        mend.edit.kind,
        True,
        where,
        edit,
        problem.sample.names[min(mend.leaves)],
    )

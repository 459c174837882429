"""The edits that fix a backward: of all wrong gradients at once, else of each."""

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.edits.search import Search
from jaxninja.check.diagnosis.edits.single import Fix


def repair(
    problem: Problem, fresh: Problem, budget: Budget, elsewhere: Elsewhere
) -> list[Fix]:
    """The fixes of all wrong leaves at once, else of each on its own, best first."""
    found: list[Fix] = []
    for harmless in (True, False):
        fixes = _repaired(problem, fresh, budget, elsewhere, harmless)
        found += fixes
        if problem.wrong <= frozenset().union(*(fix.leaves for fix in found)):
            break
    return found


def _repaired(problem, fresh, budget: Budget, elsewhere, harmless: bool) -> list[Fix]:
    leaves = sorted(problem.wrong)
    share = next(budget.shares(min(len(leaves), 2)))
    search = Search(problem, fresh, share, elsewhere, harmless=harmless)
    together = search.fixes(problem.wrong)
    if together or len(leaves) == 1:
        return together
    found: list[Fix] = []
    for leaf, share in zip(leaves, budget.shares(len(leaves)), strict=True):
        search.budget = share
        found += search.fixes(frozenset({leaf}))[:2]
    return found

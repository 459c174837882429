"""Every rule of the catalogue passes the library's own checker.

That it passes at level full, with all transformations, second derivatives and bfloat16,
is in its certificate, which holds for this very source (tests/mutation). Here the
checker as it is now sees all of them at level quick, the first of each topic at level
standard, and a few at level full.
"""

import pytest

from jaxninja import check_vjp
from jaxninja.rules import RULES

FULL = {"linear", "batchnorm", "softmax", "embedding", "fixed_point", "dropout"}


def topic(rule):
    return rule.fwd.__module__.rpartition(".")[0]


FIRST = {topic(rule): rule.name for rule in reversed(RULES)}.values()


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_checker_finds_nothing_wrong(rule):
    level = "standard" if rule.name in FIRST else "quick"
    level = "full" if rule.name in FULL else level
    report = check_vjp(rule, level=level, hints=False)
    assert report.ok, report.table()
    if level == "full":
        assert {"jit", "scan", "remat", "jacrev"} <= {*report.coverage.transformations}
        seen = {d for leaf in report.leaves for d in leaf.ratios}
        assert {"float32", "bfloat16"} <= seen

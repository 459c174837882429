"""Every rule of the catalogue passes the library's own checker.

At level quick: identity in float64 and structure. That it passes at level full, with
rounding, edges, all transformations and second derivatives, is in its certificate,
which holds for this very source (tests/mutation); of each kind one is checked so here.
"""

import pytest

from jaxninja import check_vjp
from jaxninja.rules import RULES

FULL = {"batchnorm", "embedding", "fixed_point", "dropout"}  # of each kind one


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_checker_finds_nothing_wrong(rule):
    level = "full" if rule.name in FULL else "quick"
    report = check_vjp(rule, level=level, hints=False)
    assert report.ok, report.table()
    if level == "full":
        assert {"jit", "scan", "remat", "jacrev"} <= {*report.coverage.transformations}
        seen = {d for leaf in report.leaves for d in leaf.ratios}
        assert {"float32", "bfloat16"} <= seen

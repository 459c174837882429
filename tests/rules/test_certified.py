"""Every rule of the catalogue is certified by the library's own checker.

Level full: identity in float64, rounding in float32 and bfloat16, edges, jit, vmap,
scan, remat, jacrev and second derivatives.
"""

import pytest

from jaxninja import check_vjp
from jaxninja.rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_checker_finds_nothing_wrong(rule):
    report = check_vjp(rule, level="full", hints=False)
    assert report.ok, report.table()
    assert {"jit", "scan", "remat", "jacrev"} <= {*report.coverage.transformations}
    assert {"float32", "bfloat16"} <= {d for leaf in report.leaves for d in leaf.ratios}

"""Every rule of the catalogue is certified by the library's own checker."""

import pytest

from jaxninja import check_vjp
from jaxninja.rules import RULES


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_the_checker_finds_nothing_wrong(rule):
    report = check_vjp(rule, level="standard")
    assert report.ok, report.table()

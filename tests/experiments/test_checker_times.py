"""The clock of the checker's benchmark: what it times is what it says."""

import pytest

from experiments.checker_benchmark import bank, large, times
from jaxninja.check import check_vjp
from jaxninja.rules import RULES


def test_a_cold_check_compiles_and_a_hint_is_searched_for():
    compilations: list[float] = []
    times.listen(compilations)
    config = times.Config(what=("cold", "quick", "hint"), repeats=1)
    row, count = times.timed(bank.BY_NAME["relu"], config, compilations)
    assert list(row) == ["cold", "quick", "hint"]
    assert count > 5
    assert row["cold"] > row["quick"] > 0
    assert row["hint"] > 0


def test_what_the_hint_is_timed_on_is_wrong():
    (rule,) = (rule for rule in RULES if rule.name == "linear_cross_entropy")
    wrong = times.negated(rule)  # its reference has other parameters than its op
    assert check_vjp(wrong, level="quick", hints=False).verdict == "fail"


def test_the_table_names_the_slowest():
    rows = {"a": {"cold": 1.0}, "b": {"cold": 4.5}, "c": {"cold": 2.0}}
    line = times.markdown(rows).splitlines()[-1]
    assert line == "| cold | 3 s | 2 s | 4.5 s (b) | 2 of 3 |"


def test_names_are_those_of_rules():
    assert "jaxninja tanh" in times.chosen(times.Config())
    assert "tanh" in times.chosen(times.Config(half="all"))
    assert set(times.chosen(times.Config(names=("mse",)))) == {"mse"}
    with pytest.raises(SystemExit, match=r"\['tang'\] unknown"):
        times.chosen(times.Config(names=("tang",)))


@pytest.mark.parametrize("name", ["swish", "layernorm"])
def test_large_arrays_are_right_and_their_memory_is_counted(name):
    row = large.measured(name, 300_000)
    given, verdict, seconds, size, _ = (cell.strip() for cell in row.split("|")[1:-1])
    assert (given, verdict, size) == (name, "ok", "1")
    assert float(seconds) < 600

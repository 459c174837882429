"""The strangers' material: right rules are right, wrong twins wrong, halves by hash."""

import hashlib

import numpy as np
import pytest

from experiments.checker_benchmark.strangers import (
    HALVES,
    half,
    results,
    run,
    tasks,
    truth,
)
from experiments.checker_benchmark.strangers.record import half_of

CASES = {name: half(name) for name in HALVES}
EVERY = [case for cases in CASES.values() for case in cases]
SAMPLE = EVERY[:: len(EVERY) // 40]  # of all files


def of_kind(kind):
    return [case for cases in CASES.values() for case in cases if case.kind == kind]


def test_the_hash_of_the_name_says_which_half():
    for name, cases in CASES.items():
        for case in cases:
            odd = hashlib.sha256(case.name.encode()).digest()[0] % 2
            expected = "unseen" if odd else "working"
            assert name.rpartition("-")[2] == expected == half_of(case.name)


def test_an_unknown_half_is_refused():
    with pytest.raises(ValueError, match="'both', expected working or unseen"):
        half("both")


def test_every_case_has_a_name_of_its_own_and_twins():
    names = [case.name for cases in CASES.values() for case in cases]
    assert len(set(names)) == len(names)
    for case in of_kind("rule"):
        assert 1 <= len(case.twins) <= 3
    for case in of_kind("bug"):
        assert len(case.twins) == 1
        assert case.url.startswith("https://github.com/")
        assert case.name.endswith(case.source.split("/")[1])


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_a_right_rule_is_right_and_its_twins_are_wrong(case):
    error = truth.right(case)
    assert max(error.gradient, error.value) <= case.close
    assert error.slope <= truth.SLOPE + 30 * case.close
    assert error.dtype == 0
    for twin in case.twins:
        assert truth.wrong(case, twin) > truth.FAR, twin.slip


def test_a_truth_tells_a_right_rule_from_a_wrong_one():
    (case,) = [c for c in CASES["working"] if c.name == "tanh_bijector"]
    rule, plain = case.build("log-determinant's sign")
    error = truth.measured(case, rule, plain, case.args, seed=3)
    assert error.gradient > truth.FAR
    assert error.slope > truth.FAR
    assert error.value < 1e-12


def test_inputs_are_scaled_but_for_those_that_are_fixed():
    (case,) = [c for c in CASES["working"] if c.name == "ridge_solution"]
    args = case.args(np.random.default_rng(0))
    x, y, penalty = tasks.scaled(case, args, 10.0)
    np.testing.assert_allclose(x, 10 * args[0], rtol=1e-6)
    np.testing.assert_allclose(y, 10 * args[1], rtol=1e-6)
    assert penalty == args[2]


def test_a_case_becomes_records_of_its_rule_and_its_twins():
    unit = tasks.Unit("working", "straight_through_round", "twins")
    *records, done = tasks.work(unit)
    assert [r["kind"] for r in records] == ["right", "twin", "twin"]
    assert done["kind"] == "done"
    assert done["count"] == 3
    assert {r["verdict"] for r in records} <= {"passed", "detected", "not tested"}


def test_twins_come_before_the_clean_checks():
    found = run.units(run.Config(seeds=5, names=("tanh_bijector", "gru_scan")))
    assert [(u.kind, u.seeds) for u in found] == [
        *[("twins", (0, 1))] * 2,
        *[("clean", (0, 4))] * 2,
        *[("clean", (4, 5))] * 2,
    ]
    assert len({u.key for u in found}) == len(found)


def test_a_twin_counts_as_caught_only_if_its_right_rule_passes():
    hint = {"kind": "sign", "verified": True, "sentence": "has the wrong sign"}
    about = {"name": "a", "case": "rule", "level": "standard", "seconds": 0.1}
    twin = {**about, "kind": "twin", "slip": "s", "truths": ["sign"], "place": ["x"]}
    twin = {**twin, "verdict": "detected", "names": [hint]}
    right = {**about, "kind": "right", "verdict": "passed", "names": []}
    assert "| rules | 100.0 % of 1 | 100.0 % of 1 | 100.0 % of 1 |" in results.page(
        [right, twin]
    )
    alarm = {**right, "verdict": "detected", "names": [hint]}
    assert "| rules | 0.0 % of 1 | 100.0 % of 1 |" in results.page([alarm, twin])
    assert "right rule: a" in results.page([alarm, twin])
    totals = results.page([alarm, twin], totals=True)
    assert "| rules | 0.0 % of 1 | 100.0 % of 1 |" in totals
    assert "right rule: a" not in totals
    wrong = {**twin, "names": [{**hint, "kind": "swap", "verified": False}]}
    assert results.named(wrong) == "wrong"
    assert results.named({**twin, "verdict": "passed"}) == "none"
    assert results.named({**twin, "passed": False}) == "none"
    assert not results.placed({**twin, "leaves": ["x", "y"]})
    assert results.placed({**twin, "leaves": ["x['w']"]})

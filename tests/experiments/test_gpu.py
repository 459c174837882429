"""The command for a GPU: each part runs, and none stops another."""

import importlib
import json
import math
from dataclasses import replace

import jax
import pytest

from experiments.gpu import __main__ as command
from experiments.gpu import correct, tables
from experiments.gpu.parts import PARTS
from experiments.gpu.processes import Part
from jaxninja.rules import RULES

NEED_A_GPU = {"attention": ["jax.nn, cuDNN"]}
KERNEL = {"kernel", "sweeps", "runs repeat"}
ENDS = ("failing", "hanging", "good")


@pytest.fixture
def parts(monkeypatch):
    """Three parts that end in different ways, in place of those that measure."""
    own = "tests.experiments.gpu_parts"
    made = {
        name: Part(f"{own}:{function}", 120)
        for name, function in zip(ENDS, ("fails", "hangs", "good"), strict=True)
    }
    monkeypatch.setattr(command, "PARTS", made)
    return made


def test_a_part_that_fails_or_hangs_keeps_its_rows_and_stops_no_other(
    parts, tmp_path, capsys
):
    out = tmp_path / "results.json"
    given = ["--tiny", "--out", str(out), "--parts"]
    assert command.main([*given, "failing"]) == 1
    # as long as a part may need here to write its first row, and no longer
    limit = 2 + math.ceil(3 * json.loads(out.read_text())["failing"]["seconds"])
    parts["hanging"] = parts["hanging"]._replace(limit=limit)
    assert command.main([*given, "hanging", "good"]) == 1
    results = json.loads(out.read_text())
    assert tuple(results) == ENDS
    assert results["failing"]["failed"] == "RuntimeError: no such device"
    assert results["failing"]["rows"] == [{"what": "before", "value": 2.5}]
    assert results["hanging"]["failed"] == f"stopped after {limit} s"
    assert results["hanging"]["rows"] == [{"what": "before"}]
    assert results["good"]["failed"] is None
    assert [row["what"] for row in results["good"]["rows"]] == ["first", "second"]
    assert out.with_suffix(".md").read_text() == tables.report(results)
    assert "| first | 1 |  |" in capsys.readouterr().out


def test_without_a_gpu_it_measures_nothing(tmp_path, capsys):
    assert command.main(["--out", str(tmp_path / "out.json")]) == 2
    assert "JAX sees only cpu" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_all_parts_together_end_within_ten_minutes():
    assert sum(part.limit for part in PARTS.values()) < 600


@pytest.mark.parametrize("name", PARTS)
def test_each_part_runs_on_a_cpu_with_small_sizes(name, request):
    """What needs a GPU says so, and all else gives numbers."""
    if name in KERNEL:
        request.getfixturevalue("twin")
    module, _, function = PARTS[name].function.partition(":")
    rows = list(getattr(importlib.import_module(module), function)(True))
    assert rows
    failed = [row for row in rows if "failed" in row]
    reasons = ("needs a GPU", "not installed")
    assert all(any(why in row["failed"] for why in reasons) for row in failed)
    lacking = [row for row in failed if "needs a GPU" in row["failed"]]
    mine = [row["by"] for row in lacking if "by" in row]
    assert mine == NEED_A_GPU.get(name, [])
    for row in rows:
        numbers = [v for v in row.values() if isinstance(v, float)]
        assert all(math.isfinite(number) for number in numbers), row
        assert "NO" not in row.values(), row


def test_a_wrong_rule_is_seen():
    """The part on rules, with one whose gradient is 1 % off."""
    rule = next(rule for rule in RULES if rule.name == "tanh")

    @jax.custom_vjp
    def wrong(x):
        return rule.reference(x)

    wrong.defvjp(rule.fwd, lambda res, dy: (1.01 * rule.bwd(res, dy)[0],))
    rows = correct._rule(replace(rule, op=wrong))
    assert [row["right"] for row in rows] == ["NO", "yes"]  # 8 bits tell no 1 %

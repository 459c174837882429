"""The benchmark suite measures what it says, and its committed tables are its own."""

import json
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import (
    clock,
    compare,
    contenders,
    limits,
    rules,
    scaling,
    tables,
)
from experiments.benchmarks.run import PARTS, RESULTS, START
from jaxninja.models import ninja
from jaxninja.models.by_hand import ninja_fast
from jaxninja.models.ninja import Ninja
from jaxninja.rule import Case
from jaxninja.rules import RULES

JSONS = sorted(p for p in RESULTS.glob("*.json") if p != rules.RESULTS)


@pytest.mark.parametrize("path", JSONS, ids=lambda path: path.stem)
def test_the_committed_tables_are_written_from_the_measurements(path):
    results = json.loads(path.read_text())
    assert set(results) <= set(PARTS)
    assert path.with_suffix(".md").read_text() == tables.report(results)
    for part in results.values():
        assert {"device", "platform", "versions", "date"} <= part["about"].keys()


def test_the_script_of_a_start_imports_what_is_there():
    lines = [line for line in START.splitlines() if "import" in line]
    exec("\n".join(lines), {})


def measured():
    return json.loads(rules.RESULTS.read_text())


def test_the_page_of_rules_is_written_from_the_measurements():
    results = measured()
    assert rules.PAGE.read_text() == rules.page(results)
    assert set(results["rules"]) <= {rule.name for rule in RULES}


def test_a_rule_that_keeps_more_or_errs_more_than_it_should_says_why():
    rows = measured()["rules"]
    behind = {
        name
        for name, row in rows.items()
        if rules.ratio(row, "residual bytes") > 1 or rules.ratio(row, "error") > 2
    }
    assert behind <= {rule.name for rule in RULES if rule.why}


def test_the_error_is_that_of_the_worst_gradient(monkeypatch):
    """Of a rule that is off by a hundredth in one of two gradients, and of autodiff."""

    def product(a, b):
        return a * b

    rule = SimpleNamespace(
        op=jax.custom_vjp(product),
        reference=product,
        bench=Case({}),
        example=lambda key: tuple(jax.random.normal(key, (2, 50))),
        arranged=lambda arrays, static: arrays,
    )
    rule.op.defvjp(
        lambda a, b: (a * b, (a, b)),
        lambda kept, dy: (1.01 * dy * kept[1], dy * kept[0]),
    )
    found = rules.errors(rule)
    assert found["rule"] == pytest.approx(0.01 * 2**24, rel=1e-3)
    assert found["autodiff"] < 1


def test_one_program_is_told_by_its_instructions():
    def text(f):
        return jax.jit(f).lower(jnp.ones(3)).compile().as_text()

    assert rules.instructions(text(lambda a: jnp.sin(a) + 1)) == rules.instructions(
        text(lambda other: 1 + jnp.sin(other))
    )
    assert rules.instructions(text(jnp.sin)) != rules.instructions(text(jnp.cos))


def test_there_are_results_of_a_cpu():
    assert "cpu" in [path.stem for path in JSONS]
    assert "GPU are missing" in (RESULTS / "cpu.md").read_text()


def test_a_run_compared_with_itself_has_ratio_one_throughout():
    results = json.loads(JSONS[0].read_text())
    lines = compare.compare(results, results)[1:]
    assert len(lines) > 20
    assert all(line.startswith("   1.00") for line in lines)


def test_a_slower_run_shows():
    old = {"start": {"measured": {"a": [1.0, 2.0, 3.0], "b": [1.0]}}}
    new = {"start": {"measured": {"a": [4.0, 4.0, 4.0], "b": [0.5]}}}
    lines = compare.compare(old, new)[1:]
    assert [line.split()[0] for line in lines] == ["0.50", "2.00"]


def test_contenders_take_turns_and_ratios_stay_within_a_round():
    order = []
    work = {"a": lambda count: order.append("a"), "b": lambda count: order.append("b")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "_count", lambda work, turn: 3)
        seconds = clock.take_turns(work, 4)
    assert "".join(order) == "abababab"
    assert [len(s) for s in seconds.values()] == [4, 4]
    assert clock.ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    assert clock.spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"


def test_autodiff_laid_out_has_the_networks_loss_and_gradients(x64):
    """Or it would be no fair contender."""
    model = Ninja(vocabulary=11, hidden=8)
    draw = jax.jit(lambda key: ninja_fast.lay_out(ninja.init(key, model)))
    params = jax.tree.map(lambda p: np.asarray(p, np.float64), draw(jax.random.key(0)))
    ids = jax.random.randint(jax.random.key(1), (6, 3), 0, 11)
    loss = partial(contenders.forward_laid_out, model=model)
    theirs = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, ids, ids[:, 0])
    by_hand = jax.jit(partial(ninja_fast.value_and_grad, model=model))
    mine = by_hand(params, ids, ids[:, 0])
    for a, b in zip(jax.tree.leaves(mine), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_the_flops_of_a_step():
    products = [limits.flops(name) for name in limits.PRODUCTS if "1024" not in name]
    assert len(products) == 6
    assert sum(products) == limits.STEP_FLOPS == scaling.step_flops(32, Ninja())


def test_a_slope_is_the_exponent():
    sizes = [1, 2, 4, 8]
    seconds = [[0.5 * n**1.5] * 3 for n in sizes]
    row = {"sizes": sizes, "flops": [7 * n for n in sizes], "seconds": seconds}
    assert scaling.slope(row) == pytest.approx((1.5, 1.0))
    other = row | {"seconds": [[9.0]] * 4}
    assert scaling.above_launch({"a": row, "b": other}) == {"a": 2, "b": 4}

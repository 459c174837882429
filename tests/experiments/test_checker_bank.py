"""The benchmark's material: rules that are right, mutants and bugs that are not."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.checker_benchmark import (
    bank,
    field_bugs,
    mutants,
    ours,
    peers,
    plot,
    run,
    samples,
    tables,
    tasks,
)
from experiments.checker_benchmark.field_bugs import truth
from jaxninja.check.inputs import examples
from jaxninja.check.subject.compilation import compiled
from jaxninja.mutation import rewrite
from jaxninja.rule import Rule


def floating(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def as_float64(tree):
    wide = lambda a: jax.device_put(np.asarray(a, np.float64))  # noqa: E731
    return jax.tree.map(lambda a: wide(a) if floating(a) else a, tree)


def leaves_of_floats(tree):
    return [a for a in jax.tree.leaves(tree) if floating(a)]


def random_like(tree, seed=1):
    rng = np.random.default_rng(seed)
    draw = lambda a: jax.device_put(rng.normal(size=a.shape).astype(a.dtype))  # noqa: E731
    return jax.tree.map(draw, tree)


def distance(got, expected):
    """Largest difference relative to the largest entry; NaN is infinitely far."""
    scale = float(np.abs(expected).max()) or 1.0
    error = float(np.abs(got - expected).max()) / scale
    return error if np.isfinite(error) else np.inf


def both_gradients(rule, case, dy, args):
    """Forward of the reference and of fwd, gradients of autodiff and of bwd."""
    y, pullback = jax.vjp(lambda *a: rule.reference(*a, *case.static), *args)
    value, residuals = rule.fwd(*args, *case.static)
    expected = [g for g in jax.tree.leaves(pullback(dy)) if floating(g)]
    got = jax.tree.leaves(rule.bwd(*case.static, residuals, dy))
    return jax.tree.leaves(y), jax.tree.leaves(value), expected, got


def drawn(rule, case):
    """A cotangent of that case, and its arguments."""
    args = as_float64(examples.drawn(rule.example, 3, case.dims))
    plain = jax.eval_shape(lambda *a: rule.reference(*a, *case.static), *args)
    return random_like(plain), args


@pytest.mark.parametrize("rule", bank.RULES, ids=lambda r: r.name)
def test_the_rule_equals_autodiff(rule, x64):
    """In all its cases, by one program."""
    given = [drawn(rule, case) for case in rule.cases]
    pairs = partial(zip, rule.cases, strict=True)
    found = compiled(
        lambda given: [both_gradients(rule, c, *g) for c, g in pairs(given)]
    )
    for case, (y, value, expected, got) in pairs(jax.device_get(found(given))):
        for v, w in zip(value, y, strict=True):
            assert distance(v, w) < 1e-12, case
        assert len(got) == len(expected) > 0
        for g, e in zip(got, expected, strict=True):
            assert g.shape == e.shape, case
            assert g.dtype == e.dtype == jnp.float64, case
            assert distance(g, e) < 1e-10, case


@pytest.mark.parametrize("rule", bank.RULES, ids=lambda r: r.name)
def test_the_record_is_whole(rule):
    assert isinstance(rule, Rule)
    assert rule.fwd.__name__ == f"{rule.name}_fwd"
    assert rule.bwd.__name__ == f"{rule.name}_bwd"
    assert "custom_vjp" not in str(jax.make_jaxpr(plain_of(rule))(*example_of(rule)))
    for leaf in leaves_of_floats(example_of(rule)):
        assert leaf.dtype == jnp.float32
        assert np.abs(leaf).max() > 0


def plain_of(rule):
    return lambda *args: rule.reference(*args, *rule.cases[0].static)


def example_of(rule):
    return examples.drawn(rule.example, 0, rule.cases[0].dims)


def test_the_halves_share_nothing_and_miss_nothing():
    names = [rule.name for rule in bank.RULES]
    assert len(set(names)) == len(names) >= 40
    assert sorted(bank.TUNING + bank.REPORTING) == sorted(names)
    for rules in bank.FAMILIES.values():
        for part in (bank.TUNING, bank.REPORTING):
            assert any(rule.name in part for rule in rules)


def test_an_unknown_half_is_refused():
    with pytest.raises(ValueError, match="'both', expected one of tuning"):
        bank.half("both")


@pytest.mark.parametrize("bug", field_bugs.BUGS, ids=lambda b: b.name)
def test_a_field_bug_is_wrong_and_its_plain_forward_right(bug):
    error = truth.offences(bug)
    assert error["plain"] < truth.CLOSE
    assert error["rule"] > truth.FAR


def test_the_field_bugs_are_told_apart_and_fall_in_two_halves():
    assert len(field_bugs.BY_NAME) == len(field_bugs.BUGS) >= 60
    assert not set(field_bugs.TUNING) & set(field_bugs.REPORTING)
    assert len(field_bugs.half("all")) == len(field_bugs.BUGS)
    for bug in field_bugs.BUGS:
        assert bug.url.startswith("https://github.com/")
        assert bug.said.endswith(".")
        assert "custom_vjp" not in str(
            jax.make_jaxpr(plain_of(bug.rule))(*example_of(bug.rule))
        )


@pytest.fixture(scope="module")
def chosen():
    """Mutants of a few quick rules of both halves, operators by turns."""
    names = ("leaky_relu", "rmsnorm", "mse", "embedding", "gather")
    return mutants.subset([bank.BY_NAME[n] for n in names], 100)


def test_there_is_variety_in_the_mutants(chosen):
    assert len({m.name for m in chosen}) == 100
    assert sum(m.double for m in chosen) >= 2
    assert len({m.operator for m in chosen if not m.double}) >= 40


def test_mutants_differ_from_their_rule(chosen, x64):
    """By another route than the filter's: through the rebuilt op, against autodiff."""
    first_order = [m for m in chosen if m.order == 1]
    for mutant in first_order[::4]:
        rule, drawn = mutant.broken(), samples.samples(mutant.rule)
        assert any(differs_through_op(rule, s) for s in drawn), mutant.name


def differs_through_op(rule, sample):
    def f(*args):
        return rule.op(*args, *sample.static)

    value, pullback = jax.vjp(f, *sample.args)
    grads = leaves_of_floats(pullback(sample.dy))
    expected = leaves_of_floats(sample.grads)
    return samples.different(value, sample.value) or samples.different(grads, expected)


def test_the_choice_of_mutants_repeats(chosen):
    rule = chosen[0].rule
    first, again = (mutants.subset([rule], 15) for _ in range(2))
    assert [m.name for m in first] == [m.name for m in again]
    assert [m.name for m in first] != [
        m.name for m in mutants.subset([rule], 15, seed=1)
    ]


def test_a_mutant_points_at_the_line_that_is_wrong():
    rule = bank.BY_NAME["silu"]
    (found,) = [
        m for m in mutants.candidates(rule) if m.name == "silu: negate at sub 0 0"
    ]
    (line,) = found.lines
    source = inspect.getsource(inspect.getmodule(rule.fwd)).splitlines()
    assert "(1 - s)" in source[line - 1]


def test_an_unchanged_run_is_the_backward_itself(x64):
    for name in ("rmsnorm", "dropout", "sincos"):
        rule = bank.BY_NAME[name]
        sample = next(samples.samples(rule))
        again = rewrite.run_backward(
            rule.bwd, sample.static, sample.residuals, sample.dy
        )
        assert not samples.different(again, sample.grads, 1e-15)
        assert jax.tree.structure(again) == jax.tree.structure(sample.grads)


def test_the_filter_knows_an_equivalent_from_a_mutant():
    rule = bank.BY_NAME["sigmoid"]
    found = {m.name: m for m in mutants.candidates(rule)}
    assert mutants.classify(found["sigmoid: negate at mul 0 0"]) == "mutant"
    assert mutants.classify(output_edit(rule, list)) == "equivalent"
    assert mutants.classify(output_edit(rule, lambda a: None)) == "does not apply"
    assert mutants.classify(output_edit(rule, lambda a: [a[0][0]])) == "does not run"


def output_edit(rule, change):
    edit = rewrite.Edit("test", "output", (0,), change)
    return mutants.Mutant(rule, (edit,), frozenset())


def test_the_checker_tells_a_rule_from_its_mutants():
    """One rule of the tuning half: passed as it is, detected with each slip."""
    rule = bank.BY_NAME["hardtanh"]
    assert ours.run(rule, 0, "standard")["verdict"] == "passed"
    found = [m for m in mutants.subset([rule], 6) if m.order == 1]
    assert len(found) >= 4
    verdicts = {m.name: ours.run(m.broken(), 0, "standard") for m in found}
    assert {v["verdict"] for v in verdicts.values()} == {"detected"}


def test_the_peers_tell_a_rule_from_a_wrong_one():
    rule = bank.BY_NAME["hardtanh"]
    wrong = {m.name: m for m in mutants.candidates(rule)}
    negated = wrong["hardtanh: gradient negated at output 0"].broken()
    for peer in (peers.check_grads_64, peers.sum_allclose_32):
        assert peer(rule) == peers.PASSED
        assert peer(negated) == peers.DETECTED
    # a cotangent of ones is its own square: the habitual test cannot see this one
    squared = wrong["hardtanh: g squared at cotangent 0"].broken()
    assert peers.sum_allclose_32(squared) == peers.PASSED


def test_tables_count_what_was_recorded():
    about = {"kind": "mutant", "checker": "check_vjp", "order": 1, "seconds": 0.1}
    about = {**about, "truths": ["sign"], "lines": [7], "double": False}
    hint = {"kind": "sign", "verified": True, "where": "a.py:7", "edit": None}
    records = [
        {**about, "name": "right", "verdict": "detected", "names": [hint]},
        {**about, "name": "missed", "verdict": "passed", "names": []},
    ]
    assert "50.0 % of 2" in tables.detection(records)
    assert tables.misses(records) == ["mutant: missed: passed"]
    assert "| single edits | 100.0 % of 1 | 0.0 % of 1 |" in tables.naming(records)
    wrong = {**hint, "kind": "swap", "verified": False, "where": "a.py:9"}
    record = {**records[0], "names": [wrong, hint]}
    assert tables.named(record) == "wrong"
    assert not tables.right_line(record)


def test_the_figure_shows_what_the_table_says(tmp_path):
    assert plot._percent("97.3 % of 991") == 97.3
    assert plot._percent("–") == 0.0
    about = {"checker": "check_vjp", "order": 1, "truths": [], "double": False}
    record = {**about, "kind": "mutant", "verdict": "detected", "seconds": 0.1}
    plot.plot([record], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_peer_is_refused():
    with pytest.raises(SystemExit, match=r"'nobody'.*: all, none"):
        run.chosen_checkers(run.Config(peers=("nobody",)))


def test_operators_can_be_chosen():
    unit = tasks.Unit("mutant", "hardtanh", (), "full", 1, 3, operators=("negate",))
    assert unit.key.endswith("|1|3|negate")
    rule = bank.BY_NAME["hardtanh"]
    both = [
        m for m in mutants.candidates(rule) if m.operator in ("negate", "g squared")
    ]
    assert {m.operator for m in both} == {"negate", "g squared"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "chosen", lambda *_: (both, {}))
        patch.setattr(tasks, "checks", lambda *_: [{}])
        kept = [r["operator"] for r in tasks.work(unit) if r["kind"] == "mutant"]
    assert set(kept) == {"negate"}

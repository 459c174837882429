"""The benchmark's bank: its rules are right, its halves are apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.checker_benchmark import bank
from jaxninja.rule import Rule

CASES = [
    pytest.param(rule, case, id=f"{rule.name}-{case}")
    for rule in bank.RULES
    for case in rule.cases
]


def floating(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def as_float64(tree):
    return jax.tree.map(lambda a: a.astype(jnp.float64) if floating(a) else a, tree)


def leaves_of_floats(tree):
    return [a for a in jax.tree.leaves(tree) if floating(a)]


def random_like(tree, seed=1):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), tree)


def distance(got, expected):
    """Largest difference relative to the largest entry; NaN is infinitely far."""
    scale = float(abs(expected).max()) or 1.0
    error = float(abs(got - expected).max()) / scale
    return error if np.isfinite(error) else np.inf


def both_gradients(rule, case):
    """Jitted: forward of the reference and of fwd, gradients of autodiff and of bwd."""

    def run(dy, *args):
        y, pullback = jax.vjp(lambda *a: rule.reference(*a, *case.static), *args)
        value, residuals = rule.fwd(*args, *case.static)
        expected = [g for g in jax.tree.leaves(pullback(dy)) if floating(g)]
        return (
            y,
            value,
            expected,
            jax.tree.leaves(rule.bwd(*case.static, residuals, dy)),
        )

    # Compiling is most of the time here, and the arrays are tiny.
    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_rule_equals_autodiff(rule, case, x64):
    args = as_float64(rule.example(jax.random.key(3), **case.dims))
    plain = jax.eval_shape(lambda *a: rule.reference(*a, *case.static), *args)
    y, value, expected, got = both_gradients(rule, case)(random_like(plain), *args)
    for v, w in zip(jax.tree.leaves(value), jax.tree.leaves(y), strict=True):
        assert distance(v, w) < 1e-12
    assert len(got) == len(expected) > 0
    for g, e in zip(got, expected, strict=True):
        assert g.shape == e.shape
        assert g.dtype == e.dtype == jnp.float64
        assert distance(g, e) < 1e-10


@pytest.mark.parametrize("rule", bank.RULES, ids=lambda r: r.name)
def test_the_record_is_whole(rule):
    assert isinstance(rule, Rule)
    assert rule.fwd.__name__ == f"{rule.name}_fwd"
    assert rule.bwd.__name__ == f"{rule.name}_bwd"
    assert "custom_vjp" not in str(jax.make_jaxpr(plain_of(rule))(*example_of(rule)))
    for leaf in leaves_of_floats(example_of(rule)):
        assert leaf.dtype == jnp.float32
        assert float(abs(leaf).max()) > 0


def plain_of(rule):
    return lambda *args: rule.reference(*args, *rule.cases[0].static)


def example_of(rule):
    return rule.example(jax.random.key(0), **rule.cases[0].dims)


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

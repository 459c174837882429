"""Millions of entries: proved at smaller sizes, and compared once as they are."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja import check_vjp
from jaxninja.check.inputs.kinds import GLIMPSE, kind_of, like
from jaxninja.check.inputs.shapes import MILLIONS
from jaxninja.check.properties import large_arrays
from tests.check.subjects import ruled

X = np.random.default_rng(5).normal(size=MILLIONS).astype(np.float32)


def rule(factor):
    def plain(x):
        return jnp.sin(x) * x

    def bwd(x, g):
        return (g * factor(x) * (jnp.cos(x) * x + jnp.sin(x)),)

    return ruled(plain, lambda x: (plain(x), x), bwd, ())


def test_a_right_rule_passes_and_says_what_was_done():
    report = check_vjp(rule(lambda x: 1.0), X)
    assert report.ok, report.table()
    assert "as given" in report.coverage.tried
    assert report.residuals is not None
    assert report.residuals.bytes == X.nbytes
    said = [text for text in report.not_tested if f"{MILLIONS:,} entries" in text]
    assert len(said) == 1
    assert "held against autodiff once" in said[0]


def test_what_is_wrong_for_large_arrays_only():
    report = check_vjp(rule(lambda x: 1 + 0.01 * (x.size > 1000)), X, hints=False)
    assert report.verdict == "fail"
    assert "[the sizes given]" in report.table()
    one_entry = rule(lambda x: jnp.ones_like(x).at[999_999:1_000_000].set(2))
    assert check_vjp(one_entry, X, hints=False).verdict == "fail"


def test_what_is_wrong_anyhow_is_not_run_as_large_as_given():
    report = check_vjp(rule(lambda x: 1.01), X, hints=False)
    assert report.verdict == "fail"
    assert any("smaller ones fail" in text for text in report.not_tested)


def test_sizes_that_the_rule_fixes_are_proved_as_given():
    def plain(x):
        return x.sum() * x

    def bwd(x, g):
        if x.size != MILLIONS:
            raise ValueError(f"{MILLIONS} entries, please")
        return (g * x.sum() + (g * x).sum(),)

    op = ruled(plain, lambda x: (plain(x), x), bwd, ())
    report = check_vjp(op, X, edges=False, hints=False)
    assert report.ok, report.table()
    (leaf,) = report.leaves
    assert leaf.shape == X.shape


def sorted_rule(slip):
    """It needs memory that XLA cannot do without."""

    def plain(x):
        return jnp.sort(x, axis=0)

    def bwd(order, g):
        back = jnp.argsort(order, axis=0)
        return (jnp.take_along_axis(g, back, 0) * (1 + slip * (len(g) > 300)),)

    return ruled(plain, lambda x: (plain(x), jnp.argsort(x, axis=0)), bwd, ())


def test_what_takes_much_memory_is_cut(monkeypatch):
    args = X.reshape(-1, 64)
    rows = len(args)
    said = check_vjp(sorted_rule(0), args, hints=False).not_tested
    assert any("as given, the rule is held" in text for text in said)
    monkeypatch.setattr(large_arrays, "ROOM", 0)
    report = check_vjp(sorted_rule(0), args, hints=False)
    assert report.ok, report.table()
    (text,) = (t for t in report.not_tested if "times the memory" in t)
    assert f"once at {rows}->" in text
    assert check_vjp(sorted_rule(0.01), args, hints=False).verdict == "fail"


def test_the_kind_of_a_large_array_is_told_by_a_part_of_it():
    n = 2 * int(GLIMPSE**0.5)
    values = X[: n * n].reshape(n, n)
    assert kind_of(values) == "real"
    assert kind_of(values + values.T) == "definite"
    assert kind_of(np.tril(values)) == "triangular"
    assert kind_of(np.abs(values)) == "positive"
    shares = np.asarray(jax.nn.softmax(X.reshape(-1, 16)))
    assert kind_of(shares) == "probability"
    drawn = like(3 + 2 * values, np.random.default_rng(0), (50, 60))
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [3, 2], atol=0.2)

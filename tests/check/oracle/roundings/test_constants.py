"""A rule that float64 alone finds fault with is not wrong: its users run float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import codes, ruled

X = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
RATE = 1 / 3


def plain(x):
    return jnp.sin(RATE * x)


@pytest.mark.parametrize("kind", [np.float32, jnp.float32])
@pytest.mark.parametrize("factor", [1.0, 1.0001])
def test_a_constant_in_float32(kind, factor):
    def bwd(x, dy):
        rate = kind(RATE)
        return (dy * rate * jnp.cos(rate * x) * factor,)

    report = check_vjp(ruled(plain, lambda x: (plain(x), x), bwd, ()), X, hints=False)
    assert report.ok == (factor == 1), report.table()


def test_round_numbers_are_exact():
    """Not looser: 4e-9 too much is wrong where all constants are exact."""

    def bwd(x, dy):
        half = np.float32(0.5)
        return (dy * (half + half) * (1 + 4e-9) * RATE * jnp.cos(RATE * x),)

    report = check_vjp(ruled(plain, lambda x: (plain(x), x), bwd, ()), X, hints=False)
    assert report.verdict == "fail"


def looped(x):
    def step(_, total):
        return (total + jnp.sin(x)).astype(jnp.float32)

    return jax.lax.fori_loop(0, 3, step, jnp.zeros(x.shape))


def test_a_loop_that_does_not_run_in_float64():
    def bwd(x, dy):
        return (3 * dy * jnp.cos(x),)

    rule = ruled(looped, lambda x: (looped(x), x), bwd, ())
    report = check_vjp(rule, X, hints=False)
    assert report.verdict == "not tested", report.table()
    assert "N-CAST" in codes(report)
    reference = check_vjp(rule, X, hints=False, reference=lambda x: 3 * jnp.sin(x))
    assert reference.verdict != "fail", reference.table()


def test_products_that_are_summed_in_float32():
    def product(a, b):
        return jnp.matmul(a, b, preferred_element_type=jnp.float32).astype(a.dtype)

    def bwd(kept, dy):
        x, w = kept
        return product(dy, w.T), product(x.T, dy)

    rule = ruled(jnp.matmul, lambda x, w: (product(x, w), (x, w)), bwd, ())
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    report = check_vjp(rule, x, x.T, level="quick", hints=False)
    assert report.ok, report.table()


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_forward_that_computes_in_float32_is_held_to_that(factor):
    def product(a, b):
        return jnp.matmul(a, b, preferred_element_type=jnp.float32).astype(a.dtype)

    def bwd(kept, dy):
        x, w = kept
        return product(dy, w.T), (factor * product(x.T, dy)).astype(w.dtype)

    rule = ruled(product, lambda x, w: (product(x, w), (x, w)), bwd, ())
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    report = check_vjp(rule, x, x.T, level="quick", hints=False)
    assert report.verdict == ("ok" if factor == 1 else "fail"), report.table()
    assert any("float64 precision" in text for text in report.not_tested)


@pytest.mark.parametrize("most", [1e8, 16777215.0, 100.0])
def test_whole_numbers_are_exact(most):
    def bounded(x):
        return jnp.minimum(jnp.sin(x), most)

    def bwd(x, dy):
        kept = jnp.stack([jnp.full(x.shape, -most), x]).max(0)
        return (dy * jnp.cos(kept),)

    rule = ruled(bounded, lambda x: (bounded(x), x), bwd, ())
    report = check_vjp(rule, X, level="quick", hints=False)
    assert report.ok, report.table()
    assert not any("float64 precision" in text for text in report.not_tested)

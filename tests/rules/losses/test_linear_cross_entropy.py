"""linear_cross_entropy beyond what holds for every rule: options, chunks, memory."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.inputs.examples import drawn
from jaxninja.rules.losses.linear_cross_entropy import (
    dense,
    example,
    linear_cross_entropy,
    rule,
)


def drawn_at(seed, *sizes):
    return drawn(lambda key: example(key, *sizes), seed, {})


PLAIN = (-100, "mean", 0.0, None, 0.0)
ALL = (-100, "none", 0.2, 3.0, 1e-2)


def by_definition(x, W, b, labels, ignore, reduction, smoothing, cap, z_loss):
    """The docstring's formulas in NumPy, row by row."""
    rows = []
    for n, label in enumerate(np.asarray(labels)):
        z = np.asarray(x[n]) @ np.asarray(W) + np.asarray(b)
        z = z if cap is None else cap * np.tanh(z / cap)
        lse = np.log(np.exp(z).sum())
        q = np.full(len(z), smoothing / len(z))
        if label != ignore:
            q[label] += 1 - smoothing
        rows.append(0 if label == ignore else lse - q @ z + z_loss * lse**2)
    counts = (np.asarray(labels) != ignore).sum()
    return np.array(rows) if reduction == "none" else np.sum(rows) / counts


@pytest.mark.parametrize("options", [PLAIN, ALL, (3, "mean", 0.5, None, 0.1)])
def test_the_loss_is_the_formula(options, x64):
    x, W, b, labels = drawn_at(0, 6, 4, 11)
    labels = jnp.where(labels < 0, options[0], labels)
    expected = by_definition(x, W, b, labels, *options)
    for f, chunk in ((linear_cross_entropy, 3), (dense, None)):
        loss = jax.jit(lambda *a: f(*a, *options, chunk))(x, W, b, labels)  # noqa: B023
        np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 4, 10, 11, None])
def test_the_chunks_do_not_show(chunk, x64):
    """11 is prime: the last chunk is nearly always masked in part."""
    x, W, b, labels = drawn_at(1, 5, 3, 11)
    x, W, b = (a.astype(jnp.float64) for a in (x, W, b))
    dloss = jax.random.normal(jax.random.key(2), (5,), jnp.float64)

    def run(f, chunk):
        loss, pull = jax.vjp(lambda *a: f(*a, labels, *ALL, chunk), x, W, b)
        return loss, *pull(dloss)

    run = jax.jit(run, static_argnums=(0, 1))

    for a, b in zip(run(linear_cross_entropy, chunk), run(dense, None), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_the_mean_is_the_mean_of_the_rows_that_count():
    x, W, b, labels = drawn_at(3, 9, 4, 7)
    rows = jax.jit(linear_cross_entropy, static_argnums=(4, 5))(
        x, W, b, labels, -100, "none"
    )
    mean = jax.jit(linear_cross_entropy)(x, W, b, labels)
    counts = labels != -100
    assert 0 < counts.sum() < 9
    assert (rows[~counts] == 0).all()
    np.testing.assert_allclose(mean, rows[counts].mean(), rtol=1e-6)


def test_ignored_rows_send_nothing():
    x, W, b, labels = drawn_at(4, 6, 4, 7)
    d = jax.jit(jax.grad(linear_cross_entropy, (0, 1, 2)))(x, W, b, labels)
    assert (d[0][labels == -100] == 0).all()
    assert (abs(d[0][labels != -100]).sum(1) > 0).all()
    kept = labels != -100
    grad = jax.jit(jax.grad(linear_cross_entropy, (1, 2)))
    alone = grad(x[kept], W, b, labels[kept])
    for a, c in zip(d[1:], alone, strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_what_x_is_in_an_ignored_row_is_no_matter(value):
    x, W, b, labels = drawn_at(4, 6, 4, 7)
    ignored = (labels == -100)[:, None]
    dloss = jnp.arange(1.0, 7.0)

    @jax.jit
    def run(x):
        f = lambda *a: linear_cross_entropy(*a, labels, *ALL, 3)  # noqa: E731
        loss, pull = jax.vjp(f, x, W, b)
        return loss, *pull(dloss)

    spoilt = jnp.where(ignored, value, x)
    chex.assert_trees_all_close(run(spoilt), run(x), rtol=1e-6)
    arrays, moves = (spoilt, W, b, labels), (spoilt, W, b, None)
    loss, moved = rule.jvp(*ALL, 3, arrays, moves)
    assert jnp.isfinite(loss).all()
    assert jnp.isfinite(moved).all()


def test_a_batch_to_ignore_altogether_is_no_division_by_zero():
    x, W, b, labels = drawn_at(5, 3, 4, 7)
    run = jax.jit(jax.value_and_grad(linear_cross_entropy, (0, 1, 2)))
    loss, d = run(x, W, b, jnp.full_like(labels, -100))
    assert loss == 0
    assert all((g == 0).all() for g in d)


@pytest.mark.parametrize("offset", [-1e4, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_a_common_offset_is_harmless(offset, smoothing):
    """Logits and offset are multiples of 2^-3, exact in float32 even at 1e4."""
    keys = jax.random.split(jax.random.key(6), 3)
    x = jnp.round(4 * jax.random.normal(keys[0], (5, 3))) / 2
    W = jnp.round(4 * jax.random.normal(keys[1], (3, 8))) / 4
    b = jnp.round(8 * jax.random.normal(keys[2], (8,))) / 8
    labels = jnp.array([0, 7, 3, 2, 2])
    options = (-100, "mean", smoothing, None, 0.0, 3)

    def run(b):
        f = lambda x, W, b: linear_cross_entropy(x, W, b, labels, *options)  # noqa: E731
        return jax.value_and_grad(f, (0, 1, 2))(x, W, b)

    run = jax.jit(run)
    here, there = run(b), run(b + offset)
    chex.assert_trees_all_close(here, there, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("bad", [-1, 7, 1000])
def test_a_label_outside_makes_its_loss_nan(bad):
    x, W, b, _ = drawn_at(7, 3, 4, 7)
    rows = linear_cross_entropy(x, W, b, jnp.array([1, bad, 2]), -100, "none")
    np.testing.assert_array_equal(jnp.isnan(rows), [False, True, False])


def test_the_bias_may_be_none():
    x, W, b, labels = drawn_at(8, 5, 3, 7)
    f = lambda x, W, b: linear_cross_entropy(x, W, b, labels, *PLAIN, 2)  # noqa: E731
    run = jax.jit(jax.value_and_grad(f, (0, 1)))
    without, zero = run(x, W, None), run(x, W, jnp.zeros_like(b))
    chex.assert_trees_all_close(without, zero, rtol=1e-6)
    assert jax.grad(f, 2)(x, W, None) is None


def test_bfloat16_rounds_no_worse_than_autodiff():
    """Products in bfloat16, sums in float32, against the same numbers in float64."""
    x, W, b, labels = drawn_at(9, 32, 24, 101)
    half = [a.astype(jnp.bfloat16) for a in (x, W, b)]

    def run(f, arrays):
        g = lambda *a: f(*a, labels, *PLAIN, 16)  # noqa: E731
        loss, grads = jax.jit(jax.value_and_grad(g, (0, 1, 2)))(*arrays)
        return [np.asarray(a, np.float64) for a in (loss, *grads)]

    with jax.enable_x64(True):
        truth = run(dense, [a.astype(jnp.float64) for a in half])
    mine, theirs = run(linear_cross_entropy, half), run(dense, half)
    assert jax.eval_shape(linear_cross_entropy, *half, labels).dtype == jnp.float32
    for a, c, t in zip(mine, theirs, truth, strict=True):
        ulp = 2.0**-8 * abs(t).max()
        assert abs(a - t).max() <= 2 * abs(c - t).max() + ulp


def compiled_bytes(f, N, D, V):
    x, W, b, labels = jax.eval_shape(lambda: example(jax.random.key(0), N, D, V))
    analysis = jax.jit(f).lower(x, W, b, labels).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def test_the_logits_are_never_held():
    """Compiled, not run: temporary memory at GPT-2's vocabulary."""
    sizes = (4096, 256, 50_257)
    grads = lambda f: jax.value_and_grad(f, (0, 1, 2))  # noqa: E731
    plain = lambda x, W, b, y: dense(x, W, b, y, *PLAIN, None)  # noqa: E731
    theirs = compiled_bytes(grads(plain), *sizes)
    assert theirs >= 4 * 4096 * 50_257  # the test can see the logits
    assert compiled_bytes(grads(linear_cross_entropy), *sizes) <= theirs / 8
    assert compiled_bytes(linear_cross_entropy, *sizes) <= theirs / 8


def test_residuals_hold_no_logits():
    sizes = rule.bench.dims
    arrays = jax.eval_shape(lambda: rule.example(jax.random.key(0), **sizes))
    res = jax.eval_shape(lambda *a: rule.fwd(*a, *rule.bench.static)[1], *arrays)
    assert max(a.size for a in jax.tree.leaves(res)) == sizes["D"] * sizes["V"]


BAD = [
    ({"x": jnp.ones(3)}, (), r"x is of shape \(3,\), expected \[N, D\]"),
    ({"W": jnp.ones((2, 5))}, (), r"W is of shape \(2, 5\), expected \[3, V\]"),
    ({"b": jnp.ones(4)}, (), r"b is of shape \(4,\), expected \[5\]"),
    ({"labels": jnp.arange(3)}, (), r"labels is of shape \(3,\), expected \[2\]"),
    ({"labels": jnp.ones(2)}, (), "labels is of type float32"),
    ({}, (-100, "sum"), "reduction is 'sum'"),
    ({}, (-100, "mean", 1.0), "label_smoothing is 1.0"),
    ({}, (-100, "mean", 0.0, 0.0), "softcap is 0.0"),
    ({}, (-100, "mean", 0.0, None, -1.0), "z_loss is -1.0"),
    ({}, (*PLAIN, 0), "chunk is 0"),
]


@pytest.mark.parametrize(("changed", "static", "text"), BAD)
def test_bad_input_is_refused_with_a_sentence(changed, static, text):
    arrays = {"x": jnp.ones((2, 3)), "W": jnp.ones((3, 5)), "b": jnp.ones(5)}
    arrays |= {"labels": jnp.arange(2)} | changed
    with pytest.raises(ValueError, match=text):  # fwd has no annotations to fire first
        rule.fwd(*arrays.values(), *static, *rule.bench.static[len(static) :])

"""Convolutions and pooling: ties, NaN, a bias of None, past and future, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import (
    RULES,
    autodiff,
    avgpool2d,
    causal_conv1d,
    conv1d,
    conv2d,
    maxpool2d,
)


def gradient(f, x, *static):
    """Of a weighted sum, so that no two places of y look alike."""

    def weighted(x):
        y = f(x, *static)
        return (y * jnp.arange(1.0, 1 + y.size).reshape(y.shape)).sum()

    return jax.jit(jax.grad(weighted))(x)


@pytest.mark.parametrize("static", [(2, 2), (3, 1), ((2, 3), (3, 1))])
def test_of_equal_entries_the_first_gets_the_gradient_as_in_jax(static):
    """Small integers: most windows have ties, along rows, columns and diagonals."""
    x = jax.random.randint(jax.random.key(0), (2, 7, 8, 3), 0, 3).astype(jnp.float32)
    mine = gradient(maxpool2d, x, *static)
    np.testing.assert_array_equal(mine, gradient(autodiff.maxpool2d, x, *static))
    alike = gradient(maxpool2d, jnp.ones((1, 2, 2, 1)), 2)
    np.testing.assert_array_equal(alike[0, :, :, 0], [[1, 0], [0, 0]])


def test_a_nan_is_the_maximum_of_its_window():
    x = jnp.array([[1.0, jnp.nan, 5.0, 6.0], [2.0, 3.0, 4.0, -jnp.inf]])[
        None, :, :, None
    ]
    y, _ = maxpool2d.fwd(x, 2, 2)
    np.testing.assert_array_equal(y, maxpool2d(x, 2, 2))
    assert jnp.isnan(y[0, 0, 0, 0])
    dx = gradient(maxpool2d, x, 2)[0, :, :, 0]
    np.testing.assert_array_equal(dx, [[0, 1, 0, 2], [0, 0, 0, 0]])


def test_a_window_of_minus_infinities_sends_to_its_first():
    x = jnp.full((1, 2, 2, 1), -jnp.inf)
    np.testing.assert_array_equal(gradient(maxpool2d, x, 2).ravel(), [1, 0, 0, 0])


def test_places_take_a_byte_and_more_only_in_large_windows():
    for width, kind in ((256, "uint8"), (257, "int32")):
        x = jax.ShapeDtypeStruct((1, 1, width, 1), jnp.float32)
        res = jax.eval_shape(lambda x, w=width: maxpool2d.fwd(x, (1, w), None)[1], x)
        assert res.columns.dtype == kind
        assert res.rows.dtype == "uint8"


@pytest.mark.parametrize("op", [conv1d, causal_conv1d, conv2d])
def test_the_bias_may_be_none(op):
    two = op is conv2d
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 2) if two else (2, 5, 2))
    w = jax.random.normal(jax.random.key(1), (2, 2, 2, 3) if two else (2, 2, 3))
    f = jax.jit(jax.value_and_grad(lambda *a: jnp.sin(op(*a)).sum(), (0, 1, 2)))
    without, zero = f(x, w, None), f(x, w, jnp.zeros(3))
    assert without[1][2] is None
    for a, b in zip(without[1][:2], zero[1][:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    static = (1,) if op is causal_conv1d else (1, 0, 1, 1)
    rule = next(rule for rule in RULES if rule.op is op)
    moves = jax.eval_shape(lambda: rule.jvp(*static, *[(x, w, None)] * 2))
    assert moves[0].shape == moves[1].shape


def test_a_causal_convolution_sees_no_future():
    """y[t] does not move with x after t, and does with x at t."""
    x = jax.random.normal(jax.random.key(0), (1, 6, 2))
    w = jax.random.normal(jax.random.key(1), (3, 2, 2))
    J = jax.jit(jax.jacrev(lambda x: causal_conv1d(x, w, None, 2)[0].sum(-1)))(x)[:, 0]
    seen = (J != 0).all(-1)
    expected = [[t - i in (0, 2, 4) for i in range(6)] for t in range(6)]
    np.testing.assert_array_equal(seen, expected)


X1, W1, B1 = jnp.ones((2, 5, 4)), jnp.ones((3, 2, 6)), jnp.ones(6)
CONV = [
    ({"x": jnp.ones((5, 4))}, r"x is of shape \(5, 4\), expected \[N, T, C\]"),
    ({"x": jnp.ones((0, 5, 4))}, r"x is of shape \(0, 5, 4\)"),
    ({"x": jnp.ones((2, 5, 4), int)}, "x is of type int32"),
    ({"w": jnp.ones((2, 6))}, r"w is of shape \(2, 6\), expected \[K, C / groups, O\]"),
    ({"w": jnp.ones((3, 3, 6))}, r"w is of shape \(3, 3, 6\), expected \[3, 2, 6\]"),
    ({"w": W1.astype(jnp.bfloat16)}, "w is of type bfloat16.* float32"),
    ({"b": jnp.ones(4)}, r"b is of shape \(4,\), expected \[6\]"),
    ({"stride": 0}, "stride is 0"),
    ({"stride": (1, 1)}, r"stride is \(1, 1\)"),
    ({"padding": -1}, "padding is -1"),
    ({"padding": "same"}, "padding is 'same'"),
    ({"dilation": 0.5}, "dilation is 0.5"),
    ({"groups": 3}, "groups is 3.* 4.* 6"),
    ({"groups": 0}, "groups is 0.* 4.* 6"),
    ({"dilation": 3}, r"x is of shape \(2, 5, 4\).* \[7\]"),
]


@pytest.mark.parametrize(("changed", "text"), CONV)
def test_bad_input_of_a_convolution(changed, text):
    """Of fwd, which alone runs under grad; it has no annotations to fire first."""
    given = {"x": X1, "w": W1, "b": B1, "stride": 1, "padding": 0, "dilation": 1}
    given |= {"groups": 2} | changed
    with pytest.raises(ValueError, match=f"conv1d: {text}"):
        jax.eval_shape(lambda: conv1d.fwd(*given.values()))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((3, 3, 6), r"w is of shape \(3, 3, 6\), expected \[K, 4 / groups, O\]"),
        ((3, 1, 6), r"w is of shape \(3, 1, 6\), expected \[K, 4 / groups, O\]"),
    ],
)
def test_bad_groups_of_a_causal_convolution(shape, text):
    with pytest.raises(ValueError, match=f"causal_conv1d: {text}"):
        causal_conv1d.fwd(X1, jnp.ones(shape), None, 1)


POOL = [
    (
        jnp.ones((5, 4, 2)),
        (2, 2),
        r"x is of shape \(5, 4, 2\), expected \[N, H, W, C\]",
    ),
    (
        jnp.ones((1, 5, 4, 2), int),
        (2, 2),
        "x is of type int32",
    ),
    (
        jnp.ones((1, 5, 4, 2)),
        (0, 2),
        "size is 0",
    ),
    (
        jnp.ones((1, 5, 4, 2)),
        (2, (1, 0)),
        r"stride is \(1, 0\)",
    ),
    (
        jnp.ones((1, 5, 4, 2)),
        (5, 2),
        r"x is of shape .* expected at least \[5, 5\] long",
    ),
]


@pytest.mark.parametrize("op", [maxpool2d, avgpool2d])
@pytest.mark.parametrize(("x", "static", "text"), POOL)
def test_bad_input_of_pooling(op, x, static, text):
    for f in (op.fwd, lambda *a: jax.jit(op.fwd, static_argnums=(1, 2))(*a)):
        with pytest.raises(ValueError, match=f"{op.__name__}: {text}"):
            f(x, *static)


def test_bad_input_is_told_under_grad():
    with pytest.raises(ValueError, match="conv1d: stride is 0"):
        jax.grad(lambda x: conv1d(x, W1, B1, 0, 0, 1, 2).sum())(X1)

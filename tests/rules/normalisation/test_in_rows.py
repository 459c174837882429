"""Normalisation in blocks of rows, at the edges, and what it says of arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import RULES, blocking, manual
from jaxninja.rules.normalisation.rows import over_rows

BY_NAME = {rule.name: rule for rule in RULES}
IN_ROWS = {
    "layernorm": ({"N": 11, "D": 3}, (1e-5,)),
    "rmsnorm": ({"N": 11, "D": 3}, (1e-6, 1.0)),
    "groupnorm": ({"B": 5, "n": 2, "m": 3, "C": 4}, (2, 1e-5)),
}


@pytest.mark.parametrize("size", [1, 3, 4, 10, 11])
def test_rows_in_blocks_are_all_rows_once(size):
    a, b = jnp.arange(33.0).reshape(11, 3), jnp.arange(11)
    seen = []

    def body(a, b):
        seen.append(len(a))
        return a * b[:, None], {"sum": a.sum(0), "count": len(a)}

    rows, sums = over_rows(body, (a, b), size)
    np.testing.assert_array_equal(rows, a * b[:, None])
    np.testing.assert_array_equal(sums["sum"], a.sum(0))
    assert sums["count"] == 11
    assert set(seen) <= {size, 11 % size or size}


@pytest.mark.parametrize("name", IN_ROWS)
def test_the_blocks_do_not_show(name, monkeypatch, x64):
    rule, (dims, static) = BY_NAME[name], IN_ROWS[name]
    arrays = [a.astype(float) for a in rule.example(jax.random.key(0), **dims)]
    res = rule.fwd(*arrays, *static)[1]
    dy = jax.random.normal(jax.random.key(1), arrays[0].shape)
    whole = rule.bwd(*static, res, dy)
    monkeypatch.setattr(blocking, "rows", lambda count, width, itemsize: 4)
    for got, expected in zip(rule.bwd(*static, res, dy), whole, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def test_a_platform_in_parallel_takes_all_rows(monkeypatch):
    assert blocking.rows(4096, 768, 4) < 4096
    assert blocking.rows(1024, 256, 4) == 1024
    monkeypatch.setattr(blocking, "in_parallel", lambda: True)
    assert blocking.rows(4096, 768, 4) == 4096


def test_gains_are_summed_in_float32(monkeypatch):
    """A sum of ones in bfloat16 would stop at 256."""
    monkeypatch.setattr(blocking, "rows", lambda count, width, itemsize: 1)
    x = jax.random.normal(jax.random.key(0), (1000, 2), jnp.bfloat16)
    one = jnp.ones(2, jnp.bfloat16)
    f = lambda *a: manual.layernorm(*a)  # noqa: E731
    dbeta = jax.vjp(f, x, one, one)[1](jnp.ones_like(x))[2]
    np.testing.assert_array_equal(dbeta, jnp.full(2, 1000, jnp.bfloat16))


@pytest.mark.parametrize("name", IN_ROWS)
def test_leading_axes_and_other_types_of_weights(name, x64):
    """x may be in bfloat16 while its weights are not; a row alone is a batch of one."""
    rule, (dims, static) = BY_NAME[name], IN_ROWS[name]
    x, *weights = rule.example(jax.random.key(0), **dims)
    f = jax.jit(lambda x, *w: rule.op(x, *w, *static))
    y, pull = jax.vjp(f, x.astype(jnp.bfloat16), *weights)
    assert y.dtype == jnp.bfloat16
    types = [d.dtype for d in pull(jnp.ones_like(y))]
    assert types == [jnp.bfloat16, *(w.dtype for w in weights)]
    np.testing.assert_allclose(y.astype(float), f(x, *weights), rtol=0.1, atol=0.1)
    if name != "groupnorm":
        np.testing.assert_allclose(f(x[3], *weights), f(x, *weights)[3], rtol=1e-5)


def test_a_constant_row_is_beta():
    x, beta = jnp.full((2, 5), 3.0), jnp.arange(5.0)
    y, pull = jax.vjp(manual.layernorm, x, 1 + beta, beta)
    np.testing.assert_array_equal(y, jnp.stack([beta, beta]))
    dx, dgamma, _ = pull(jnp.cos(jnp.arange(10.0)).reshape(2, 5))
    assert jnp.isfinite(dx).all()
    np.testing.assert_array_equal(dgamma, 0)


def test_groupnorm_of_one_group_is_layernorm_of_an_example(x64):
    x = jax.random.normal(jax.random.key(0), (3, 6))
    gamma, beta = jnp.linspace(0.5, 2, 6), jnp.linspace(-1, 1, 6)
    np.testing.assert_allclose(
        manual.groupnorm(x, gamma, beta, 1),
        manual.layernorm(x, gamma, beta),
        rtol=1e-12,
    )


def test_unit_length_at_zero_and_at_eps():
    f = lambda x: manual.l2_normalise(x, -1, 0.5)  # noqa: E731
    x = jnp.array([[0.0, 0.0], [0.3, 0.4], [3.0, 4.0]])
    y, pull = jax.vjp(f, x)
    np.testing.assert_allclose(y, [[0, 0], [0.6, 0.8], [0.6, 0.8]], rtol=1e-6)
    dx = pull(jnp.ones((3, 2)))[0]
    np.testing.assert_allclose(dx, [[2, 2], [2, 2], [0.032, -0.024]], rtol=1e-5)


X, W, I = jnp.ones((4, 6)), jnp.ones(6), jnp.ones((4, 6), int)
BAD = [
    ("layernorm", (X, W[:5], W, 1e-5), ["gamma", "(5,)", "[6]", "(4, 6)"]),
    ("layernorm", (X, W, W[None], 1e-5), ["beta", "(1, 6)", "[6]"]),
    ("layernorm", (I, W, W, 1e-5), ["x", "int32", "float"]),
    ("layernorm", (X[:0], W, W, 1e-5), ["x", "(0, 6)", "not empty"]),
    ("layernorm", (X, W, W, -1.0), ["eps", "-1.0", "from 0 on"]),
    ("rmsnorm", (X, W[:1], 1e-6, 0.0), ["gamma", "(1,)", "[6]"]),
    ("rmsnorm", (X, W, float("nan"), 0.0), ["eps", "nan"]),
    ("rmsnorm", (X, W, 1e-6, "one"), ["offset", "'one'"]),
    ("groupnorm", (X[0], W, W, 2, 1e-5), ["x", "(6,)", "2 or more axes"]),
    ("groupnorm", (X, W, W, 4, 1e-5), ["groups", "4", "divisor of 6"]),
    ("groupnorm", (X, W, W, 0, 1e-5), ["groups", "0", "from 1 on"]),
    ("l2_normalise", (X, 2, 1e-12), ["axis", "2", "(4, 6)"]),
    ("l2_normalise", (X, -1, 0.0), ["eps", "0.0", "above 0"]),
    ("l2_normalise", (I, -1, 1e-12), ["x", "int32", "float"]),
]


@pytest.mark.parametrize(("name", "given", "parts"), BAD)
def test_what_does_not_fit_is_refused(name, given, parts):
    """By fwd and under `jax.grad`, which runs it; beartype would say it first of op."""
    rule = BY_NAME[name]
    static = [a for a in given if not isinstance(a, jax.Array)]
    arrays = [a for a in given if isinstance(a, jax.Array)]
    fwd = lambda *a: rule.fwd(*a, *static)[0]  # noqa: E731
    grad = lambda *a: jax.vjp(lambda *a: rule.op(*a, *static), *a)[0]  # noqa: E731
    moves = any(jnp.issubdtype(a.dtype, jnp.floating) for a in arrays)
    for f in (fwd, jax.jit(fwd), *((grad, jax.jit(grad)) if moves else ())):
        with pytest.raises(ValueError, match=f"^{name}: ") as error:
            f(*arrays)
        assert all(part in str(error.value) for part in parts), str(error.value)

"""attention beyond what holds for every rule: blocks, memory, who sees whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.inputs.examples import drawn
from jaxninja.check.subject.compilation import compiled
from jaxninja.jaxpr import equations
from jaxninja.rules import blocking
from jaxninja.rules.sequence.attention import attention, example, plain, rule
from jaxninja.rules.sequence.blocks import At, cut


def all_of(f, static):
    """y, dq, dk, dv as one program of (arrays, dy)."""

    def run(arrays, dy):
        y, pull = jax.vjp(lambda *a: f(*a, *static), *arrays)
        return y, *pull(dy)

    return compiled(run)


def drawn_at(*sizes):
    """q, k, v of float32."""
    return drawn(lambda key: example(key, *sizes), 0, {})


def given(*sizes):
    """Arrays in float64 and a cotangent, for sizes B, T, S, K, G, D."""
    arrays = [np.asarray(a).astype(float) for a in drawn_at(*sizes)]
    return arrays, np.random.default_rng(1).normal(size=arrays[0].shape)


def close(got, expected):
    expected = np.asarray(expected)
    scale = float(abs(expected).max()) or 1.0
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize(
    ("sizes", "static"),
    [
        ((1, 8, 8, 1, 1, 2), (True, None, None, None)),  # blocks of 4 divide both
        ((2, 9, 7, 2, 2, 3), (True, None, None, None)),  # one more, one less
        ((1, 13, 3, 1, 3, 2), (True, 4, None, 2.0)),  # late queries see nothing
        ((1, 3, 14, 2, 1, 2), (False, 5, None, None)),
        ((3, 5, 5, 4, 1, 1), (False, None, 0.3, 1.5)),
        ((1, 11, 11, 1, 1, 2), (True, 1, None, None)),  # each sees itself alone
    ],
)
def test_the_blocks_do_not_show(sizes, static, monkeypatch, x64):
    monkeypatch.setattr(blocking, "positions", lambda length: min(length, 4))
    arrays, dy = given(*sizes)
    mine = all_of(attention, static)(arrays, dy)
    for got, expected in zip(mine, all_of(plain, static)(arrays, dy), strict=True):
        close(got, expected)
    moves = [np.cos(3 * a) for a in arrays]
    true = compiled(lambda *pair: jax.jvp(lambda *a: plain(*a, *static), *pair))
    mine = compiled(lambda *pair: rule.jvp(*static, *pair))
    jax.tree.map(close, mine(arrays, moves), true(arrays, moves))


@pytest.mark.parametrize("parallel", [False, True])
def test_either_choice_of_a_platform_is_right(parallel, monkeypatch, x64):
    monkeypatch.setattr(blocking, "in_parallel", lambda: parallel)
    static, sizes = (True, None, None, None), (2, 150, 150, 2, 3, 4)
    arrays, dy = given(*sizes)
    grid = cut(*arrays[:2], True, None)
    assert (grid.rows == 150, grid.batch == 2) == (parallel,) * 2
    assert grid.heads == 2
    mine = all_of(attention, static)(arrays, dy)
    for got, expected in zip(mine, all_of(plain, static)(arrays, dy), strict=True):
        close(got, expected)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 1, 6])
@pytest.mark.parametrize("sizes", [(9, 9), (4, 15), (15, 4)])
@pytest.mark.parametrize("line", ["row", "column"])
def test_blocks_are_visited_where_there_is_something_to_see(
    causal, window, sizes, line, monkeypatch
):
    """Each pair that sees each other counts once, and no block is without one."""
    monkeypatch.setattr(blocking, "positions", lambda length: min(length, 4))
    T, S = sizes
    grid = cut(jnp.zeros((1, T, 1, 1)), jnp.zeros((1, S, 1, 1)), causal, window)
    count = np.zeros(sizes, int)
    visits = grid.blocks(line)
    for at in visits:
        seen = np.asarray(grid.seen(At(*map(jnp.int32, at)), once=True))
        rows, columns = at.t + np.arange(grid.rows), at.s + np.arange(grid.columns)
        count[np.ix_(rows, columns)] += seen[0, 0].T
    distance = np.arange(T)[:, None] - np.arange(S)
    expected = (distance >= 0) | (not causal)
    expected &= abs(distance) < (window or 99)
    np.testing.assert_array_equal(count, expected)
    starts = np.array([at.t if line == "row" else at.s for at in visits])
    assert (np.diff(starts) >= 0).all()
    assert [at.new for at in visits] == [1, *(np.diff(starts) != 0)]


def largest(f, T):
    """The most numbers in an array of the program of value and gradients."""
    arrays = [jax.ShapeDtypeStruct((1, T, 2, 8), jnp.float32)] * 3

    def run(*arrays):
        y, pull = jax.vjp(f, *arrays)
        return pull(y)

    found = equations(jax.make_jaxpr(run)(*arrays).jaxpr)
    return max(v.aval.size for eqn in found for v in eqn.outvars)


def test_no_array_has_as_many_numbers_as_there_are_scores():
    T = 4096
    assert largest(attention, T) == max(T * 2 * 8, blocking.positions(T) ** 2)
    assert largest(lambda *a: plain(*a, True, None, None, None), T) == 2 * T * T
    kept = jax.eval_shape(
        lambda *a: rule.fwd(*a, True, None, None, None)[1],
        *[jnp.zeros((1, T, 2, 8))] * 3,
    )
    assert sum(a.size for a in jax.tree.leaves(kept)) == T * 2 * (4 * 8 + 2)


def test_a_query_that_sees_no_key_is_zero_and_sends_nothing():
    q, k, v = drawn_at(1, 6, 2, 1, 1, 3)
    f = lambda q, k, v: attention(q, k, v, True, 2)  # noqa: E731, from t = 3 on: none
    y, pull = jax.vjp(jax.jit(f), q, k, v)
    dq, dk, dv = pull(jnp.ones_like(y).at[:, :3].set(0))
    assert (y[:, 3:] == 0).all()
    assert (abs(y[:, :3]) > 0).all()
    assert all((d == 0).all() for d in (dq, dk, dv))


def test_one_key_is_its_value():
    q, k, v = drawn_at(2, 5, 1, 2, 2, 3)
    y, pull = jax.vjp(jax.jit(attention), q, k, v)
    np.testing.assert_array_equal(y, jnp.broadcast_to(v.repeat(2, 2), y.shape))
    dy = jax.random.normal(jax.random.key(1), y.shape)
    dq, dk, dv = pull(dy)
    np.testing.assert_allclose(dq, 0, atol=1e-5)
    np.testing.assert_allclose(dk, 0, atol=1e-5)
    np.testing.assert_allclose(
        dv, dy.reshape(2, 5, 2, 2, 3).sum((1, 3))[:, None], rtol=1e-5
    )


def test_values_may_have_another_width(x64):
    (q, k, _), _ = given(1, 5, 5, 2, 1, 3)
    v = jax.random.normal(jax.random.key(2), (1, 5, 2, 7))
    dy = jax.random.normal(jax.random.key(3), (1, 5, 2, 7))
    static = (True, None, None, None)
    mine = all_of(attention, static)((q, k, v), dy)
    for got, expected in zip(mine, all_of(plain, static)((q, k, v), dy), strict=True):
        close(got, expected)


@pytest.mark.parametrize("offset", [-1e4, 1e4])
def test_scores_with_a_common_offset(offset):
    """The offset comes by a feature that all keys share; all numbers are exact."""
    q, k, v = (jnp.round(4 * a) / 4 for a in drawn_at(1, 6, 6, 1, 1, 3))
    here, there = (
        [jnp.concatenate([a, jnp.full((1, 6, 1, 1), n)], -1) for a, n in pair]
        for pair in (((q, 100.0), (k, 0.0)), ((q, 100.0), (k, offset / 100)))
    )
    f = jax.jit(lambda q, k, v: attention(q, k, v, True, None, 0.5))
    np.testing.assert_allclose(f(*here, v), f(*there, v), rtol=2e-6)


GOOD = (2, 6, 6, 2, 2, 4)
BAD = {
    "q of": (lambda q, k, v: (q[0], k, v), ["q", "(6, 4, 4)", "[B, T, H, D]"]),
    "batch": (lambda q, k, v: (q, k[:1], v), ["k", "(1, 6, 2, 4)", "[2, S, K, 4]"]),
    "features": (lambda q, k, v: (q, k[..., :3], v), ["k", "(2, 6, 2, 3)"]),
    "heads": (lambda q, k, v: (q[:, :, :3], k, v), ["k", "divides 3"]),
    "values": (lambda q, k, v: (q, k, v[:, :5]), ["v", "(2, 5, 2, 4)", "[2, 6, 2, E]"]),
    "type": (lambda q, k, v: (q.astype(int), k, v), ["q", "int32", "float"]),
    "types": (
        lambda q, k, v: (q, k, v.astype(jnp.bfloat16)),
        ["v", "bfloat16", "float32"],
    ),
}
OPTIONS = {
    "causal": (1, None, None, None),
    "window": (True, 0, None, None),
    "scale": (True, None, float("inf"), None),
    "softcap": (True, None, None, 0.0),
}


def refused(arrays, static, *parts):
    """By fwd and under `jax.grad`, which runs it; beartype would say it first of op."""
    fwd = lambda *a: rule.fwd(*a, *static)[0]  # noqa: E731
    grad = lambda *a: jax.vjp(lambda *a: attention(*a, *static), *a)[0]  # noqa: E731
    for run in (fwd, jax.jit(fwd), grad, jax.jit(grad)):
        with pytest.raises(ValueError, match=r"^attention: ") as error:
            run(*arrays)
        assert all(part in str(error.value) for part in parts), str(error.value)


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused(name):
    change, parts = BAD[name]
    arrays = change(*drawn_at(*GOOD))
    refused(arrays, (True, None, None, None), *parts)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_out_of_range_is_refused(name):
    arrays = drawn_at(*GOOD)
    static = OPTIONS[name]
    value = static[list(OPTIONS).index(name)]
    refused(arrays, static, f"{name} is {value!r}")

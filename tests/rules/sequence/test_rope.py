"""rope beyond what holds for every rule: its definition, positions that are floats."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.rule import Case
from jaxninja.rules.sequence.rope import rope, rule


@pytest.mark.parametrize("interleaved", [False, True])
def test_pairs_are_complex_numbers_that_turn(interleaved, x64):
    x = jax.random.normal(jax.random.key(0), (2, 5, 3, 8))
    positions = jnp.array([[0, 1, 5, 40, 7], [3, 2, 1, 0, 100000]])
    halves = (x[..., ::2], x[..., 1::2]) if interleaved else jnp.split(x, 2, -1)
    i = np.arange(4)
    angle = np.asarray(positions)[:, :, None, None] * 500.0 ** (-2 * i / 8)
    z = (halves[0] + 1j * halves[1]) * np.exp(1j * angle)
    y = rope(x, positions, 500.0, interleaved)
    got = (y[..., ::2], y[..., 1::2]) if interleaved else jnp.split(y, 2, -1)
    np.testing.assert_allclose(got[0], z.real, atol=1e-10)
    np.testing.assert_allclose(got[1], z.imag, atol=1e-10)


def test_scores_depend_on_the_distance_alone(x64):
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 4, 1, 6))
    at = jnp.array([0, 3, 4, 9])
    score = lambda shift: (rope(q, at + shift) * rope(k, at + 2 + shift)).sum(-1)  # noqa: E731
    np.testing.assert_allclose(score(0), score(17), rtol=1e-12)
    np.testing.assert_array_equal(rope(q, at)[:, 0], q[:, 0])


def test_positions_that_are_floats_have_a_gradient():
    def example(key, B, T, H, pairs):
        x, positions = rule.example(key, B, T, H, pairs)
        return x, 0.7 * positions + jnp.arange(B)[:, None]

    cases = (Case({"B": 2, "T": 5, "H": 3, "pairs": 4}, (100.0, True)),)
    report = check_vjp(replace(rule, example=example, cases=cases))
    assert report.ok, report.table()
    assert [leaf.name for leaf in report.leaves] == ["x", "positions"]


@pytest.mark.parametrize(
    ("change", "static", "parts"),
    [
        (lambda x, p: (x[0], p), (), ["x", "(5, 3, 4)", "[B, T, H, D]"]),
        (lambda x, p: (x[..., :3], p), (), ["x", "(2, 5, 3, 3)", "even"]),
        (lambda x, p: (x.astype(int), p), (), ["x", "int32", "float"]),
        (lambda x, p: (x, p[:4]), (), ["positions", "(4,)", "[5] or [2, 5]"]),
        (lambda x, p: (x, p > 2), (), ["positions", "bool"]),
        (lambda x, p: (x, p), (1.0,), ["base", "1.0"]),
        (lambda x, p: (x, p), (100.0, "yes"), ["interleaved", "'yes'"]),
    ],
)
def test_what_does_not_fit_is_refused(change, static, parts):
    arrays = change(jnp.ones((2, 5, 3, 4)), jnp.arange(5))
    static = (*static, *(10000.0, False)[len(static) :])
    fwd = lambda *a: rule.fwd(*a, *static)[0]  # noqa: E731
    grad = lambda x, p: jax.vjp(lambda x: rope(x, p, *static), x)[0]  # noqa: E731
    moves = jnp.issubdtype(arrays[0].dtype, jnp.floating)
    for f in (fwd, jax.jit(fwd), *((grad,) if moves else ())):
        with pytest.raises(ValueError, match=r"^rope: ") as error:
            f(*arrays)
        assert all(part in str(error.value) for part in parts), str(error.value)

"""Plain forwards that JAX cannot differentiate, that do not end, or do not settle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.subject.time_limit import within
from tests.check.subjects import codes, ruled


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def newton():
    """Square roots: a square within 1e-3, then two more steps."""

    def sqrt(a):
        def step(x):
            return (x + a / x) / 2

        def goes_on(x):
            return jnp.abs(x * x - a).max() > 1e-3

        return step(step(jax.lax.while_loop(goes_on, step, a)))

    return sqrt


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "ok"), (2.1, "fail")])
def test_a_forward_that_jax_cannot_differentiate_is_differenced(factor, verdict):
    sqrt = newton()
    op = ruled(sqrt, lambda a: (sqrt(a),) * 2, lambda y, g: (g / (factor * y),), ())
    report = check_vjp(op, np.array([2.0, 3.0], np.float32), edges=False, hints=False)
    assert report.verdict == verdict, report.table()
    assert any("reference=" in text for text in report.not_tested)


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.1, "fail")])
def test_a_window_whose_first_value_is_traced_is_differenced(factor, verdict):
    """JAX differentiates it as it stands, and not once it is compiled."""

    def sums(x):
        zero = jnp.zeros((), x.dtype)
        return jax.lax.reduce_window(x, zero, jax.lax.add, (3,), (1,), ((1, 1),))

    op = ruled(sums, lambda x: (sums(x), None), lambda _, g: (factor * sums(g),), ())
    report = check_vjp(op, normal(6), hints=False)
    assert report.verdict == verdict, report.table()
    assert any("reference=" in text for text in report.not_tested)


def test_too_many_entries_to_difference_are_not_tested():
    sqrt = newton()
    op = ruled(sqrt, lambda a: (sqrt(a),) * 2, lambda y, g: (g / (2 * y),), ())
    many = np.full((20, 20), 2, np.float32)
    report = check_vjp(op, many, level="quick", hints=False)  # no other sizes
    assert report.verdict == "not tested"
    assert "N-NOREF" in codes(report)
    assert "reference=" in report.table()
    with within(0.2):
        assert check_vjp(op, many, reference=jnp.sqrt, edges=False, hints=False).ok


def test_a_loop_that_never_ends_is_stopped():
    """No square of a number in bfloat16 is within 1e-3 of 3."""
    sqrt = newton()
    op = ruled(sqrt, lambda a: (sqrt(a),) * 2, lambda y, g: (g / (2 * y),), ())
    args = {"reference": jnp.sqrt, "edges": False, "higher_order": False}
    a = np.array([2.0, 3.0], np.float32)
    with within(0.2):
        report = check_vjp(op, a, **args, dtypes=("float32", "bfloat16"))
    assert report.ok, report.table()
    assert any("bfloat16: a while loop" in text for text in report.not_tested)


def written_out(start, stop, step, x):
    """`fori_loop`, as Python has it."""
    for i in range(start, stop):
        x = step(i, x)
    return x


@pytest.mark.parametrize("loop", [jax.lax.fori_loop, written_out])
def test_an_iteration_that_settles_for_the_example_only(loop):
    """x = W x + b in 12 steps, by autodiff of the steps and by the implicit theorem."""

    def solve(W, b):
        return loop(0, 12, lambda _, x: W @ x + b, b)

    def bwd(residuals, dy):
        W, x = residuals
        u = jnp.linalg.solve(jnp.eye(len(x), dtype=x.dtype) - W.T, dy)
        return u[:, None] * x, u

    def fwd(W, b):
        x = solve(W, b)
        return x, (W, x)

    W = np.array([[2, 5, -3], [1, -4, 3], [3, 2, 1]], np.float32) / 92  # radius 0.05
    report = check_vjp(ruled(solve, fwd, bwd, ()), W, normal(3), hints=False)
    assert report.ok, report.table()
    assert any("does not settle" in text and "edges=False" in text
               for text in report.not_tested)  # fmt: skip
    wrong = ruled(solve, fwd, lambda r, dy: bwd(r, 1.001 * dy), ())
    assert check_vjp(wrong, W, normal(3), hints=False).verdict == "fail"


def four_newton_steps(x, k):
    """y + k y^3 = x, in four steps."""
    y = x
    for _ in range(4):
        y = y - (y + k * y**3 - x) / (1 + 3 * k * y**2)
    return y


def newton_to_an_end(x, k):
    def goes_on(state):
        return (jnp.abs(state[1]).max() > 1e-7) & (state[2] < 20)

    def step(state):
        y, _, count = state
        change = (y + k * y**3 - x) / (1 + 3 * k * y**2)
        return y - change, change, count + 1

    return jax.lax.while_loop(goes_on, step, (x, x, 0))[0]


@pytest.mark.parametrize("factor", [1, 1.01])
@pytest.mark.parametrize("solve", [four_newton_steps, newton_to_an_end])
def test_newtons_method_and_the_gradient_at_the_root(solve, factor):
    def bwd(residuals, dy):
        y, k = residuals
        u = dy / (1 + 3 * k * y**2)
        return u, -factor * (u * y**3).sum(0)

    def fwd(x, k):
        return solve(x, k), (solve(x, k), k)

    x = np.random.default_rng(1).uniform(0.5, 1, (5, 3)).astype(np.float32)
    k = np.full(3, 0.1, np.float32)
    report = check_vjp(ruled(solve, fwd, bwd, ()), x, k, hints=False)
    assert report.verdict == ("ok" if factor == 1 else "fail"), report.table()

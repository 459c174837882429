"""Equations that a forward solves, in ways that JAX differentiates wrongly or never."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled


def miss(y, m, e):
    return y - e * jnp.sin(y) - m


def bisected(m, e):
    """JAX's gradient of it is 1 for m and 0 for e."""

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        below = miss(middle, m, e) < 0
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = jax.lax.fori_loop(0, 45, halve, (m - 1, m + 1))
    return (low + high) / 2


def by_newton(m, e):
    """Entry by entry, each until it is near enough."""

    def goes_on(state):
        return (jnp.abs(state[1]) > 1e-6) & (state[2] < 30)

    def step(state):
        y, _, count = state
        change = miss(y, m, e) / (1 - e * jnp.cos(y))
        return y - change, change, count + 1

    return jax.lax.while_loop(goes_on, step, (m, jnp.ones_like(m), 0))[0]


def all_by_newton(m, e):
    return jax.vmap(by_newton, (0, None))(m, e)


def solved(solve, slope):
    def fwd(m, e):
        return (y := solve(m, e)), (y, e)

    def bwd(residuals, dy):
        y, e = residuals
        return slope(y, e, dy)

    return ruled(solve, fwd, bwd, ())


def implicit(y, e, dy):
    dm = dy / (1 - e * jnp.cos(y))
    return dm, jnp.sum(dm * jnp.sin(y))


def other_sign(y, e, dy):
    dm = dy / (1 + e * jnp.cos(y))
    return dm, jnp.sum(dm * jnp.sin(y))


FEW = np.float32([0.3, 1.2, 4.0]), np.float32(0.4)
MANY = np.linspace(0.1, 6, 256, dtype=np.float32), np.float32(0.4)
CASES = [(bisected, FEW), (all_by_newton, FEW), (all_by_newton, MANY)]


@pytest.mark.parametrize(("solve", "given"), CASES)
def test_the_slope_of_a_solution_is_that_of_its_values(solve, given):
    report = check_vjp(solved(solve, implicit), *given)
    assert report.ok, report.table()
    assert report.coverage.leaves == (2, 2)


@pytest.mark.parametrize("solve", [bisected, by_newton])
def test_a_wrong_slope_of_a_solution_is_named(solve):
    report = check_vjp(solved(solve, other_sign), np.float32(1.2), np.float32(0.4))
    assert not report.ok
    assert (report.hints[0].verified, report.hints[0].statement.code) == (
        True,
        "fixed",
    )


def test_nothing_is_named_by_a_derivative_that_is_none():
    wrong = solved(bisected, lambda y, e, dy: (dy, implicit(y, e, dy)[1]))
    report = check_vjp(wrong, *FEW)
    assert not report.ok
    assert all(hint.statement.code != "diagonal" for hint in report.hints)


def test_what_the_largest_argument_says_hides_no_other():
    """Of the sum of all slopes, JAX's gradient of the bisection is off by 0.04 %."""

    def below(y, h, t):
        return y + h * jnp.tanh(y) - t

    def solve(h, t):
        def halve(_, ends):
            low, high = ends
            middle = (low + high) / 2
            right = below(middle, h, t) > 0
            return jnp.where(right, low, middle), jnp.where(right, middle, high)

        reach = jnp.abs(t) + h
        low, high = jax.lax.fori_loop(0, 60, halve, (-reach, reach))
        return (low + high) / 2

    def slope(y, h, dy):
        u = dy / (1 + h / jnp.cosh(y) ** 2)
        return -u * jnp.tanh(y), u

    def fwd(h, t):
        return (y := solve(h, t)), (y, h)

    def rule(res, dy):
        return slope(*res, dy)

    h, t = np.float32([1.9, 1.3, 0.6]), np.float32([-1600.0, 2.4, 1500.0])
    report = check_vjp(ruled(solve, fwd, rule, ()), h, t)
    assert report.ok, report.table()

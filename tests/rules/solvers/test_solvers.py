"""Equations: what they answer where there is no solution, and their derivatives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.rules import manual
from jaxninja.rules.solvers.cholesky_solve import cholesky_solve_fwd
from jaxninja.rules.solvers.fixed_point import fixed_point, fixed_point_fwd
from jaxninja.rules.solvers.logdet import logdet_fwd


def affine(x, theta):
    a, b = theta
    return a * x + b


def test_a_linear_fixed_point_has_the_gradient_of_its_formula(x64):
    """x = b / (1 - a), from any start, and to the second derivative both ways."""
    solved = lambda a, b: fixed_point(affine, jnp.array(7.0), (a, b))  # noqa: E731
    formula = lambda a, b: b / (1 - a)  # noqa: E731

    @jax.jit
    def found(a, b):
        orders = [(f(a, b), *jax.grad(f, (0, 1))(a, b)) for f in (solved, formula)]
        seconds = [jax.grad(jax.grad(f))(a, b) for f in (formula, solved)]
        return orders, (*seconds, jax.hessian(solved)(a, b))

    (mine, true), (second, *others) = found(0.6, 2.0)
    np.testing.assert_allclose(mine, true, rtol=1e-13)
    np.testing.assert_allclose(others, [second, second], rtol=1e-12)


def test_where_the_iteration_begins_does_not_matter(x64):
    dx0 = jax.grad(lambda x0: fixed_point(affine, x0, (0.5, 1.0)))(3.0)
    assert dx0 == 0


def test_an_iteration_that_does_not_settle_is_nan():
    assert jnp.isnan(fixed_point(affine, jnp.array(1.0), (1.5, 1.0), 50))
    assert jnp.isnan(fixed_point(affine, jnp.array(1.0), (0.99, 1.0), 5))


@pytest.mark.parametrize("slope", [0.5, 0.99])
def test_an_iteration_may_end_at_zero(slope):
    """Where each step moves by a part of what is left, never by a rounding of it."""
    x = fixed_point(affine, jnp.array(1.0), (slope, 0.0), 5000)
    assert abs(x) < 1e-4


def test_what_overflows_has_not_settled():
    assert jnp.isnan(fixed_point(affine, jnp.array(1.0), (1.5, 1.0), 5000))


def test_a_narrow_matrix_is_factored_in_float32():
    M = jax.random.normal(jax.random.key(0), (6, 6))
    A, b = (M @ M.T + jnp.eye(6)).astype("bfloat16"), jnp.ones(6, "bfloat16")
    x = jnp.linalg.solve(A.astype("float32"), b.astype("float32"))
    np.testing.assert_array_equal(manual.cholesky_solve(A, b), x.astype("bfloat16"))


def test_a_matrix_that_is_not_positive_definite_gives_nan():
    A = jnp.array([[1.0, 2.0], [2.0, 1.0]])
    assert jnp.isnan(manual.logdet(A))
    assert jnp.isnan(manual.cholesky_solve(A, jnp.ones(2))).all()


def test_only_the_symmetric_part_counts(x64):
    A = jnp.array([[3.0, 1.0], [0.5, 2.0]])
    S = (A + A.T) / 2
    np.testing.assert_allclose(manual.logdet(A), jnp.linalg.slogdet(S)[1], rtol=1e-14)
    dA = jax.grad(manual.logdet)(A)
    np.testing.assert_allclose(dA, jnp.linalg.inv(S), rtol=1e-14)


f = jnp.ones
BAD = {
    "logdet: A is of shape (2, 3)": lambda: logdet_fwd(f((2, 3))),
    "logdet: A is of type int32": lambda: logdet_fwd(f((2, 2), int)),
    "cholesky_solve: b is of shape (3,), expected [2]":
        lambda: cholesky_solve_fwd(f((2, 2)), f(3)),
    "fixed_point: f(x0, theta) is float32[3]":
        lambda: fixed_point_fwd(affine, f(()), (f(3), f(3)), 10),
    "fixed_point: iterations is 0": lambda: fixed_point_fwd(affine, f(2), (1, 1), 0),
    "fixed_point: x0 is of type int32":
        lambda: fixed_point_fwd(affine, f(2, int), (1, 1), 9),
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_bad_input_is_refused_with_argument_and_value(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        jax.jit(BAD[text])()

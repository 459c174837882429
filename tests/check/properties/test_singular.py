"""Systems that the rule solves: where one is singular, and where it is not to blame."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.check.oracle.truth import rule_of
from jaxninja.check.properties.singular import _singular
from jaxninja.check.subject.adapters import subject_of


def rule(divisor):
    """dx solves a system with the matrix x; what is solved for is divided."""

    @jax.custom_vjp
    def f(x):
        return x[0]

    def bwd(x, dy):
        return (jnp.outer(jnp.linalg.solve(x, dy / divisor), dy),)

    f.defvjp(lambda x: (x[0], x), bwd)
    return f


@pytest.mark.parametrize(
    ("matrix", "divisor", "expected"),
    [
        (np.ones((2, 2)), 1.0, [True, False]),
        (np.eye(2), 1.0, [False, False]),
        (np.eye(2), 0.0, [False, False]),  # not finite before it is solved
        (np.array([[1, 1], [2, 2 + 5e-7]]), 1.0, [False, True]),  # by a rounding
        (np.array([[1, 1], [2, 2 + 1e-3]]), 1.0, [False, False]),
    ],
)
def test_a_solve_that_is_singular_is_told_from_a_division(matrix, divisor, expected):
    subject, _ = subject_of(rule(divisor), (np.eye(2),))
    args, dy = (matrix.astype(np.float32),), [np.ones(2, np.float32)]
    assert _singular(subject)(args, dy).tolist() == expected
    finite = np.isfinite(rule_of(subject, args, dy).gradients[0]).all()
    assert finite == (divisor == 1 and not expected[0])

"""Of an iteration that is settled where it starts, the slope is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.oracle.settling import unrest_at
from tests.check.subjects import ruled


@pytest.mark.parametrize("factor", [1.0, 0.9])
def test_a_fixed_point_at_which_it_starts(factor):
    """E = m + e sin E is 0 at m = 0, and 60 steps with e = 0.9 leave 0.002 of dE/dm."""

    def solve(m, e):
        return jax.lax.fori_loop(0, 60, lambda _, E: m + e * jnp.sin(E), m)

    def fwd(m, e):
        E = solve(m, e)
        return E, (E, e)

    def bwd(res, dy):
        E, e = res
        u = dy / (1 - e * jnp.cos(E))
        return factor * u, (u * jnp.sin(E)).sum()

    m = np.array([0.9, 1.4, 0.7, 1.9], np.float32)
    report = check_vjp(ruled(solve, fwd, bwd, ()), m, np.float32(0.9), hints=False)
    assert (report.verdict != "fail") == (factor == 1), report.table()


def read_in_turn(w, x):
    return jax.lax.fori_loop(0, 12, lambda i, y: y + w[i] * 0.1**i * x, x)


def by_newton(features, labels):
    """Weights of least logistic loss, with a ridge; each step solves a system."""

    def step(_, w):
        p = jax.nn.sigmoid(features @ w)
        slope = features.T @ (p - labels) + w
        curved = (features * (p * (1 - p))[:, None]).T @ features
        return w - jnp.linalg.solve(curved + jnp.eye(len(w)), slope)

    return jax.lax.fori_loop(0, 12, step, jnp.zeros(features.shape[1]))


def by_implicit_steps(x, stiffness):
    """Each step of time is a fixed point; the steps themselves do not settle."""

    def step(x, _):
        def better(_, new):
            return x - 0.1 * stiffness * jnp.sin((x + new) / 2)

        return jax.lax.fori_loop(0, 25, better, x), None

    return jax.lax.scan(step, x, length=6)[0]


ROWS = np.random.default_rng(1).normal(size=(6, 3))
HALF = np.arange(6) % 2.0
ONE = np.float64(1)


@pytest.mark.parametrize(
    ("plain", "args", "far", "settles"),
    [
        (by_newton, (ROWS, HALF), (674 * np.sign(ROWS), HALF), False),
        (by_newton, (ROWS, HALF), (1.1 * ROWS, HALF), True),
        (by_implicit_steps, (HALF, 3 * ONE), (HALF, 90 * ONE), False),
        (by_implicit_steps, (HALF, 3 * ONE), (HALF, 3.3 * ONE), True),
        (read_in_turn, (HALF.repeat(2), HALF), (HALF.repeat(2), 9 * HALF), True),
    ],
)
def test_an_iteration_may_read_its_pivots_and_not_by_its_counter(
    plain, args, far, settles
):
    assert (unrest_at((plain, args), (plain, far)) < np.inf) == settles

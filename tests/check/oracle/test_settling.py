"""Of an iteration that is settled where it starts, the slope is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
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

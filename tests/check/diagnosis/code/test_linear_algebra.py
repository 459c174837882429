"""The NumPy twins of linear algebra, transforms and branches, against JAX."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.scipy.linalg import solve_triangular

from jaxninja.check.diagnosis.code.numpy_primitives import TWINS
from jaxninja.check.diagnosis.code.tracing import trace

RNG = np.random.default_rng(0)
A, B = RNG.normal(0, 1, (4, 4)), RNG.normal(0, 1, (4, 3))
SEVERAL = RNG.normal(0, 1, (2, 3, 4, 4))
WAVES = RNG.normal(0, 1, (3, 5)) + 1j * RNG.normal(0, 1, (3, 5))


def triangular(lower, trans):
    def solve(a, b):
        return [
            solve_triangular(a, b, lower=lower, trans=trans, unit_diagonal=unit)
            for unit in (False, True)
        ]

    return solve


CASES = {
    **{
        f"triangular {lower} {trans}": (triangular(lower, trans), (SEVERAL + 1j, B))
        for lower, trans in itertools.product((False, True), (0, 1, 2))
    },
    "cholesky": (jnp.linalg.cholesky, (A @ A.T + np.eye(4),)),
    "inverse": (jnp.linalg.inv, (SEVERAL,)),
    "determinant": (jnp.linalg.slogdet, (SEVERAL,)),
    "fft": (jnp.fft.fft, (WAVES,)),
    "inverse fft": (jnp.fft.ifft2, (WAVES,)),
    "real fft": (jnp.fft.rfft2, (SEVERAL,)),
    "real inverse fft": (lambda x: jnp.fft.irfft2(x, (4, 7)), (WAVES,)),
    "cond": (lambda a: lax.cond(a.sum() > 0, jnp.sin, jnp.cos, a), (A,)),
    "diagonal": (jnp.diagonal, (A,)),
    "sort": (lambda a: lax.sort((jnp.floor(a), a, -a), num_keys=2), (A,)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_twin_gives_what_jax_does(case, x64):
    f, args = CASES[case]
    args = [np.array(np.broadcast_to(a, (2, 3, 4, 3))) if a is B else a for a in args]
    program, _ = trace(f, *args)
    values = program.run(args)
    assert {step.name for step in program.steps} <= {*TWINS}
    expected = jax.tree.leaves(f(*args))
    for slot, one in zip(program.outputs, expected, strict=True):
        assert values[slot].dtype == one.dtype
        np.testing.assert_allclose(values[slot], one, rtol=1e-9, atol=1e-11)

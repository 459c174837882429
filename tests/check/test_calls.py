"""Calls that make no sense say so in a line of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from tests.check.subjects import ruled

X = np.array([0.7, -1.9, 2.3], np.float32)


def doubled():
    return ruled(lambda x, t: 2 * x, lambda x, t: (2 * x, None), bwd, ())


def bwd(_, dy):
    return 2 * dy, None


@pytest.mark.parametrize(
    ("t", "dtype"),
    [
        (np.array(["a", "b"]), "<U1"),
        ({"day": np.array(["2026-11-30"], "M8[D]")}, "datetime64"),
        (np.array([None]), "object"),
        ("mean", "<U4"),
    ],
)
def test_an_argument_without_numbers_is_named(t, dtype):
    with pytest.raises(
        TypeError, match=rf"^check_vjp: t.* holds {dtype}.* expected num"
    ):
        check_vjp(doubled(), X, t)


@pytest.mark.parametrize("around", [jax.jit, jax.vmap])
def test_a_traced_argument_is_told(around):
    with pytest.raises(TypeError, match=r"traced value.* outside of jax\.jit"):
        around(lambda x: check_vjp(doubled(), x, 1) and x)(X)


@pytest.mark.parametrize("dtype", ["float99", "int32"])
def test_a_dtype_that_is_none_to_run_in_is_told(dtype):
    with pytest.raises(TypeError, match=f"dtypes holds '{dtype}', expected names"):
        check_vjp(doubled(), X, jnp.int32(1), dtypes=(dtype,))

"""What is in order in the example stays so at all inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.order import in_order, order_of
from tests.check.subjects import ruled

DATA = np.ones(5, np.float32)
RISING = np.array([0.0, 0.7, 1.5, 3.0], np.float32)


# names, as given, put elsewhere, what becomes of it
@pytest.mark.parametrize(
    ("names", "given", "moved", "kept"),
    [
        (("low", "high"), (-DATA, DATA), (2 * DATA, DATA), (DATA, 2 * DATA)),
        (("x_min", "x_max"), (-DATA, DATA), (DATA, DATA), (0 * DATA, DATA)),
        (("a", "b"), (-DATA, DATA), (2 * DATA, DATA), (2 * DATA, DATA)),
        (("xp",), (RISING,), (RISING[::-1],), (RISING,)),
        (("xp",), (RISING,), (0 * RISING,), (RISING,)),
        (("x",), (RISING,), (0 * RISING,), (0 * RISING,)),
        (
            ("data", "rows"),
            (DATA, np.array([0, 2, 2, 5])),
            (DATA, np.array([2, 2, 2, 2])),
            (DATA, np.array([0, 2, 2, 5])),
        ),
        (
            ("data", "rows"),  # at another number of rows of data
            (DATA, np.array([0, 2, 2, 5])),
            (DATA[:3], np.array([5, 0, 2, 2])),
            (DATA[:3], np.array([0, 2, 2, 3])),
        ),
        (("perm",), (np.array([2, 0, 1]),), (np.array([1, 1, 0]),), ((1, 2, 0),)),
        (("ids",), (np.array([2, 0, 1]),), (np.array([1, 1, 0]),), ((1, 1, 0),)),
    ],
)
def test_it_is_put_in_order_again(names, given, moved, kept):
    order = order_of(names, given)
    for found, expected in zip(in_order(moved, order), kept, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(in_order(given, order), given, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_start_of_an_int32_and_a_number_is_of_64_bits_beside_float64():
    """JAX takes no two dtypes of integers for a start, and in float64 there are two."""

    def plain(cache, new, position):
        return jax.lax.dynamic_update_slice(cache, new, (position, 0))

    def bwd(position, g):
        new = jax.lax.dynamic_slice(g, (position, 0), (1, 3))
        return plain(g, jnp.zeros_like(new), position), new, None

    op = ruled(plain, lambda c, n, p: (plain(c, n, p), p), bwd, ())
    draw = np.random.default_rng(0).normal
    cache, new = (draw(size=s).astype(np.float32) for s in ((4, 3), (1, 3)))
    report = check_vjp(op, cache, new, jnp.int32(2), hints=False)
    assert report.ok, report.table()

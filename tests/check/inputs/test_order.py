"""What is in order in the example stays so at all inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.order import in_order, order_of
from tests.check.subjects import ruled

DATA = np.ones(5, np.float32)
CHAIN = np.array([0, 0, 1, 2])
ROWS = np.array([[2, 0, 1], [1, 2, 0]])
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
        (("ids",), (ROWS,), (ROWS[:, [0, 0, 1]],), (([1, 2, 0], [0, 1, 2]),)),
        (
            ("order", "back"),  # and what takes it back
            (np.array([2, 0, 3, 1]), np.array([1, 3, 0, 2])),
            (np.array([0, 0, 3, 3]), np.array([5, 5, 5, 5])),
            ((0, 1, 2, 3), (0, 1, 2, 3)),
        ),
        (
            ("x_start", "x_end"),
            (np.array([0, 3]), np.array([2, 4])),
            (np.array([4, 3]), np.array([1, 3])),
            ((1, 3), (4, 3)),
        ),
        (("up",), (np.array([-1, 0, 0, 2]),), (np.array([3] * 4),), ((-1, 0, 1, 2),)),
        (("parent",), (CHAIN,), (np.array([2] * 4),), ((0, 0, 1, 2),)),
        (("x",), (CHAIN,), (np.array([2] * 4),), ((2, 2, 2, 2),)),
        (
            ("data", "sizes"),  # rows of each group
            (DATA, np.array([2, 0, 3])),
            (DATA, np.array([1, 1, 1])),
            (DATA, (1, 1, 3)),
        ),
        (
            ("padded", "scale", "lengths"),
            (np.ones((2, 4, 5)), DATA, np.array([2, 3])),
            (np.ones((2, 4, 5)), DATA, np.array([0, 2])),
            (np.ones((2, 4, 5)), DATA, (0, 2)),
        ),
        (
            ("data", "labels"),  # three that add up by chance
            (DATA, np.array([2, 0, 3])),
            (DATA, np.array([1, 1, 1])),
            (DATA, (1, 1, 1)),
        ),
        (
            ("data", "lengths", "cu"),
            (DATA, np.array([2, 0, 3]), np.array([0, 2, 2, 5])),
            (DATA, np.array([4, 4, 4]), np.array([3, 1, -1, 7])),
            (DATA, (4, 1, 0), (0, 4, 5, 5)),
        ),
        (
            ("data", "bags"),  # of one row each
            (DATA[:3], np.array([0, 1, 2, 3])),
            (DATA[:3], np.array([-2, -2, 1, 2])),
            (DATA[:3], (0, 0, 1, 3)),
        ),
        (
            ("data", "labels"),  # no offsets: none is the number of rows
            (DATA, np.array([0, 1, 2, 3])),
            (DATA, np.array([3, 1, 1, 2])),
            (DATA, (3, 1, 1, 2)),
        ),
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


@pytest.mark.parametrize("factor", [1, 2])
def test_what_is_searched_stays_sorted_whatever_its_name(factor):
    """Below all heights the first holds, which is the lowest by this order alone."""

    def plain(x, heights, values):
        lowest = jnp.maximum(x, heights[0])
        return jnp.interp(lowest, heights, values)

    def bwd(res, g):
        x, heights, values = res
        lowest = jnp.clip(x, heights[0], heights[-1])
        i = jnp.clip(jnp.searchsorted(heights, lowest, side="right"), 1, 5)
        step, rise = heights[i] - heights[i - 1], values[i] - values[i - 1]
        part = (lowest - heights[i - 1]) / step
        within = (x > heights[0]) & (x < heights[-1])
        dx = jnp.where(within, g * rise / step, 0)
        inside = jnp.where(within, g * rise / step, 0)
        dheights = jnp.zeros(6).at[i].add(-inside * part)
        dheights = dheights.at[i - 1].add(-inside * (1 - part))
        dvalues = jnp.zeros(6).at[i].add(g * part).at[i - 1].add(g * (1 - part))
        return factor * dx, dheights.astype(x.dtype), dvalues.astype(x.dtype)

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    rng = np.random.default_rng(0)
    x, heights, values = (np.float32(rng.normal(size=n)) for n in (9, 6, 6))
    report = check_vjp(op, x, np.sort(heights), values, hints=False)
    assert report.ok == (factor == 1), report.table()

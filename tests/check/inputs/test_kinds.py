"""What an array holds is told by its entries, as far as they tell it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja import check_vjp
from jaxninja.check.inputs.kinds import is_sorted, kind_of, like
from tests.check.subjects import ruled

A = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (A, "definite"),
        (np.triu(A), "triangular"),
        (np.eye(2), "mask"),
        (np.eye(4)[[2, 0, 1, 1, 3]], "choice"),
        (np.eye(4), "mask"),  # weights perhaps
        (np.eye(4, dtype=np.int32)[[2, 0, 1]], "choice"),
        (np.zeros((2, 2)), "real"),  # symmetric as well, but so are unset weights
        (A / A.sum(-1, keepdims=True), "probability"),
        (A[0], "positive"),
        (-A[0], "real"),
    ],
)
def test_the_kind_of_an_array(values, kind):
    assert kind_of(values) == kind


@pytest.mark.parametrize(("top", "within"), [(0.95, True), (1.5, False)])
def test_levels_and_rates_stay_below_one(top, within):
    values = np.linspace(0.05, top, 7).astype(np.float32)
    drawn = like(values, np.random.default_rng(0), (999,))
    assert (drawn > 0).all()
    assert (drawn < 1).all() == within


@pytest.mark.parametrize(
    ("values", "ordered"),
    [
        *(([0, 3, 3, 7], True), ([[0, 0, 1], [1, 2, 2]], True)),
        *(([0, 1, 2, 3], False), ([2, 2, 2], False), ([1, 0], False)),
        ([[0, 0, 1], [2, 1, 2]], False),
    ],
)
def test_what_is_sorted_stays_so(values, ordered):
    values = np.array(values)
    assert is_sorted(values) == ordered
    rng = np.random.default_rng(0)
    drawn = [like(values, rng) for _ in range(20)]
    assert not ordered or all((np.diff(i) >= 0).all() for i in drawn)


@pytest.mark.parametrize("factor", [1, 2])
def test_targets_that_are_one_of_several_stay_so(factor):
    """softmax - target is the gradient for rows that add up to 1: no others come."""

    def plain(z, target):
        return -(target * jax.nn.log_softmax(z)).sum(-1)

    def bwd(res, g):
        z, target = res
        return factor * g[:, None] * (jax.nn.softmax(z) - target), None

    op = ruled(plain, lambda *a: (plain(*a), a), bwd, ())
    z = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    target = np.eye(4, dtype=np.float32)[[2, 0, 3, 3, 1]]
    report = check_vjp(op, z, target, nondiff="target", hints=False)
    assert report.ok == (factor == 1), report.table()


@pytest.mark.parametrize("factor", [1, 2])
def test_offsets_are_not_put_out_of_order(factor):
    def plain(x, offsets):
        sums = jnp.pad(jnp.cumsum(x), (1, 0))
        return sums[offsets[1:]] - sums[offsets[:-1]]

    def bwd(res, dy):
        offsets, n = res
        row = jnp.searchsorted(offsets, jnp.arange(n), side="right") - 1
        known = (row >= 0) & (row < len(dy))
        return factor * jnp.where(known, dy[jnp.clip(row, 0, len(dy) - 1)], 0), None

    op = ruled(
        plain, lambda x, offsets: (plain(x, offsets), (offsets, len(x))), bwd, ()
    )
    x = np.array([0.7, -1.9, 2.3, 0.4, 1.1, -0.6, 0.2], np.float32)
    report = check_vjp(op, x, np.array([0, 3, 3, 7]), hints=False)
    assert report.ok == (factor == 1), report.table()


def test_imaginary_parts_are_drawn_as_well():
    rng = np.random.default_rng(0)
    given = np.array([1.0, 0.5 - 1j, 0.2 + 0.3j, -0.4j], np.complex64)
    drawn = like(given, rng)
    assert drawn.dtype == given.dtype
    assert drawn.imag[0] == 0
    assert len(set(drawn.imag.tolist())) == 4
    assert not like(given.real.astype(given.dtype), rng, (5,)).imag.any()

"""Packed rows hold each symbol of each item once, at its place, and nothing else."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxninja.models.by_hand.layouts import packing


def table(rows, n):
    """How often each label stands at each place beside each id."""
    there = jnp.where(rows.labels >= 0, 1, 0)
    return (
        jnp.zeros((10, 20, 10), int).at[rows.labels, rows.places, rows.ids].add(there)
    )


@pytest.mark.parametrize(("N", "T"), [(1, 1), (2, 3), (5, 7), (33, 16)])
def test_nothing_is_lost_and_nothing_is_doubled(N, T):
    packed = jax.jit(partial(packing.in_packed_rows, table))
    draw = np.random.default_rng(N)
    for longest in [*range(T + 1)] * 2:
        ids, labels = draw.integers(0, 10, (2, N, T)).astype(np.int32)
        lengths = draw.integers(0, longest + 1, N)
        labels[np.arange(T) >= lengths[:, None]] = -1
        expected = np.zeros((10, 20, 10), int)
        for row, place in zip(*np.nonzero(labels >= 0), strict=True):
            expected[labels[row, place], place, ids[row, place]] += 1
        np.testing.assert_array_equal(packed(ids, labels), expected)


def test_an_item_does_not_see_the_one_before_it():
    labels = jnp.where(jnp.arange(7) < jnp.array([[5], [2]]), 3, -1)
    pairs = packing.paired(labels)
    rows = packing.rows_at(labels, labels, pairs, 0, 1)
    assert int(pairs.used) == 1
    assert rows.places.tolist() == [[0, 1, 2, 3, 4, 0, 1]]


def test_the_rows_are_as_few_as_pairs_can_be():
    used = jax.jit(lambda labels: packing.paired(labels).used)
    for lengths, rows in (
        ([4, 4, 4, 4], 2),
        ([5, 4, 4, 4], 3),  # the longest alone, and one that is left over
        ([8, 8, 8, 8], 4),
        ([7, 6, 2, 1], 2),
        ([8, 6, 2, 1], 3),
        ([0, 0, 8, 0], 2),
    ):
        labels = np.where(np.arange(8) < np.array(lengths)[:, None], 3, -1)
        assert int(used(labels)) == rows, lengths

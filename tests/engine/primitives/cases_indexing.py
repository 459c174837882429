"""Inputs for reading and writing at computed places: below, at and beyond both ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import SCALAR, X, real

SCATTER_ROWS = np.array([2, 0, 2])  # row 2 twice
ROWS = real(3, 4, seed=5)
LINE, BLOCK = real(5), real(2, seed=3)

# of 5 entries, from which 2 are taken: the last start is 3, the last index 4
ENDS = [-(2**31), -11, -10, -9, -7, -6, -5, -4, -2, -1, 0, 1, 3, 4, 5, 6, 9, 2**31 - 1]
ONCE = np.array([-12, -6, -4, -2, 0, 4, 5, 8])  # no place twice, dropped or not
MODES = ("clip", "fill", None)


def slices(x):
    """A block from every start, counted from the end or not, of every dtype."""
    take = partial(lax.dynamic_slice, x, slice_sizes=(2,))
    blocks = [take((np.int32(start),)) for start in ENDS]
    blocks += [take((start,)) for start in (np.int8(-7), np.uint8(9), np.int64(-9))]
    return jnp.stack(blocks)


def updated(x, block):
    put = partial(lax.dynamic_update_slice, x, block)
    return jnp.stack([put((np.int32(start),)) for start in ENDS])


def computed(how, *args, **options):
    """The starts are computed, so they are counted in the program itself."""

    def at(start):
        counted = how(*args, (start,), **options)
        return counted, how(*args, (start,), allow_negative_indices=False, **options)

    return lax.map(at, np.array(ENDS))


def slices_computed(x):
    return computed(lax.dynamic_slice, x, slice_sizes=(2,))


def updated_computed(x, block):
    return computed(lax.dynamic_update_slice, x, block)


def reads(x, indices):
    every = [x.at[indices].get(mode=mode, fill_value=0) for mode in MODES]
    return [*every, jnp.take(x, indices, mode="wrap")]


def writes(how, indices, modes=MODES):
    """One write a mode; fill drops what is out of range."""

    def f(x, updates):
        return [getattr(x.at[indices], how)(updates, mode=mode) for mode in modes]

    return f


def blocks_read(x):
    """Windows of two rows, from every start, clipped and filled."""
    numbers = lax.GatherDimensionNumbers((1,), (), (0,))
    take = partial(lax.gather, x, np.array(ENDS)[:, None], numbers, (2,))
    return take(mode="clip"), take(mode="fill", fill_value=0)


def blocks_written(x, updates):
    numbers = lax.ScatterDimensionNumbers((1,), (), (0,))
    put = partial(lax.scatter_add, x, np.array(ENDS)[:, None], updates, numbers)
    return put(mode="clip"), put(mode="drop")


def every(how, *more):
    return [
        (writes(how, np.array(ENDS)), LINE, real(len(ENDS))),
        (writes(how, np.array([[0, -1], [-1, 7]])), LINE, real(2, 2)),
        (lambda x, v: getattr(x.at[:, np.array([0, 0, 9])], how)(v), X, real(3, 3)),
        *more,
    ]


def multiplied(x, v):
    """JAX's own rule is for places that are written once."""
    return [
        x.at[ONCE].multiply(v, mode="drop", unique_indices=True),
        x.at[ONCE[:2]].multiply(v[:2], unique_indices=True),
        x[:, None].at[ONCE[2:6], 0].mul(v[2:6], mode="clip", unique_indices=True),
    ]


CASES = {
    "gather": [
        (partial(reads, indices=np.array(ENDS)), LINE),
        (blocks_read, LINE),
        (partial(reads, indices=np.array([250, 3, 5], np.uint8)), LINE),
        (lambda x: x[np.array([[0, 2], [2, 2]])], X),
        (lambda x: x[np.array([0, -1]), np.array([3, 3])], X),
        (lambda x: x[:, np.array([1, 1, 0])], X),
        (lambda x: jnp.take_along_axis(x, np.array([[0], [3], [-4]]), 1), X),
        (jax.vmap(lambda x, i: x[i], in_axes=(0, None)), X, np.array([1, 1, 2])),
        (lambda x, i: jax.vmap(slices, in_axes=1)(x)[i], X.repeat(2, 0)[:5], 0),
        (lambda x: jax.vmap(lambda i: lax.dynamic_slice(x, (i,), (2,)))(ONCE), LINE),
    ],
    "scatter": every(
        "set",
        (lambda x, v: x.at[SCATTER_ROWS].set(v), X, ROWS),
        (lambda x, v: x.at[np.array([0, 7])].set(v, mode="drop"), X, ROWS[:2]),
        (lambda x, v: x.at[1:, 2].set(v), X, SCALAR),
    ),
    "scatter-add": every(
        "add",
        (blocks_written, LINE, real(len(ENDS), 2)),
        (lambda x, v: x.at[SCATTER_ROWS].add(v), X, ROWS),
        (jax.vmap(lambda x, v: x.at[np.array([0, 0])].add(v)), X, ROWS[:, :2]),
    ),
    "scatter-sub": every("subtract"),
    "scatter-mul": [
        (multiplied, LINE, real(len(ONCE))),
        (multiplied, LINE * (LINE > 0), np.round(real(len(ONCE)))),
        (lambda x, v: x.at[1:, 2].mul(v, unique_indices=True), X, real(2)),
    ],
    # JAX's own rule for these two reads out of range, so all is in range
    **{
        name: [
            (lambda x, v, how=how: getattr(x.at[SCATTER_ROWS], how)(v), X, ROWS),
            (
                lambda x, v, how=how: getattr(x.at[np.array([0, 2, -3, 2])], how)(v),
                np.array([1.0, 2.0, 3.0]),
                np.array([1.0, 3.0, 1.0, 3.0]),
            ),
        ]
        for name, how in {"scatter-max": "max", "scatter-min": "min"}.items()
    },
    "dynamic_slice": [
        (slices, LINE),
        (slices_computed, LINE),
        *(
            (lambda x, i=i: lax.dynamic_slice(x, (jnp.asarray(i), -9), (2, 2)), X)
            for i in (-7, 0, 9)
        ),
    ],
    "dynamic_update_slice": [
        (updated, LINE, BLOCK),
        (updated_computed, LINE, BLOCK),
        *(
            (lambda x, v, i=i: lax.dynamic_update_slice(x, v, (i, np.int32(-6))), X, w)
            for i, w in ((np.int32(-7), real(2, 2)), (np.int32(9), real(1, 3)))
        ),
    ],
}

"""Inputs for reading and writing at computed places."""

import jax
import jax.numpy as jnp
import numpy as np
from inputs import SCALAR, X, real
from jax import lax

SCATTER_ROWS = np.array([2, 0, 2])  # row 2 twice
ROWS = real(3, 4, seed=5)


CASES = {
    # indexing
    "gather": [
        (lambda x: x[np.array([[0, 2], [2, 2]])], X),
        (lambda x: x[np.array([0, -1]), np.array([3, 3])], X),
        (lambda x: x[:, np.array([1, 1, 0])], X),
        (lambda x: x.at[np.array([0, 7])].get(mode="clip"), X),
        (lambda x: x.at[np.array([0, 7])].get(mode="fill", fill_value=0), X),
        (lambda x: jnp.take_along_axis(x, np.array([[0], [3], [3]]), 1), X),
        (jax.vmap(lambda x, i: x[i], in_axes=(0, None)), X, np.array([1, 1, 2])),
    ],
    "scatter": [
        (lambda x, v: x.at[SCATTER_ROWS].set(v), X, ROWS),
        (lambda x, v: x.at[np.array([0, 7])].set(v, mode="drop"), X, ROWS[:2]),
        (lambda x, v: x.at[1:, 2].set(v), X, SCALAR),
    ],
    "scatter-add": [
        (lambda x, v: x.at[SCATTER_ROWS].add(v), X, ROWS),
        (lambda x, v: x.at[:, np.array([0, 0, 9])].add(v), X, real(3, 3)),
        (jax.vmap(lambda x, v: x.at[np.array([0, 0])].add(v)), X, ROWS[:, :2]),
    ],
    "scatter-sub": [(lambda x, v: x.at[SCATTER_ROWS].subtract(v), X, ROWS)],
    "dynamic_slice": [
        (lambda x, i=i: lax.dynamic_slice(x, (jnp.asarray(i), 1), (2, 2)), X)
        for i in (0, 9)
    ],
    "dynamic_update_slice": [
        (lambda x, v, i=i: lax.dynamic_update_slice(x, v, (jnp.asarray(i), 1)), X, w)
        for i, w in ((0, real(2, 2)), (9, real(1, 3)))
    ],
}

"""Rows of a matrix a block at a time, for what is done to each row by itself.

A block that stays in cache is read from memory once, however many passes are made over
it, and what lies between the passes is as small as the block.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax


def over_rows(body: Callable, arrays: tuple, size: int):
    """`body(*blocks) -> (rows, sums)` for each block of `size` rows of the arrays.

    Args:
        body: makes rows [size, ...] of rows, and sums over them, a pytree.
        arrays: of one length N each. The first block has what `size` leaves of N.

    Returns:
        rows [N, ...] and the sums over all N.
    """
    N = len(arrays[0])
    count = -(-N // size)
    first = N - (count - 1) * size

    def block(start, length):
        return body(*(lax.dynamic_slice_in_dim(a, start, length) for a in arrays))

    def step(n, state):
        rows, sums = state
        start = first + n * size
        made, more = block(start, size)
        rows = lax.dynamic_update_slice_in_dim(rows, made, start, 0)
        return rows, jax.tree.map(jnp.add, sums, more)

    made, sums = block(0, first)
    if count == 1:
        return made, sums
    rows = jnp.zeros_like(made, shape=(N, *made.shape[1:])).at[:first].set(made)
    return lax.fori_loop(0, count - 1, step, (rows, sums))

"""A matrix product in chunks of W's columns: sizes, slices and types.

For rules that go over a vocabulary a chunk at a time, so that the [N, V] product never
exists as a whole. A last chunk that would reach beyond V starts earlier instead.
"""

import jax.numpy as jnp
from jax import lax

from jaxninja.rule import wide_type
from jaxninja.rules.loops import varying


def size(x, W, chunk):
    """Columns of a chunk: as asked, or as many as make about 2^21 numbers."""
    return min(chunk or max(128, 2**21 // len(x)), W.shape[1])


def loop(x, W, chunk, body, start):
    """`body(c, state)` for each chunk c; together they cover all columns of W."""
    return lax.fori_loop(0, -(-W.shape[1] // size(x, W, chunk)), body, start)


def columns(total, start, size):
    """Columns start to start + size of [D, V], or entries of [V]."""
    return lax.dynamic_slice_in_dim(total, start, size, -1)


def product(a, b):
    """a @ b in the type of a, summed in float32 or better."""
    return jnp.matmul(a, b.astype(a.dtype), preferred_element_type=wide_type(a))


def add_columns(total, part, start):
    """Add part [D, C] or [C] to columns start to start + C of total [D, V] or [V]."""
    old = columns(total, start, part.shape[-1])
    return lax.dynamic_update_slice_in_dim(total, old + part, start, -1)


def row(x, value, *made_of):
    """[N], one number per row of x, varying as x and the arrays of `made_of` do."""
    return varying(jnp.full(len(x), value, wide_type(x)), x, *made_of)

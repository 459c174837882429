"""VJPs of reading from a computed place, and of writing a block over one.

Reading y = x[i] is linear in x; its transpose adds dy up at i: an entry that was read
twice gets two terms, one that was not read gets zero. The indices are integers and have
no gradient. JAX clips or drops an index out of range; the way back is given the same
indices and the same mode, so it does the same.

The same indices: `lax.dynamic_slice` counts a negative start from the end, once, before
it binds its primitive. The start that a rule sees has been counted already, and -2 may
well be left of it: so the rules bind the primitives, whose starts are only clipped.
"""

import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives


def gather(dy, y, x, indices, *, dimension_numbers, mode, **params):
    """y = x[indices]: dx is dy added up where it was read."""
    d = dimension_numbers
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=d.offset_dims,
        inserted_window_dims=d.collapsed_slice_dims,
        scatter_dims_to_operand_dims=d.start_index_map,
        operand_batching_dims=d.operand_batching_dims,
        scatter_indices_batching_dims=d.start_indices_batching_dims,
    )
    flags = {k: params[k] for k in ("indices_are_sorted", "unique_indices")}
    zeros = jnp.zeros_like(x)
    return lax.scatter_add(zeros, indices, dy, numbers, mode=mode, **flags), None


def dynamic_slice(dy, y, x, *starts, **_):
    """y = the part of x from `starts` on: zero outside."""
    return _written(jnp.zeros_like(x), dy, starts), *(None for _ in starts)


def dynamic_update_slice(dy, y, x, update, *starts, **_):
    """y = x with a part written over: that part of dy is the update's."""
    dx = _written(dy, jnp.zeros_like(update), starts)
    sizes = update.shape
    dupdate = primitives.dynamic_slice_p.bind(dy, *starts, slice_sizes=sizes)
    return dx, dupdate, *(None for _ in starts)


def _written(x, update, starts):
    return primitives.dynamic_update_slice_p.bind(x, update, *starts)


INDEXING = {
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
}

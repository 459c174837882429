"""VJPs of reading from and writing into a computed place.

Reading y = x[i] is linear in x; its transpose adds dy up at i: an entry that was read
twice gets two terms, one that was not read gets zero. Writing is the other way round.
The indices are integers and have no gradient. JAX clips or drops an index out of range;
the way back is given the same mode, so it does the same.
"""

import jax.numpy as jnp
from jax import lax


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


def scatter_add(dy, y, x, indices, updates, **params):
    """y = x with updates added at indices."""
    return dy, None, _read_back(dy, indices, updates, **params)


def scatter_sub(dy, y, x, indices, updates, **params):
    """y = x with updates subtracted at indices."""
    return dy, None, -_read_back(dy, indices, updates, **params)


def scatter(dy, y, x, indices, updates, **params):
    """y = x with updates written at indices: what was written over gets zero.

    Where two updates fall on one entry the last one stays, and it alone gets dy. Which
    one stayed is found by writing their numbers, and reading them back.
    """
    numbers, mode = params["dimension_numbers"], params["mode"]

    def write(into, what):
        return lax.scatter(into, indices, what, numbers, mode=mode)

    dx = write(dy, jnp.zeros_like(updates))
    number = 1 + jnp.arange(updates.size).reshape(updates.shape)
    stayed = write(jnp.zeros(x.shape, number.dtype), number)
    read = _read_back(stayed, indices, updates, **params)
    dupdates = _read_back(dy, indices, updates, **params)
    return dx, None, jnp.where(read == number, dupdates, 0)


def _read_back(y, indices, updates, *, dimension_numbers, mode, **params):
    """The entries of y at the indices of a scatter, in the shape of its updates."""
    d = dimension_numbers
    numbers = lax.GatherDimensionNumbers(
        offset_dims=d.update_window_dims,
        collapsed_slice_dims=d.inserted_window_dims,
        start_index_map=d.scatter_dims_to_operand_dims,
        operand_batching_dims=d.operand_batching_dims,
        start_indices_batching_dims=d.scatter_indices_batching_dims,
    )
    window = iter(d.update_window_dims)
    dropped = {*d.inserted_window_dims, *d.operand_batching_dims}
    sizes = [1 if k in dropped else updates.shape[next(window)] for k in range(y.ndim)]
    flags = {k: params[k] for k in ("indices_are_sorted", "unique_indices")}
    return lax.gather(y, indices, numbers, sizes, mode=mode, fill_value=0, **flags)


def dynamic_slice(dy, y, x, *starts, **_):
    """y = the part of x from `starts` on: zero outside."""
    dx = lax.dynamic_update_slice(jnp.zeros_like(x), dy, starts[: x.ndim])
    return dx, *(None for _ in starts)


def dynamic_update_slice(dy, y, x, update, *starts, **_):
    """y = x with a part written over: that part of dy is the update's."""
    dx = lax.dynamic_update_slice(dy, jnp.zeros_like(update), starts)
    dupdate = lax.dynamic_slice(dy, starts, update.shape)
    return dx, dupdate, *(None for _ in starts)


INDEXING = {
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    "scatter": scatter,
    "scatter-add": scatter_add,
    "scatter-sub": scatter_sub,
}

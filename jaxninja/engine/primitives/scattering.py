"""VJPs of writing updates at computed places: set, add, subtract, multiply, max, min.

Reading at the indices of a write is its transpose, as in `indexing`: `_read_back` has
the same indices and the same mode, so what was dropped there is zero here, and what was
clipped there is clipped here.
"""

import jax.numpy as jnp
from jax import lax

from jaxninja.engine.errors import NoRule


def scatter_add(dy, y, x, indices, updates, **params):
    """y = x with updates added at indices."""
    return dy, None, _read_back(dy, indices, updates, **params)


def scatter_sub(dy, y, x, indices, updates, **params):
    """y = x with updates subtracted at indices."""
    return dy, None, -_read_back(dy, indices, updates, **params)


def scatter(dy, y, x, indices, updates, *, update_jaxpr=None, **params):
    """y = x with updates written at indices: what was written over gets zero.

    Where two updates fall on one entry the last one stays, and it alone gets dy. Which
    one stayed is found by writing their numbers, and reading them back.
    """
    if update_jaxpr is not None and update_jaxpr.outvars != update_jaxpr.invars[1:]:
        raise NoRule(
            "x.at[...].apply has no rule in the engine: write x.at[i].set(f(x[i]))"
        )
    number = 1 + jnp.arange(updates.size).reshape(updates.shape)
    zeros = jnp.zeros(x.shape, number.dtype)
    stayed = _write(lax.scatter, zeros, indices, number, **params)
    read = _read_back(stayed, indices, updates, **params)
    dx = _write(lax.scatter, dy, indices, jnp.zeros_like(updates), **params)
    dupdates = _read_back(dy, indices, updates, **params)
    return dx, None, jnp.where(read == number, dupdates, 0)


def scatter_mul(dy, y, x, indices, updates, **params):
    """y = x times all updates at its place: dy times all the other factors.

    The others of an update u are y / u, which fails at zeros: so zeros are counted, and
    p is the product without them. With no zero the others are p / u; with one they are
    p for that one and 0 for the rest; with more they are 0. x is a factor of p as is.
    """
    zero = (updates == 0).astype(x.dtype)
    zeros = _write(lax.scatter_add, jnp.zeros_like(x), indices, zero, **params)
    nonzero = jnp.where(updates == 0, 1, updates)
    p = _write(lax.scatter_mul, x, indices, nonzero, **params)
    rest = _read_back(zeros, indices, updates, **params) - zero
    others = _read_back(dy * p, indices, updates, **params) / nonzero
    dx = _write(lax.scatter_mul, dy, indices, updates, **params)
    return dx, None, jnp.where(rest == 0, others, 0)


def scatter_max(dy, y, x, indices, updates, **params):
    """y = max of x and its updates: all that reach it get an equal share."""
    kept = (x == y).astype(dy.dtype)
    top = _read_back(y, indices, updates, **params)
    won = (updates == top).astype(dy.dtype)
    share = dy / _write(lax.scatter_add, kept, indices, won, **params)
    return share * kept, None, won * _read_back(share, indices, updates, **params)


def _write(how, x, indices, updates, *, dimension_numbers, mode, **_):
    return how(x, indices, updates, dimension_numbers, mode=mode)


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


SCATTERING = {
    "scatter": scatter,
    "scatter-add": scatter_add,
    "scatter-max": scatter_max,
    "scatter-min": scatter_max,
    "scatter-mul": scatter_mul,
    "scatter-sub": scatter_sub,
}

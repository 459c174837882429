"""Gather and scatter in NumPy, for the small arrays on which edits are tried.

Both have one index vector a window: `_windows` lists, for each of them, the slices of
the operand and the place in the gathered (or scattered) array. The semantics are those
of XLA: a window that does not fit is moved (clip), filled, or left out.
"""

from collections.abc import Iterator

import numpy as np


def gather(params, operand, indices):
    """Windows of `operand` at the index vectors."""
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    offsets = tuple(numbers.offset_dims)
    hidden = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    batch = indices.shape[:-1]
    window = [n for i, n in enumerate(sizes) if i not in hidden]
    shape = _laid(offsets, window, batch)
    out = np.full(shape, _fill(params, operand.dtype), operand.dtype)
    batching = (numbers.operand_batching_dims, numbers.start_indices_batching_dims)
    found = _windows(
        operand.shape, indices, sizes, numbers.start_index_map, batching, params["mode"]
    )
    for place, slices in found:
        out[_at(place, offsets, len(shape))] = operand[slices].reshape(window)
    return out


def scatter(params, operand, indices, updates):
    """`operand` with windows replaced, or added to, by `updates`."""
    numbers = params["dimension_numbers"]
    windows = tuple(numbers.update_window_dims)
    hidden = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    lengths = iter(updates.shape[d] for d in windows)
    sizes = [1 if i in hidden else next(lengths, 1) for i in range(operand.ndim)]
    batching = (numbers.operand_batching_dims, numbers.scatter_indices_batching_dims)
    to_map = numbers.scatter_dims_to_operand_dims
    out, how = np.array(operand), params.get("update_jaxpr")
    name = how.eqns[0].primitive.name if how is not None and how.eqns else "set"
    mode = params["mode"]
    for place, slices in _windows(
        operand.shape, indices, sizes, to_map, batching, mode
    ):
        new = updates[_at(place, windows, updates.ndim)].reshape(sizes)
        old = out[slices]
        out[slices] = (
            old + new if "add" in name else old * new if "mul" in name else new
        )
    return out


def _laid(offsets, window, batch) -> tuple:
    inner, outer = iter(window), iter(batch)
    rank = len(window) + len(batch)
    return tuple(next(inner if d in offsets else outer) for d in range(rank))


def _at(place, windows, rank) -> tuple:
    """Index of a window: whole along window dimensions, `place` along the others."""
    outer = iter(place)
    return tuple(slice(None) if d in windows else next(outer) for d in range(rank))


def _fill(params, dtype):
    given = params.get("fill_value")
    if given is not None:
        return given
    if dtype.kind in "fc":
        return np.nan
    return np.iinfo(dtype).min if dtype.kind == "i" else 0


def _windows(shape, indices, sizes, to_map, batching, mode) -> Iterator:
    moves = "CLIP" in str(mode)
    for place in np.ndindex(indices.shape[:-1]):
        start = [0] * len(shape)
        for dim, value in zip(to_map, indices[place], strict=True):
            start[dim] = int(value)
        for dim, axis in zip(*batching, strict=True):
            start[dim] = place[axis]
        fits = [
            max(0, min(s, n - k)) for s, n, k in zip(start, shape, sizes, strict=True)
        ]
        if fits != start and not moves:
            continue
        yield place, tuple(slice(s, s + k) for s, k in zip(fits, sizes, strict=True))

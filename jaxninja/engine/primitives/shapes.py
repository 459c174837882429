"""VJPs of operations that move entries about: each is linear, dx = A^T dy.

Where y is a rearrangement of x, A^T is the way back; where x is copied, it is a sum;
where entries of x are left out, their gradient is zero.
"""

from itertools import accumulate

import jax.numpy as jnp
import numpy as np
from jax import lax


def reshape(dy, y, x, **_):
    """The same entries in another shape."""
    return (dy.reshape(x.shape),)


squeeze = reshape


def transpose(dy, y, x, *, permutation, **_):
    """Axis k of y is axis permutation[k] of x."""
    return (dy.transpose(np.argsort(permutation)),)


def broadcast_in_dim(dy, y, x, *sizes, shape, broadcast_dimensions, **_):
    """Axis k of x is axis broadcast_dimensions[k] of y; all else is copies."""
    kept = {
        axis for k, axis in enumerate(broadcast_dimensions) if x.shape[k] == shape[axis]
    }
    dx = dy.sum(tuple(axis for axis in range(len(shape)) if axis not in kept))
    return dx.reshape(x.shape), *(None for _ in sizes)


def rev(dy, y, x, *, dimensions, **_):
    """The order turned round along some axes."""
    return (lax.rev(dy, dimensions),)


def copy(dy, y, x, **_):
    """y = x, perhaps placed elsewhere."""
    return (dy,)


def each(cts, outs, *xs, **_):
    """Each result is its operand: moved to a device, or kept apart by a barrier."""
    return tuple(cts)


def slice_(dy, y, x, *, start_indices, limit_indices, strides, **_):
    """y = x[start:limit:stride]: zeros before, after and between."""
    steps = strides or (1,) * x.ndim
    ends = [
        start + (size - 1) * step + 1 if size else start
        for start, size, step in zip(start_indices, y.shape, steps, strict=True)
    ]
    padding = [
        (start, size - end, step - 1)
        for start, size, end, step in zip(
            start_indices, x.shape, ends, steps, strict=True
        )
    ]
    return (lax.pad(dy, jnp.zeros((), dy.dtype), padding),)


def pad(dy, y, x, value, *, padding_config, **_):
    """x with `value` before, after and between: x gets its entries' dy, value the rest.

    A negative padding cuts entries of x off; their gradient is zero.
    """
    zero = jnp.zeros((), dy.dtype)
    outer = [(-low, -high, 0) for low, high, _ in padding_config]
    steps = [between + 1 for _, _, between in padding_config]
    spread = lax.pad(dy, zero, outer)
    dx = lax.slice(spread, (0,) * x.ndim, spread.shape, steps)
    return dx, dy.sum() - dx.sum()


def concatenate(dy, y, *xs, dimension, **_):
    """The pieces side by side: each takes its own part of dy."""
    return tuple(_cut(dy, [x.shape[dimension] for x in xs], dimension))


def split(cts, outs, x, *, axis, **_):
    """The reverse of concatenate."""
    return (lax.concatenate(cts, axis),)


def stack(dy, y, *xs, axis=0, **_):
    """The pieces along a new axis."""
    return tuple(lax.index_in_dim(dy, k, axis, keepdims=False) for k in range(len(xs)))


def unstack(cts, outs, x, *, axis=0, **_):
    """The reverse of stack."""
    return (jnp.stack(cts, axis),)


def tile(dy, y, x, *, reps, **_):
    """x repeated reps[k] times along axis k: the sum over the repetitions."""
    pairs = [n for pair in zip(reps, x.shape, strict=True) for n in pair]
    return (dy.reshape(pairs).sum(tuple(range(0, len(pairs), 2))),)


def _cut(dy, sizes, axis):
    ends = list(accumulate(sizes))
    for size, end in zip(sizes, ends, strict=True):
        yield lax.slice_in_dim(dy, end - size, end, axis=axis)


SHAPES = {
    "broadcast_in_dim": broadcast_in_dim,
    "concatenate": concatenate,
    "copy": copy,
    "device_put": each,
    "optimization_barrier": each,
    "pad": pad,
    "reshape": reshape,
    "rev": rev,
    "sharding_constraint": copy,
    "slice": slice_,
    "split": split,
    "squeeze": squeeze,
    "stack": stack,
    "tile": tile,
    "transpose": transpose,
    "unstack": unstack,
}

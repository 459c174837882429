"""Windows along one axis, and their transpose; two axes are one after the other.

    part[k][t] = x[t s + k]                  for k < size, and as many t as fit

Transpose: an entry of x gathers what the parts that have it send,

    dx[i] = sum of dpart[k][t] over the k and t with t s + k = i
"""

import jax.numpy as jnp
from jax import lax


def parts(x, axis, size, stride):
    """What each place k of a window sees, for all windows: `size` arrays."""
    count = (x.shape[axis] - size) // stride + 1
    ends = [k + (count - 1) * stride + 1 for k in range(size)]
    return [lax.slice_in_dim(x, k, end, stride, axis) for k, end in enumerate(ends)]


def gather(dparts, axis, length, stride):
    """The transpose of `parts`, for an axis of this length."""
    return sum(_spread(d, axis, length, stride, k) for k, d in enumerate(dparts))


def _spread(d, axis, length, stride, first):
    zero = jnp.zeros((), d.dtype)
    after = length - first - ((d.shape[axis] - 1) * stride + 1)
    config = [(0, 0, 0)] * d.ndim
    config[axis] = first, after, stride - 1
    return lax.pad(d, zero, config)

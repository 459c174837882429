"""VJPs of sums and extrema over a sliding window: pooling.

A sum is a convolution with a kernel of ones, so its way back is one too: the window sum
of dy, dilated by the stride, with the stride of the dilation (see `convolution`).

A maximum comes from one entry of its window, the first in order of those that reach it;
that entry gets dy. Which it is, is found by a window over pairs (value, number). The
padding has the number after the last, so that what it would get is dropped.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import primitives

from jaxninja.engine.primitives.convolution import padding_back


def reduce_window_sum(
    dy,
    y,
    x,
    *,
    window_dimensions,
    window_strides,
    padding,
    base_dilation,
    window_dilation,
    **_,
):
    """y[p] = sum_k x[p s + k r - low]."""
    sizes, r, b, s = window_dimensions, window_dilation, base_dilation, window_strides
    lows = [low for low, _ in padding]
    front = [(k - 1) * d - low for k, d, low in zip(sizes, r, lows, strict=True)]
    back = padding_back(front, y.shape, s, sizes, r, x.shape, b)
    dx = primitives.reduce_window_sum_p.bind(
        dy,
        window_dimensions=sizes,
        window_strides=b,
        padding=tuple(back),
        base_dilation=s,
        window_dilation=r,
    )
    return (dx,)


def reduce_window_max(dy, y, x, **window):
    """y[p] = max_k x[p s + k r - low]."""
    return (_sent_to(_places(x, True, **window), dy, x),)


def reduce_window_min(dy, y, x, **window):
    """y[p] = min_k x[p s + k r - low]."""
    return (_sent_to(_places(x, False, **window), dy, x),)


def select_and_gather_add(dy, y, t, x, *, select_prim, **window):
    """y = the entries of t where a window of x has its maximum, or minimum."""
    greatest = select_prim is primitives.ge_p
    return _sent_to(_places(x, greatest, **window), dy, t), jnp.zeros_like(x)


def select_and_scatter_add(dy, y, t, x, *, select_prim, **window):
    """The transpose of that: t is added up there. x matters by its order only."""
    places = _places(x, select_prim is primitives.ge_p, **window)
    dt = jnp.take(dy.reshape(-1), places, mode="fill", fill_value=0)
    return dt, jnp.zeros_like(x)


def _sent_to(places, dy, x):
    flat = jnp.zeros(x.size, dy.dtype).at[places.reshape(-1)].add(dy.reshape(-1))
    return flat.reshape(x.shape)


def _places(
    x,
    greatest,
    *,
    window_dimensions,
    window_strides,
    padding,
    base_dilation=None,
    window_dilation=None,
):
    """For each window, the number of the entry that it is decided by."""

    def better(a, b):
        (x, i), (y, j) = a, b
        first = ((x > y) if greatest else (x < y)) | ((x == y) & (i < j))
        return jnp.where(first, x, y), jnp.where(first, i, j)

    x = lax.stop_gradient(x)
    worst = np.asarray(-np.inf if greatest else np.inf, x.dtype)
    number = jnp.arange(x.size, dtype=jnp.int32).reshape(x.shape)
    _, places = lax.reduce_window(
        (x, number),
        (worst, np.int32(x.size)),
        better,
        window_dimensions,
        window_strides,
        padding,
        base_dilation,
        window_dilation,
    )
    return places


WINDOWS = {
    "reduce_window_max": reduce_window_max,
    "reduce_window_min": reduce_window_min,
    "reduce_window_sum": reduce_window_sum,
    "select_and_gather_add": select_and_gather_add,
    "select_and_scatter_add": select_and_scatter_add,
}

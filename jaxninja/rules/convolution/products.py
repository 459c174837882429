"""The three products of a convolution: x with w, and the two that send dy back.

Along one axis, with stride s, dilation d and `low` zeros before x (x is 0 outside):

    y[n, t, o] = sum_k,c x[n, t s + k d - low, c] w[k, c, o]

It is linear in x and in w, so each moves y by its own product. To transpose, ask where
an entry of x was read: at the t and k with i = t s + k d - low. So

    dx[n, i, c] = sum_k,o dy[n, (i + low - k d) / s, o] w[k, c, o]    where s divides
    dw[k, c, o] = sum_n,t x[n, t s + k d - low, c] dy[n, t, o]

Both are convolutions again. With s - 1 zeros between its steps, dy has its step t at
t s, and the first reads it backwards in k: with the flipped kernel, its ins and outs
exchanged, after (K - 1) d - low zeros. The second has dy as its kernel and n in the
place of channels: what was the stride is now the dilation, and the other way round.

Groups cut channels and outputs into G parts that do not see each other: w is
[K, C / G, O], part g of x [.., g C / G + c] meets part g of w [.., g O / G + o] alone.
Each axis of more has its own s, d, low, and nothing else changes.

Check: K = 1 without padding is a linear layer for each t, dx = dy w.T, dw = x.T dy.
Entries of x that the last stride does not reach get no gradient.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from jaxninja.rule import sharding


class Window(NamedTuple):
    """Where a kernel is laid: numbers for each axis but batch and channels."""

    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # zeros before and after x
    dilation: tuple[int, ...]
    groups: int


def convolve(x, w, window: Window):
    """x [N, *L, C] with w [*K, C / groups, O]: y [N, *T, O]."""
    return lax.conv_general_dilated(
        x,
        w,
        window.stride,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=_channels_last(x.ndim),
        feature_group_count=window.groups,
    )


def to_x(dy, w, lengths, window: Window):
    """dx [N, *L, C], for L = `lengths`."""
    return lax.conv_general_dilated(
        dy,
        _flipped(w, window.groups),
        (1,) * len(lengths),
        [
            ((K - 1) * d - low, L - 1 + low - (T - 1) * s)
            for K, L, T, (low, _), s, d in _axes(w.shape, lengths, dy.shape[1:], window)
        ],
        lhs_dilation=window.stride,
        rhs_dilation=window.dilation,
        dimension_numbers=_channels_last(dy.ndim),
        feature_group_count=window.groups,
    )


def to_w(x, dy, w, window: Window):
    """dw [*K, C / groups, O], split over devices as w is; w's entries are not read."""
    axes = tuple(range(1, x.ndim - 1))
    C_in_place_of_n, K_first = (x.ndim - 1, 0, *axes), (len(axes), len(axes) + 1)
    return lax.conv_general_dilated(
        x,
        dy,
        window.dilation,
        [
            (low, (T - 1) * s + (K - 1) * d + 1 - L - low)
            for K, L, T, (low, _), s, d in _axes(
                w.shape, x.shape[1:], dy.shape[1:], window
            )
        ],
        rhs_dilation=window.stride,
        dimension_numbers=lax.ConvDimensionNumbers(
            C_in_place_of_n, C_in_place_of_n, (*K_first, *range(len(axes)))
        ),
        batch_group_count=window.groups,
        out_sharding=sharding(w),
    )


def _axes(kernel, lengths, steps, window):
    return zip(
        kernel,
        lengths,
        steps,
        window.padding,
        window.stride,
        window.dilation,
        strict=False,
    )


def _channels_last(ndim):
    axes = tuple(range(1, ndim - 1))
    last = (0, ndim - 1, *axes)
    return lax.ConvDimensionNumbers(last, (ndim - 1, ndim - 2, *range(ndim - 2)), last)


def _flipped(w, groups):
    """[*K, C / G, O] from its end in K, ins and outs exchanged: [*K, O / G, C]."""
    *K, C, O = w.shape
    w = jnp.flip(w, tuple(range(len(K)))).reshape(*K, C, groups, O // groups)
    return jnp.moveaxis(w, -1, -3).swapaxes(-1, -2).reshape(*K, O // groups, -1)

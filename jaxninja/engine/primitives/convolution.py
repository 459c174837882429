"""VJP of convolution: both gradients are convolutions again.

One spatial axis, stride s, padding `low` before, x dilated by b (zeros in between), the
kernel w by r; batch n, features i and o:

    y[n, o, p] = sum_{i, k} x[n, i, q] w[o, i, k]       over all q b = p s + k r - low

Collect what x[n, i, q] and what w[o, i, k] are multiplied with:

    dx[n, i, q] = sum_{o, k} dy[n, o, p] w[o, i, k]     with  p s = q b - k r + low
    dw[o, i, k] = sum_{n, p} dy[n, o, p] x[n, i, q]     with  q b = k r + p s - low

The first runs over dy dilated by s, with the kernel turned round and stride b. The
second runs over x with dy as the kernel: its batch is i, it sums over n, its stride is
r. The padding behind is whatever makes the result as long as x, or as w.
"""

import jax.numpy as jnp
from jax import lax

from jaxninja.engine.errors import NoRule


def conv_general_dilated(dy, y, x, w, *, dimension_numbers, **params):
    """Any layout, stride, padding and dilation; no groups."""
    if params["feature_group_count"] != 1 or params["batch_group_count"] != 1:
        raise NoRule(
            "the engine's rule of conv_general_dilated is for one group, not for "
            f"feature_group_count = {params['feature_group_count']}, "
            f"batch_group_count = {params['batch_group_count']}"
        )
    x_spec, w_spec, y_spec = (
        dimension_numbers.lhs_spec,
        dimension_numbers.rhs_spec,
        dimension_numbers.out_spec,
    )
    strides, b, r = (
        params[name] for name in ("window_strides", "lhs_dilation", "rhs_dilation")
    )
    lows = [low for low, _ in params["padding"]]
    sizes = [
        [array.shape[axis] for axis in spec[2:]]
        for array, spec in ((x, x_spec), (w, w_spec), (y, y_spec))
    ]
    options = {k: params[k] for k in ("precision", "preferred_element_type")}

    front = [(k - 1) * d - low for k, d, low in zip(sizes[1], r, lows, strict=True)]
    dx = lax.conv_general_dilated(
        dy,
        jnp.flip(w, w_spec[2:]),
        window_strides=b,
        padding=_padding(front, sizes[2], strides, sizes[1], r, sizes[0], b),
        lhs_dilation=strides,
        rhs_dilation=r,
        dimension_numbers=lax.ConvDimensionNumbers(y_spec, _swap(w_spec), x_spec),
        **options,
    )
    dw = lax.conv_general_dilated(
        x,
        dy,
        window_strides=r,
        padding=_padding(lows, sizes[0], b, sizes[2], strides, sizes[1], r),
        lhs_dilation=b,
        rhs_dilation=strides,
        dimension_numbers=lax.ConvDimensionNumbers(
            _swap(x_spec), _swap(y_spec), _swap(w_spec)
        ),
        **options,
    )
    return dx.astype(x.dtype), dw.astype(w.dtype)


def _swap(spec):
    """The same layout with the first two roles, batch and feature, exchanged."""
    return (spec[1], spec[0], *spec[2:])


def _padding(front, inputs, spread, kernels, dilation, outputs, strides):
    """Padding in front as given, and behind so that `outputs` steps just fit."""
    pairs = []
    for low, n, s, k, d, m, t in zip(
        front, inputs, spread, kernels, dilation, outputs, strides, strict=True
    ):
        needed = (m - 1) * t + (k - 1) * d + 1
        pairs.append((low, needed - low - ((n - 1) * s + 1)))
    return pairs


CONVOLUTION = {"conv_general_dilated": conv_general_dilated}

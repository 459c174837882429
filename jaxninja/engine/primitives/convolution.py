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

In G groups, of features (x and w in blocks (g, i), (g, o)) or of the batch (x and dy in
blocks (g, n), (g, o)), each block is such a convolution by itself, and so are its
gradients. XLA wants the number g of a block in front of the output features of its
kernel, which is where it has to be moved:

    features    dx: w from [(g, o), i] to [o, (g, i)];    dw: the batch (g, i) in groups
    batch       dx: the same, in groups of features, and then from [n, (g, i)] to
                [(g, n), i];    dw: in groups of features, (g, n)
"""

import jax.numpy as jnp
from jax import lax


def conv_general_dilated(dy, y, x, w, *, dimension_numbers, **params):
    """Any layout, stride, padding, dilation, in groups of features or of the batch."""
    features, batches = params["feature_group_count"], params["batch_group_count"]
    groups = features * batches  # one of them is 1
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
        _moved(jnp.flip(w, w_spec[2:]), groups, w_spec[0], w_spec[1]),
        window_strides=b,
        padding=padding_back(front, sizes[2], strides, sizes[1], r, sizes[0], b),
        lhs_dilation=strides,
        rhs_dilation=r,
        dimension_numbers=lax.ConvDimensionNumbers(y_spec, _swap(w_spec), x_spec),
        feature_group_count=groups,
        **options,
    )
    dx = _moved(dx, batches, x_spec[1], x_spec[0])
    dw = lax.conv_general_dilated(
        x,
        dy,
        window_strides=r,
        padding=padding_back(lows, sizes[0], b, sizes[2], strides, sizes[1], r),
        lhs_dilation=b,
        rhs_dilation=strides,
        dimension_numbers=lax.ConvDimensionNumbers(
            _swap(x_spec), _swap(y_spec), _swap(w_spec)
        ),
        feature_group_count=batches,
        batch_group_count=features,
        **options,
    )
    return dx.astype(x.dtype), dw.astype(w.dtype)


def _swap(spec):
    """The same layout with the first two roles, batch and feature, exchanged."""
    return (spec[1], spec[0], *spec[2:])


def _moved(x, groups, source, target):
    """The number of the group, from before one axis to before another."""
    if groups == 1:
        return x
    split = [*x.shape[:source], groups, x.shape[source] // groups]
    x = x.reshape(*split, *x.shape[source + 1 :])
    x = jnp.moveaxis(x, source, target)
    return x.reshape(*x.shape[:target], -1, *x.shape[target + 2 :])


def padding_back(front, inputs, spread, kernels, dilation, outputs, strides):
    """Padding in front as given, and behind so that `outputs` steps just fit."""
    pairs = []
    for low, n, s, k, d, m, t in zip(
        front, inputs, spread, kernels, dilation, outputs, strides, strict=True
    ):
        needed = (m - 1) * t + (k - 1) * d + 1
        pairs.append((low, needed - low - ((n - 1) * s + 1)))
    return pairs


CONVOLUTION = {"conv_general_dilated": conv_general_dilated}

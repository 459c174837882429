"""What conv1d, conv2d and causal_conv1d share: all but where the kernel is laid.

    y = x * w + b            (* is products.py's sum, linear on either side)

Perturb x, w and b, then transpose each term; both transposes are convolutions again:

    dy = dx * w + x * dw + db
    dx = dy * flipped w      dw = x * dy      db = sum of dy over all but the last axis

Check: a kernel of one entry is a linear layer, dx = dy w.T, dw = x.T dy.
"""

from typing import NamedTuple

import jax

from jaxninja.rule import along_last
from jaxninja.rules.convolution.products import Window, convolve, to_w, to_x


class Residuals(NamedTuple):
    x: jax.Array  # [N, *L, C]
    w: jax.Array  # [*K, C / groups, O]; y is not kept
    b: jax.Array | None  # [O, 0]: no bytes, it tells None from a bias


def forward(x, w, b, window: Window):
    """Returns y [N, *T, O] and Residuals."""
    y = _plus(convolve(x, w, window), b)
    return y, Residuals(x, w, None if b is None else b[:, None][:, :0])


def backward(res: Residuals, dy, window: Window):
    """Returns dx [N, *L, C], dw [*K, C / groups, O], db [O] or None."""
    x, w, b = res
    dx = to_x(dy, w, x.shape[1:-1], window)
    dw = to_w(x, dy, w, window)
    return dx, dw, None if b is None else dy.sum(tuple(range(dy.ndim - 1)))


def forward_mode(primals, tangents, window: Window):
    """Returns y and its move dy [N, *T, O] for moves of x, w and b."""
    (x, w, b), (dx, dw, db) = primals, tangents
    dy = convolve(dx, w, window) + convolve(x, dw, window)
    return _plus(convolve(x, w, window), b), dy if b is None else _plus(dy, db)


def _plus(y, b):
    return y if b is None else y + along_last(b, y)

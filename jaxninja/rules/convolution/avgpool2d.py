"""Mean over windows of an image, channels last.

    y[n, i, j, c] = sum over k, l < size of x[n, i s + k, j s + l, c] / (number of k, l)

Perturb x; y is linear in it, so its move is the same mean of dx. Transpose: an entry of
x gathers from each window that it is in, and each gives it the same share:

    dx[a, b] = sum over k, l of dy[(a - k) / s, (b - l) / s] / (number of k, l)
               where s divides both

With s - 1 zeros between its entries, dy has its entry i at i s. So this is again a sum
over windows of the same size, with stride 1 now, of dy spread in this way and put after
size - 1 zeros. Nothing is kept but the shape.

Check: size = stride divides an image into windows: dx is dy / (number), each repeated
over its window. Where the stride does not fit, what is left has no gradient.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.convolution.arguments import pool


class Residuals(NamedTuple):
    x: jax.Array  # [0, N, H, W, C]: no bytes, it carries the shape


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def avgpool2d(
    x: Float[Array, "N H W C"],
    size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
) -> Float[Array, "N S T C"]:
    """Mean over windows of an image.

    Args:
        x: [N, H, W, C]; PyTorch has [N, C, H, W].
        size: rows and columns of a window; one number, or one for each axis.
        stride: from one window to the next, alike; None is the size.

    Returns:
        [N, S, T, C] with S = (H - size) // stride + 1, and T of W alike. What is left
        where the stride does not fit is not read.

    Raises:
        ValueError: x is not [N, H, W, C], not floating, or smaller than a window; or
            size or stride is below 1.

    Source: LeCun et al. 1989, Neural Computation 1.
    """
    return avgpool2d_fwd(x, size, stride)[0]


def avgpool2d_fwd(x, size, stride):
    size, stride = pool("avgpool2d", x, size, stride)
    y = _sum(x, size, stride) / (size[0] * size[1])
    return y, Residuals(jnp.empty((0, *x.shape), x.dtype))


def avgpool2d_bwd(size, stride, res, dy):
    """Returns dx [N, H, W, C], in a one-tuple."""
    x = jax.ShapeDtypeStruct(res.x.shape[1:], res.x.dtype)
    size, stride = pool("avgpool2d", x, size, stride)
    _, H, W, _ = x.shape
    spread = [(0, 0, 0)] + [
        (K - 1, L - 1 - (T - 1) * s, s - 1)
        for K, L, T, s in zip(size, (H, W), dy.shape[1:3], stride, strict=True)
    ]
    share = lax.pad(dy / (size[0] * size[1]), dy.dtype.type(0), [*spread, (0, 0, 0)])
    return (_sum(share, size, (1, 1)),)


avgpool2d.defvjp(avgpool2d_fwd, avgpool2d_bwd)


def avgpool2d_jvp(size, stride, primals, tangents):
    """Returns y and its move dy [N, S, T, C] for a move of x."""
    y, dy = (avgpool2d_fwd(x, size, stride)[0] for (x,) in (primals, tangents))
    return y, dy


def _sum(x, size, stride):
    """Of each window."""
    zero, sizes, strides = x.dtype.type(0), (1, *size, 1), (1, *stride, 1)
    return lax.reduce_window(x, zero, lax.add, sizes, strides, "VALID")


def example(key, N, H, W, C):
    return (jax.random.normal(key, (N, H, W, C)),)


rule = Rule(
    op=avgpool2d,
    fwd=avgpool2d_fwd,
    bwd=avgpool2d_bwd,
    jvp=avgpool2d_jvp,
    example=example,
    cases=(
        Case({"N": 2, "H": 5, "W": 7, "C": 3}, (2, 2)),  # neither fits
        Case({"N": 1, "H": 7, "W": 5, "C": 2}, ((3, 2), (2, 1))),  # windows overlap
        Case({"N": 1, "H": 3, "W": 4, "C": 1}, (1, 3)),
    ),
    bench=Case({"N": 16, "H": 64, "W": 64, "C": 32}, (2, 2)),
    source="LeCun et al. 1989, Neural Computation 1",
)

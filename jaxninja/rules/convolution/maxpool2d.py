"""Maximum over windows of an image, channels last.

    y[n, i, j, c] = max over k, l < size of x[n, i s + k, j s + l, c]

A window's maximum is that of its rows' maxima. So one derivation, along one axis, is
used twice: along W, then along H. With the place of each maximum, written at[t],

    y[t] = x[t s + at[t]]        at[t] = the first k with the largest x[t s + k]

Perturb x by so little that no other entry becomes the largest: y moves as that entry
does, and the places stay. Where several are equal the first counts, as in JAX:

    dy[t] = dx[t s + at[t]]

Transpose: each maximum sends its cotangent to its place, and where windows overlap an
entry gathers from all windows whose maximum it was:

    dx[i] = sum over t of dy[t] where t s + at[t] = i

Only the places are kept, a byte each while windows have at most 256 rows and columns.

Check: size = stride = 1 gives y = x, dx = dy; for equal entries the first gets all.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxninja.rule import Case, Rule
from jaxninja.rules.convolution.arguments import pool
from jaxninja.rules.convolution.windows import gather, parts

H_AXIS, W_AXIS = 1, 2


class Residuals(NamedTuple):
    columns: jax.Array  # [N, H, T, C] of each maximum along W; x and y are not kept
    rows: jax.Array  # [N, S, T, C] of each maximum along H
    x: jax.Array  # [0, N, H, W, C]: no bytes, it carries the shape


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def maxpool2d(
    x: Float[Array, "N H W C"],
    size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
) -> Float[Array, "N S T C"]:
    """Maximum over windows of an image.

    The gradient goes to the maximum, of equal entries to the first one (row by row), as
    in JAX. A NaN in a window is its maximum.

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

    Source: Ranzato, Huang, Boureau, LeCun 2007, CVPR; ties as in JAX.
    """
    size, stride = pool("maxpool2d", x, size, stride)
    lowest = x.dtype.type(-jnp.inf)
    sizes, strides = (1, *size, 1), (1, *stride, 1)
    return lax.reduce_window(x, lowest, lax.max, sizes, strides, "VALID")


def maxpool2d_fwd(x, size, stride):
    size, stride = pool("maxpool2d", x, size, stride)
    y, columns = _largest(parts(x, W_AXIS, size[1], stride[1]))
    y, rows = _largest(parts(y, H_AXIS, size[0], stride[0]))
    return y, Residuals(columns, rows, jnp.empty((0, *x.shape), x.dtype))


def maxpool2d_bwd(size, stride, res, dy):
    """Returns dx [N, H, W, C], in a one-tuple."""
    x = jax.ShapeDtypeStruct(res.x.shape[1:], res.x.dtype)
    size, stride = pool("maxpool2d", x, size, stride)
    _, H, W, _ = x.shape
    dy = gather(_chosen(dy, res.rows, size[0]), H_AXIS, H, stride[0])
    return (gather(_chosen(dy, res.columns, size[1]), W_AXIS, W, stride[1]),)


maxpool2d.defvjp(maxpool2d_fwd, maxpool2d_bwd)


def maxpool2d_jvp(size, stride, primals, tangents):
    """Returns y and its move dy [N, S, T, C] for a move of x."""
    (x,), (dx,) = primals, tangents
    y, (columns, rows, _) = maxpool2d_fwd(x, size, stride)
    size, stride = pool("maxpool2d", x, size, stride)
    dx = _picked(parts(dx, W_AXIS, size[1], stride[1]), columns)
    return y, _picked(parts(dx, H_AXIS, size[0], stride[0]), rows)


def _largest(parts):
    """The maximum of several arrays, and which one it is of."""
    small = jnp.uint8 if len(parts) <= 256 else jnp.int32
    y, at = parts[0], jnp.zeros_like(parts[0], small)
    for k, part in enumerate(parts[1:], 1):
        larger = (part > y) | jnp.isnan(part)
        y, at = jnp.where(larger, part, y), jnp.where(larger, small(k), at)
    return y, at


def _picked(parts, at):
    return sum(_chosen_one(part, at, k) for k, part in enumerate(parts))


def _chosen(dy, at, size):
    """dy for the place of each maximum, 0 for the others: `size` arrays."""
    return [_chosen_one(dy, at, k) for k in range(size)]


def _chosen_one(d, at, k):
    return jnp.where(at == at.dtype.type(k), d, jnp.zeros_like(d))


def example(key, N, H, W, C):
    return (jax.random.normal(key, (N, H, W, C)),)


rule = Rule(
    op=maxpool2d,
    fwd=maxpool2d_fwd,
    bwd=maxpool2d_bwd,
    jvp=maxpool2d_jvp,
    example=example,
    cases=(
        Case({"N": 2, "H": 5, "W": 7, "C": 3}, (2, 2)),  # neither fits
        Case({"N": 1, "H": 7, "W": 5, "C": 2}, ((3, 2), (2, 1))),  # windows overlap
        Case({"N": 1, "H": 3, "W": 4, "C": 1}, (1, 3)),
    ),
    bench=Case({"N": 16, "H": 64, "W": 64, "C": 32}, (2, 2)),
    source="Ranzato, Huang, Boureau, LeCun 2007, CVPR",
)

"""VJPs of operations along axes: sums, products, extrema, matrix products, sorting."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxninja.engine.core import Call
from jaxninja.jaxpr import bind


def _back(dy, x, axes):
    """dy along the axes that were reduced away: one value for all entries of x."""
    kept = [k for k in range(x.ndim) if k not in axes]
    return lax.broadcast_in_dim(dy, x.shape, kept)


def reduce_sum(dy, y, x, *, axes, **_):
    """y = sum x: every entry has slope 1."""
    return (_back(dy, x, axes),)


def reduce_max(dy, y, x, *, axes, **_):
    """y = max x: dy goes to the entries that reach it, in equal shares at a tie."""
    reached = (x == _back(y, x, axes)).astype(dy.dtype)
    share = dy / reached.sum(axes)
    return (reached * _back(share, x, axes),)


def reduce_prod(dy, y, x, *, axes, **_):
    """y = prod x: the slope of an entry is the product of all others.

    Others are those before times those after; dividing y by x would fail at zeros.
    """
    size = int(np.prod([x.shape[k] for k in axes]))
    last = [k for k in range(x.ndim) if k not in axes] + list(axes)
    flat = x.transpose(last).reshape(*y.shape, size)
    one = jnp.ones((*y.shape, min(size, 1)), x.dtype)
    before = jnp.concatenate([one, flat[..., :-1]], -1)
    after = jnp.concatenate([flat[..., 1:], one], -1)
    axis = flat.ndim - 1
    others = lax.cumprod(before, axis) * lax.cumprod(after, axis, reverse=True)
    dx = (dy[..., None] * others).reshape([x.shape[k] for k in last])
    return (dx.transpose(np.argsort(last)),)


def cumsum(dy, y, x, *, axis, reverse, **_):
    """y[i] = sum of x[j] for j <= i: x[j] is in all y[i] with i >= j."""
    return (lax.cumsum(dy, axis, reverse=not reverse),)


def dot_general(dz, z, x, y, *, dimension_numbers, precision, **_):
    """z = x y, summed over the contracted axes: dx = dz y^T, dy = x^T dz.

    The axes of z are those of the batch, the free ones of x, the free ones of y. Each
    gradient contracts dz with the other factor over that factor's free axes; its axes
    then come as batch, own free ones, contracted ones, and are put back in order.
    """
    (x_sum, y_sum), (x_batch, y_batch) = dimension_numbers
    batch = len(x_batch)
    x_free = _others(x.ndim, x_sum, x_batch)
    y_free = _others(y.ndim, y_sum, y_batch)
    z_batch = tuple(range(batch))
    z_x = tuple(range(batch, batch + len(x_free)))
    z_y = tuple(range(batch + len(x_free), z.ndim))

    def back(other, z_free, other_free, other_batch, way, order):
        # the contracted axes come in the order that they have in the other factor
        numbers = ((z_free, other_free), (z_batch, other_batch))
        product = lax.dot_general(
            dz, other, numbers, precision=way, preferred_element_type=z.dtype
        )
        return product.transpose(np.argsort(order))

    x_order = [*x_batch, *x_free, *_paired(x_sum, y_sum)]
    y_order = [*y_batch, *y_free, *_paired(y_sum, x_sum)]
    # dz stands on the left in both
    dx = back(y, z_y, y_free, y_batch, precision, x_order)
    dy = back(x, z_x, x_free, x_batch, _turned(precision), y_order)
    return dx.astype(x.dtype), dy.astype(y.dtype)


def _turned(precision):
    """A precision may be a pair, of the left factor and of the right one."""
    return precision[::-1] if type(precision) is tuple else precision


def _others(ndim, *taken):
    return tuple(k for k in range(ndim) if all(k not in axes for axes in taken))


def _paired(mine, theirs):
    """My contracted axes, in the order of their partners in the other factor."""
    return [axis for _, axis in sorted(zip(theirs, mine, strict=True))]


def sort_forward(eqn, operands, active, rules):
    """Numbers sorted along say where each entry came from, ties of a sort included."""
    axis = eqn.params["dimension"]
    places = lax.broadcasted_iota(jnp.int32, operands[0].shape, axis)
    *results, came_from = bind(eqn, [*operands, places])
    return results, came_from


def sort_backward(eqn, came_from, cts, active, rules):
    """A permutation: each entry's dy goes back to the place the entry came from."""
    axis = eqn.params["dimension"]
    way_back = jnp.argsort(came_from, axis=axis)
    return [
        None if ct is None else jnp.take_along_axis(ct, way_back, axis) for ct in cts
    ], None


def top_k(cts, outs, x, *, axis=-1, **_):
    """The k largest along an axis: they get their dy, the others zero."""
    zeros = jnp.zeros_like(x)
    return (jnp.put_along_axis(zeros, outs[1], cts[0], axis, inplace=False),)


REDUCTIONS = {
    "cumsum": cumsum,
    "dot_general": dot_general,
    "reduce_max": reduce_max,
    "reduce_min": reduce_max,
    "reduce_prod": reduce_prod,
    "reduce_sum": reduce_sum,
    "sort": Call(sort_forward, sort_backward),
    "top_k": top_k,
}

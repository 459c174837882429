"""The three products of a linear layer, and the way back through a table's rows.

    y = x W         dW = x.T dy         dx = dy W.T         (rules/basic/linear.py)

Leading axes are rows. Before x.T dy the transpose of x is written out: XLA's CPU
backend is up to three times slower where it sums over the rows of both factors.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from jaxninja.models.by_hand.parts.products import product

FEW = 512  # symbols up to which a product with one-hot rows is quicker than adding rows


def products(dtype: str) -> tuple[Callable[..., Array], ...]:
    """x_W(x, W), xT_dy(x, dy) and dy_WT(dy, W) with their products in `dtype`."""
    return tuple(partial(f, dtype=dtype) for f in (_x_W, _xT_dy, _dy_WT))


def _x_W(x, W, dtype):
    return product(_rows(x), W, dtype).reshape(*x.shape[:-1], W.shape[1])


def _xT_dy(x, dy, dtype):
    return product(lax.optimization_barrier(_rows(x).T), _rows(dy), dtype)


def _dy_WT(dy, W, dtype):
    return product(_rows(dy), W, dtype, axis=-1).reshape(*dy.shape[:-1], W.shape[0])


def _rows(x):
    return x.reshape(-1, x.shape[-1])


def sum_rows(
    ids: Int[Array, "*batch"], demb: Float[Array, "*batch E"], V: int
) -> Float[Array, "V E"]:
    """dC [V, E] of emb = C[ids]: row v is the sum of demb where v was read."""
    ids, demb = ids.reshape(-1), _rows(demb)
    if V > FEW:
        return jnp.zeros((V, demb.shape[1]), demb.dtype).at[ids].add(demb)
    read = jax.nn.one_hot(ids, V, dtype=demb.dtype, axis=0)  # [V, rows]
    return read @ demb

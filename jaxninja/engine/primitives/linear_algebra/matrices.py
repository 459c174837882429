"""What the rules of linear algebra share: matrices on the last two axes."""

import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives


def adjoint(x):
    """Transposed and conjugated; of real matrices the transpose."""
    return jnp.conj(x.mT)


def product(*factors):
    """The matrix product, in full precision on every device, as JAX's own solvers."""
    first, *others = factors
    for other in others:
        first = jnp.matmul(first, other, precision=lax.Precision.HIGHEST)
    return first


def solved(a, b, **options):
    """x of op(a) x = b, or of x op(a) = b with left_side=False, for a triangle a.

    options: lower, transpose_a, conjugate_a, unit_diagonal, left_side.
    """
    every = {"left_side": True, "lower": False, "transpose_a": False}
    every |= {"conjugate_a": False, "unit_diagonal": False}
    return primitives.triangular_solve_p.bind(a, b, **(every | options))


def identity(x):
    """Ones on the diagonals of square matrices like x, zeros elsewhere."""
    return jnp.broadcast_to(jnp.eye(x.shape[-1], dtype=x.dtype), x.shape)


def on_diagonal(x):
    """A vector as the diagonal of a matrix."""
    rows = jnp.broadcast_to(x[..., None], (*x.shape, x.shape[-1]))
    return rows * identity(rows)


def where_moved(numerator, gaps):
    """numerator / gaps, and 0 where nothing is to be divided, whatever the gap."""
    gaps = gaps.astype(numerator.dtype)
    return jnp.where(numerator == 0, 0, numerator / jnp.where(numerator == 0, 1, gaps))

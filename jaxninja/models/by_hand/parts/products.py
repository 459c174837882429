"""Matrix products of a backward pass by hand: their type, and their order in memory."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def product(
    a: Float[Array, "*batch N D"], b: Float[Array, "*batch D K"], dtype: str
) -> Float[Array, "*batch N K"]:
    """a @ b; in bfloat16 of rounded factors, with sums in the type of a.

    XLA's CPU backend lacks such a product; that of the rounded factors is the same.
    """
    if dtype == "float32":
        return a @ b

    def rounded(a, b):
        return lax.reduce_precision(a, 8, 7) @ lax.reduce_precision(b, 8, 7)

    def native(a, b):
        wide, a, b = a.dtype, a.astype(dtype), b.astype(dtype)
        return jnp.matmul(a, b, preferred_element_type=wide)

    return lax.platform_dependent(a, b, cpu=rounded, default=native)


def over_rows(
    a: Float[Array, "N D"], b: Float[Array, "N K"], dtype: str
) -> Float[Array, "D K"]:
    """a.T @ b, a sum over the rows of both.

    XLA's CPU backend takes it at two thirds of its speed where b is narrow, and b.T @ a
    at full speed. That is turned afterwards, if there are rows enough to make up for it
    (measured); the barrier keeps XLA from undoing it.
    """
    N, narrow = len(a), b.shape[1]
    if narrow < a.shape[1] and 2 * narrow <= N:
        return lax.optimization_barrier(product(b.T, a, dtype)).T
    return product(a.T, b, dtype)

"""Matrix products of a backward pass by hand: their type, and their order in memory."""

from jax import lax
from jaxtyping import Array, Float

from jaxninja.rules.blocking import in_parallel


def product(
    a: Float[Array, "*batch N D"], b: Array, dtype: str = "float32", axis: int = -2
) -> Float[Array, "*batch N K"]:
    """a @ b, summed over this axis of b; with -1 it is a @ b.mT.

    In bfloat16 the factors are rounded, and the sums are still taken in a's type. A CPU
    has no such product, but that of the rounded factors is the same.
    """
    batch = tuple(range(a.ndim - 2))
    axes = ((a.ndim - 1,), (b.ndim + axis,)), (batch, batch)
    if dtype == "float32":
        return lax.dot_general(a, b, axes)

    if in_parallel():
        wide, a, b = a.dtype, a.astype(dtype), b.astype(dtype)
        return lax.dot_general(a, b, axes, preferred_element_type=wide)
    a, b = lax.reduce_precision(a, 8, 7), lax.reduce_precision(b, 8, 7)
    return lax.dot_general(a, b, axes)


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

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


def turned(a: Float[Array, "*batch N D"]) -> Float[Array, "*batch D N"]:
    """a transposed, in memory too.

    A product a.T @ b sums over the rows of both, which XLA on a CPU does at a third of
    its usual speed. The barrier keeps it from folding the transpose into the product.
    """
    return lax.optimization_barrier(a.mT)

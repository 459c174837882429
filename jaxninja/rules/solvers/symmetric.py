"""Symmetric, positive definite matrices: their factor, what it solves, their checks.

Factorisations exist in float32 and float64 only: a narrower matrix is factored in
float32, and the factor stays so.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from jaxninja.rule import expect, expect_floats, wide


def factor(A: jax.Array) -> jax.Array:
    """The lower triangular L with L @ L.T = (A + A.T) / 2; NaN if there is none."""
    return jnp.linalg.cholesky(wide(A), symmetrize_input=True)


def solve(L: jax.Array, b: jax.Array) -> jax.Array:
    """x with L @ L.T @ x = b, in the type of L."""
    return cho_solve((L, True), b.astype(L.dtype))


def square(op: str, A: jax.Array) -> None:
    """Refuse what is not a square matrix of floats."""
    fits = A.ndim == 2 and A.shape[0] == A.shape[1] > 0
    expect(op, "A", f"of shape {A.shape}", "[n, n] with n > 0", fits)
    expect_floats(op, A=A)


def right_side(op: str, A: jax.Array, b: jax.Array) -> None:
    """Refuse what is not [n] or [n, k] of the type of A."""
    n = len(A)
    fits = b.ndim in (1, 2) and b.shape[0] == n
    expected = f"[{n}] or [{n}, k], as A is {A.shape}"
    expect(op, "b", f"of shape {b.shape}", expected, fits)
    expect_floats(op, A=A, b=b)

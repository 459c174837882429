"""Symmetric, positive definite matrices: their factor, what it solves, their doors."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from jaxninja.rule import expect


def factor(A: jax.Array) -> jax.Array:
    """The lower triangular L with L @ L.T = (A + A.T) / 2; NaN if there is none."""
    return jnp.linalg.cholesky(A.astype(_wide(A)), symmetrize_input=True).astype(
        A.dtype
    )


def solve(L: jax.Array, b: jax.Array) -> jax.Array:
    """x with L @ L.T @ x = b."""
    return cho_solve((L.astype(_wide(L)), True), b.astype(_wide(L))).astype(b.dtype)


def _wide(A: jax.Array) -> jnp.dtype:
    """Factorisations exist in float32 and float64 only."""
    return jnp.dtype("float64" if A.dtype == jnp.float64 else "float32")


def square(op: str, A: jax.Array) -> None:
    """Refuse what is not a square matrix of floats."""
    fits = A.ndim == 2 and A.shape[0] == A.shape[1] > 0
    expect(op, "A", f"of shape {A.shape}", "[n, n] with n > 0", fits)
    real = jnp.issubdtype(A.dtype, jnp.floating)
    expect(op, "A", f"of type {A.dtype}", "floats", real)


def right_side(op: str, A: jax.Array, b: jax.Array) -> None:
    """Refuse what is not [n] or [n, k] of floats."""
    n = len(A)
    fits = b.ndim in (1, 2) and b.shape[0] == n
    expected = f"[{n}] or [{n}, k], as A is {A.shape}"
    expect(op, "b", f"of shape {b.shape}", expected, fits)
    real = jnp.issubdtype(b.dtype, jnp.floating)
    expect(op, "b", f"of type {b.dtype}", "floats", real)

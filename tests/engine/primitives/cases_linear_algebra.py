"""Inputs for linear algebra: generic matrices, wide, tall, complex, in batches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import real

A = real(4, 4) + 4 * np.eye(4)
BATCH = real(2, 3, 3) + 4 * np.eye(3)
TALL, WIDE = real(5, 3), real(3, 5)
B = real(4, 2)
COMPLEX = A + 1j * real(4, 4, seed=1)
HERMITIAN = COMPLEX @ COMPLEX.conj().T
TWICE = np.diag([1.0, 2.0, 2.0])  # two eigenvalues are one


def triangular(**options):
    return partial(lax.linalg.triangular_solve, **options)


TRIANGULAR = [
    dict(
        zip(("left_side", "lower", "transpose_a", "unit_diagonal"), flags, strict=True)
    )
    for flags in ((1, 0, 0, 0), (0, 1, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1))
]


def iterated(a, b):
    """A solver of one's own: 30 steps of Jacobi's iteration."""

    def solve(matvec, b):
        return lax.fori_loop(0, 30, lambda _, x: x + (b - matvec(x)) / 5, b)

    def matvec(x):
        return a @ jnp.sin(1.0) @ x if a.ndim == 0 else a @ x

    return lax.custom_linear_solve(matvec, b, solve, transpose_solve=solve)


def symmetric_solve(a, b):
    """Several arrays, and a solver that has no derivative of its own."""

    def matvec(x):
        return {"p": a @ x["p"], "q": 3 * x["q"]}

    def solve(_, b):
        return {"p": lax.stop_gradient(jnp.linalg.inv(a)) @ b["p"], "q": b["q"] / 3}

    b = {"p": b, "q": jnp.sin(b)}
    return lax.custom_linear_solve(matvec, b, solve, symmetric=True)


def tridiagonal(low, diagonal, high, b):
    return lax.linalg.tridiagonal_solve(low, diagonal, high, b)


def decomposed(f, matrices=(BATCH, COMPLEX, TALL, WIDE)):
    return [(f, matrix) for matrix in matrices]


def pivoted(a):
    return lax.linalg.qr(a, pivoting=True, full_matrices=False)


def values_of_eigenvectors(a):
    """What does not depend on the phases of the vectors, which are free."""
    w, v = jnp.linalg.eigh(a)
    return w, abs(v) ** 2, jnp.einsum("...ij,...kj->...ikj", v, jnp.conj(v))


CASES = {
    "triangular_solve": [
        *((triangular(**o), A, B if o["left_side"] else B.T) for o in TRIANGULAR),
        (triangular(left_side=True, conjugate_a=True), COMPLEX, B + 1j),
        (triangular(lower=True, transpose_a=True, conjugate_a=True), COMPLEX, B.T + 1j),
        (triangular(left_side=True, lower=True), BATCH, real(2, 3, 1)),
    ],
    "tridiagonal_solve": [
        (tridiagonal, *real(3, 4), B),
    ],
    "linear_solve": [
        (jnp.linalg.solve, A, B),
        (jnp.linalg.solve, BATCH, real(2, 3, 1)),
        (jnp.linalg.solve, COMPLEX, B[:, 0] + 1j),
        (jnp.linalg.inv, A),
        (iterated, A, B[:, 0]),
        (symmetric_solve, A + A.T, B[:, 0]),
        (jax.vmap(jnp.linalg.solve, (None, 0)), BATCH[0], real(2, 3)),
    ],
    "cholesky": [
        (jnp.linalg.cholesky, BATCH @ BATCH.swapaxes(1, 2)),
        (jnp.linalg.cholesky, HERMITIAN),
    ],
    "lu": decomposed(lambda a: lax.linalg.lu(a)[0]),
    "qr": [
        *decomposed(lambda a: jnp.linalg.qr(a)),
        *decomposed(pivoted, (A, TALL)),
    ],
    "eigh": [
        (jnp.linalg.eigh, A),
        (jnp.linalg.eigvalsh, BATCH),
        (jnp.linalg.eigvalsh, TWICE),
        (values_of_eigenvectors, HERMITIAN),
    ],
    "svd": [
        *decomposed(
            partial(jnp.linalg.svd, full_matrices=False),
            (BATCH, COMPLEX, COMPLEX[:2], COMPLEX[:, :2]),
        ),
        *decomposed(partial(jnp.linalg.svd, compute_uv=False), (TALL, TWICE)),
    ],
}

"""VJPs of triangular factorisations: Cholesky, LU and QR.

Perturb the equation, divide by the factors from both sides, and split what stands there
into triangles: each side of the sum is one part of it. For A = L U:

    dA = dL U + L dU        F = L^-1 dA U^-1 = (L^-1 dL) + (dU U^-1)

The first term is strictly lower (L has a diagonal of ones), the second upper: so
dL = L low(F) and dU = up(F) U. Transposed, with the cotangents dL and dU, and with ^T
without a conjugate (as everywhere: the cotangent of a + i b is da - i db):

    F = low(L^T dL) + up(dU U^T)        dA = L^-T F U^-T

The others are derived alike, at their functions.
"""

import jax.numpy as jnp
import numpy as np

from jaxninja.engine.errors import NoRule
from jaxninja.engine.primitives.linear_algebra.matrices import (
    adjoint,
    identity,
    product,
    solved,
)


def cholesky(dy, y, x, **_):
    """x = L L^H: L^-1 dx L^-H = (L^-1 dL) + (L^-1 dL)^H, a triangle and its adjoint.

    So dL = L half(L^-1 dx L^-H), where half keeps the lower triangle and half of the
    diagonal. Transposed: dx = L^-T half(L^T dL) conj(L)^-1.
    """
    L = jnp.tril(y)
    half = jnp.tril(product(L.mT, jnp.tril(dy)))
    half = half * (1 - 0.5 * identity(half))
    left = solved(L, half, lower=True, transpose_a=True)
    flags = {"left_side": False, "lower": True, "conjugate_a": True}
    return (solved(L, left, **flags),)


def lu(cts, outs, x, **_):
    """P x = L U, of which L and U come in one matrix, [m, n] like x.

    Where x is no square, L or U is completed to one with ones on its diagonal, which
    adds zeros to the products above.
    """
    (dy, *_), (y, _, permutation) = cts, outs
    m, n = x.shape[-2:]
    L = _square(jnp.tril(y[..., :, :m], -1), m)
    L = L + identity(L)
    U = _square(jnp.triu(y[..., :n, :]), n)
    rest = np.arange(n) >= m
    U = U + identity(U) * jnp.broadcast_to(jnp.asarray(rest, y.dtype), U.shape)
    F = jnp.tril(product(L.mT, dy), -1) + jnp.triu(product(dy, U.mT))
    left = solved(L, F, lower=True, transpose_a=True, unit_diagonal=True)
    dpx = solved(U, left, left_side=False, transpose_a=True)
    back = jnp.argsort(permutation, axis=-1)
    return (jnp.take_along_axis(dpx, back[..., None], -2),)


def qr(cts, outs, x, *, full_matrices, pivoting=False, **_):
    """x = Q R with Q^H Q = 1. Let C = dx R^-1 and M = Q^H C:

        C = dQ + Q dR R^-1        M = (Q^H dQ) + (dR R^-1)

    The first term W is skew (W^H = -W), the second upper with a real diagonal, so W is
    low(M) - low(M)^H + i Im diag(M), and dQ = C + Q (W - M), dR = (M - W) R.
    Transposed:

        K = Q^T dQ - dR R^T       V = low(K - K^H) + i Im diag(K) - K
        dx = (dQ + conj(Q) V) R^-T

    A wide x = [a, b] is Q [R, S] with S = Q^H b: so db = conj(Q) dS, and dQ gets
    (dS b^T)^H in addition.
    """
    (dq, dr, *_), (q, r, *order) = cts, outs
    m, n = x.shape[-2:]
    if full_matrices and m > n:
        raise NoRule(
            f"qr of a [{m}, {n}] matrix with full matrices has no derivative in the "
            "engine: the columns of Q beyond x are not determined; use mode='reduced'"
        )
    if pivoting:
        x = jnp.take_along_axis(x, order[0][..., None, :], -1)
    dq = dq + adjoint(product(dr[..., m:], x[..., m:].mT))
    wide = product(jnp.conj(q), dr[..., m:])
    dx = jnp.concatenate([_thin_qr(dq, dr[..., :m], q, r[..., :m]), wide], -1)
    if pivoting:
        back = jnp.argsort(order[0], axis=-1)
        dx = jnp.take_along_axis(dx, back[..., None, :], -1)
    return (dx,)


def _thin_qr(dq, dr, q, r):
    K = product(q.mT, dq) - product(dr, r.mT)
    V = jnp.tril(K - adjoint(K), -1) - K
    if jnp.iscomplexobj(K):
        V = V + 1j * identity(K) * K.imag.astype(K.dtype)
    return solved(r, dq + product(jnp.conj(q), V), left_side=False, transpose_a=True)


def _square(x, size):
    """With zeros behind, up to [size, size]."""
    missing = [(0, size - given) for given in x.shape[-2:]]
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + missing)


FACTORISATIONS = {"cholesky": cholesky, "lu": lu, "qr": qr}

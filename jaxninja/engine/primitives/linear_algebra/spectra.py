"""VJPs of eigenvalues and singular values, and of their vectors.

A hermitian A = V diag(w) V^H, with V^H V = 1. V dV = V (V^H dV), and V^H dV is skew:

    V^H dA V = P        dw = diag(P)        V^H dV = P[i, j] / (w[j] - w[i]), i != j

The diagonal of V^H dV is the phase of a vector, which is free: it is left as it is, 0.
Transposed, with the cotangents dw and dV, and ^T without a conjugate:

    dA = conj(V) (diag(dw) + (V^T dV)[i, j] / (w[j] - w[i])) V^T

Check: A = diag(a), distinct: V = 1 and dA = diag(dw). Where two eigenvalues are equal
their vectors have no derivative, and dA is infinite; if nothing depends on the vectors,
the values have the gradient above, for the V at hand.
"""

import jax.numpy as jnp
from jax.extend.core import primitives

from jaxninja.engine.core import Call
from jaxninja.engine.errors import NoRule
from jaxninja.engine.primitives.linear_algebra.matrices import (
    adjoint,
    identity,
    on_diagonal,
    product,
    where_moved,
)
from jaxninja.jaxpr import bind


def eigh(cts, outs, x, *, subset_by_index=None, **_):
    """All eigenvalues of a hermitian x, and their vectors."""
    (dV, dw), (V, w) = cts, outs
    if w.shape[-1] != x.shape[-1]:
        raise NoRule(
            f"eigh of a part of the spectrum (subset_by_index = {subset_by_index}) has "
            "no rule in the engine: compute all of it, and select afterwards"
        )
    gaps = w[..., None, :] - w[..., :, None]
    turned = where_moved(_off_diagonal(product(V.mT, dV)), gaps)
    inner = on_diagonal(dw.astype(x.dtype)) + turned
    return (product(jnp.conj(V), inner, V.mT),)


# ---- singular values


def svd_forward(eqn, operands, active, rules):
    """The vectors too, as the gradient of the values needs them."""
    (x,), params = operands, eqn.params
    if not params["compute_uv"]:
        params = params | {"compute_uv": True, "full_matrices": False}
        s, u, vh = primitives.svd_p.bind(x, **params)
        return [s], (x, s, u, vh)
    results = bind(eqn, operands)
    return results, (x, *results)


def svd_backward(eqn, saved, cts, active, rules):
    """x = U S V^H, with U^H U = V^H V = 1; k singular values, x [m, n].

    P = U^H dx V, dS = Re diag(P). Off the diagonal, U^H dU = A and V^H dV = B are skew:

        P = A S + dS - S B
        P S + S P^H = A S^2 - S^2 A        A[i, j] = f[i, j] (P S + S P^H)[i, j]
        S P + P^H S = B S^2 - S^2 B        B[i, j] = f[i, j] (S P + P^H S)[i, j]

    with f[i, j] = 1 / (s[j]^2 - s[i]^2). The phase i Im(P[k, k]) / s[k] is U's. If
    m > n, U also moves out of its span, by (1 - U U^H) dx V / S; if n > m, V by
    (1 - V V^H) dx^H U / S. Transposed, G = f (U^T dU), H = f (V^T dV), and with
    T = (G + G^H) S + S (H + H^H) + diag(dS + i Im diag(U^T dU) / s):

        dx = conj(U) T V^T + (1 - U U^H)^T (dU / S) V^T + ((1 - V V^H)^T (dV / S) U^T)^H
    """
    x, s, u, vh = saved
    m, n = x.shape[-2:]
    _check_svd(eqn, m, n, s)
    ds, du, dv = cts[0], *(_or_zeros(cts, k, y) for k, y in ((1, u), (2, vh)))
    v, dv = adjoint(vh), adjoint(dv)
    gaps = (s[..., None, :] - s[..., :, None]) * (s[..., None, :] + s[..., :, None])
    utdu, vtdv = product(u.mT, du), product(v.mT, dv)
    G, H = (where_moved(_off_diagonal(t), gaps) for t in (utdu, vtdv))
    values = ds.astype(x.dtype)
    if jnp.iscomplexobj(x):
        values = values + 1j * where_moved(_diagonal(utdu).imag, s).astype(x.dtype)
    T = on_diagonal(values)
    S = s.astype(x.dtype)
    T = T + (G + adjoint(G)) * S[..., None, :] + S[..., :, None] * (H + adjoint(H))
    dx = product(jnp.conj(u), T, v.mT)
    if m > n:
        dx = dx + product(_beyond(u, where_moved(du, s[..., None, :])), v.mT)
    if n > m:
        out = product(_beyond(v, where_moved(dv, s[..., None, :])), u.mT)
        dx = dx + adjoint(out)
    return [dx], None


def _check_svd(eqn, m, n, s):
    full = eqn.params["compute_uv"] and eqn.params["full_matrices"]
    if full and m != n:
        raise NoRule(
            f"svd of a [{m}, {n}] matrix with full matrices has no derivative in the "
            "engine: the vectors beyond x are not determined; use full_matrices=False"
        )
    if s.shape[-1] != min(m, n):
        raise NoRule(
            "svd of a part of the spectrum (subset_by_index) has no rule in the "
            "engine: compute all of it, and select afterwards"
        )


def _or_zeros(cts, k, y):
    return cts[k] if len(cts) > 1 else jnp.zeros_like(y)


def _beyond(u, d):
    """(1 - U U^H)^T d: what of d is not in the span of conj(U)."""
    return d - product(jnp.conj(u), product(u.mT, d))


def _off_diagonal(x):
    return x * (1 - identity(x))


def _diagonal(x):
    return jnp.diagonal(x, axis1=-2, axis2=-1)


SPECTRA = {"eigh": eigh, "svd": Call(svd_forward, svd_backward)}

"""Triangular systems, factorisations and Fourier transforms in NumPy.

Each takes the place of a primitive of JAX's, whose dispatch would take all the time on
small arrays. What has no solution is NaN, as in JAX.
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg


def triangular_solve(params, a, b):
    """x of a x = b, or of x a = b, by the one triangle of a."""
    a = np.tril(a) if params["lower"] else np.triu(a)
    if params["unit_diagonal"]:
        eye = np.eye(a.shape[-1], dtype=bool)
        a = np.where(eye, np.ones((), a.dtype), a)
    a = np.swapaxes(a, -1, -2) if params["transpose_a"] else a
    a = np.conj(a) if params["conjugate_a"] else a
    if params["left_side"]:
        return _solved(a, b)
    return np.swapaxes(_solved(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)


def _solved(a, b):
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan)


def cholesky(params, a):
    try:
        return np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)


def lu(params, a) -> list:
    """The factors in one array, the rows that are exchanged, and their order."""
    *batch, m, n = np.shape(a)
    factors, pivots = np.array(a), np.zeros((*batch, min(m, n)), np.int32)
    order = np.zeros((*batch, m), np.int32)
    for at in np.ndindex(*batch):
        factors[at], pivots[at] = linalg.lu_factor(a[at], check_finite=False)
        order[at] = np.arange(m)
        for i, k in enumerate(pivots[at]):
            order[at][[i, k]] = order[at][[k, i]]
    return [factors, pivots, order]


def fft(params, a):
    """Over the last axes, as many as there are lengths."""
    kind, lengths = params["fft_type"].name, params["fft_lengths"]
    axes = tuple(range(-len(lengths), 0))
    if kind == "IRFFT":
        out = np.fft.irfftn(a, tuple(lengths), axes)
    else:
        out = TRANSFORMS[kind](a, axes=axes)
    return out


TRANSFORMS: dict[str, Callable] = {
    "FFT": np.fft.fftn, "IFFT": np.fft.ifftn, "RFFT": np.fft.rfftn,
}  # fmt: skip

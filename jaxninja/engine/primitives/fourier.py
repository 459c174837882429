"""VJPs of Fourier transforms: each is linear, dx = A^T dy.

    FFT     y[k] = sum_n x[n] e^(-2 pi i k n / N)        symmetric in k and n: A^T = A
    IFFT    the same with +, divided by N                symmetric too
    RFFT    the first N // 2 + 1 of a real x's y[k]
    IRFFT   y[n] = 1/N sum_k w[k] Re(x[k] e^(2 pi i k n / N)), k <= N // 2

IRFFT stands for an IFFT of N numbers, of which the second half is the conjugate of the
first: so w = 2, but for k = 0 and, N even, k = N / 2, which have no partner: w = 1.
Each is over the last axes; RFFT and IRFFT treat the others as FFT and IFFT do.

    RFFT    dy with zeros for the k left out: dx = Re FFT(dy)
    IRFFT   dx[k] = w[k] / N sum_n dy[n] e^(2 pi i k n / N), the conjugate of RFFT(dy)

Check: N = 1 leaves x as it is, and dx = dy (its real part, for the real kinds).
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import FftType


def fft(dy, y, x, *, fft_type, fft_lengths, **_):
    """All four kinds, over any number of last axes."""
    if fft_type == FftType.RFFT:
        return (_rfft_back(dy, x, fft_lengths),)
    if fft_type == FftType.IRFFT:
        return (_irfft_back(dy, x, fft_lengths),)
    return (lax.fft(dy, fft_type, fft_lengths),)


def _rfft_back(dy, x, lengths):
    missing = x.shape[-1] - dy.shape[-1]
    padding = [(0, 0, 0)] * (dy.ndim - 1) + [(0, missing, 0)]
    full = lax.pad(dy, jnp.zeros((), dy.dtype), padding)
    return lax.real(lax.fft(full, FftType.FFT, lengths))


def _irfft_back(dy, x, lengths):
    n = lengths[-1]
    weight = np.full(n // 2 + 1, 2.0)
    weight[0] = 1
    if n % 2 == 0:
        weight[-1] = 1
    half = lax.fft(dy, FftType.RFFT, lengths)
    scale = jnp.asarray(weight / np.prod(lengths), half.dtype)
    return lax.conj(half) * lax.broadcast_in_dim(scale, half.shape, (half.ndim - 1,))


FOURIER = {"fft": fft}

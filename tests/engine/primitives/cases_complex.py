"""Inputs for complex numbers, and complex inputs for operations on real ones."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from tests.engine.inputs import SCALAR, X, Y, real

Z = X + 1j * Y
POINTS = np.array([0.0, 1j, -2.0, 3 - 4j])
SIGNAL = real(2, 5, 6)


def spectrum(f, **options):
    return lambda x: getattr(jnp.fft, f)(x, **options)


def through(x):
    """Real to complex and back, by all ways."""
    z = x * np.exp(1j * Y)
    return (z.real, z.imag, abs(z), jnp.conj(z) * z, jnp.conj(x))


CASES = {
    "complex": [(lax.complex, X, Y), (lax.complex, SCALAR, SCALAR)],
    "real": [(lax.real, Z), (through, X)],
    "imag": [(lax.imag, Z), (through, X)],
    "conj": [(lax.conj, Z), (through, X)],
    "fft": [
        *((spectrum(f), Z) for f in ("fft", "ifft", "fft2", "ifft2")),
        *((spectrum(f), SIGNAL) for f in ("rfft", "rfftn", "fft", "hfft", "ihfft")),
        *((spectrum("irfft", n=n), Z) for n in (1, 2, 5, 6, 9)),
        *((spectrum("rfft", n=n), X) for n in (1, 2, 3, 9)),
        (spectrum("irfftn"), SIGNAL + 0.5j),
        (spectrum("fftn", axes=(0, 1), norm="ortho"), SIGNAL),
        (lambda x: abs(jnp.fft.fft(x)) ** 2, X),
    ],
}

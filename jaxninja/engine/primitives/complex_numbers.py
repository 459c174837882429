"""VJPs of parts of complex numbers, and what the cotangent of one is.

A real value moves with x = a + i b by da' a + db' b; the cotangent of x is the complex
number dx = da' - i db', which makes that Re(dx x). So it is in JAX. Then

    y = f(x) with a complex derivative:  Re(dy f'(x) x), so dx = f'(x) dy

as for real numbers, without a conjugate: the rules of all these operations are right
for complex numbers as they stand. What remains is real on one side only:

    y = Re x      Re(dy x) for a real dy                       dx = dy
    y = Im x      dy Im x = Re(-i dy x)                        dx = -i dy
    y = conj x    Re(dy conj x) = Re(conj(dy) x)               dx = conj dy
    z = x + i y   Re(dz (x + i y)) = Re(dz) x - Im(dz) y       dx = Re dz, dy = -Im dz
"""

import jax.numpy as jnp
from jax import lax


def real(dy, y, x, **_):
    """y = Re x."""
    return (lax.complex(dy, jnp.zeros_like(dy)),)


def imag(dy, y, x, **_):
    """y = Im x."""
    return (lax.complex(jnp.zeros_like(dy), -dy),)


def conj(dy, y, x, **_):
    """y = conj x; of a real x a complex number, whose imaginary part is 0."""
    return (lax.conj(dy) if jnp.iscomplexobj(x) else lax.real(dy),)


def complex_(dz, z, x, y, **_):
    """z = x + i y."""
    return lax.real(dz), -lax.imag(dz)


COMPLEX_NUMBERS = {"complex": complex_, "conj": conj, "imag": imag, "real": real}

"""VJPs of elementwise operations: y = f(x), so dx = f'(x) dy, entry by entry.

dy is the gradient of the result y, dx that of the operand x. Where f' is cheaper or
more exact from y than from x, y is used. JAX lets a scalar operand (and an axis of size
1) meet an array; the transpose of copying is summing, which `fit` does.
"""

import math

import jax.numpy as jnp
from jax import lax


def fit(dx, x):
    """Sum a gradient over the axes along which x was copied."""
    if dx.shape == x.shape:
        return dx
    if x.ndim == 0:
        return dx.sum()
    axes = tuple(k for k, size in enumerate(x.shape) if size != dx.shape[k])
    return dx.sum(axes, keepdims=True)


# ---- arithmetic


def add(dz, z, x, y, **_):
    """z = x + y."""
    return fit(dz, x), fit(dz, y)


def sub(dz, z, x, y, **_):
    """z = x - y."""
    return fit(dz, x), fit(-dz, y)


def mul(dz, z, x, y, **_):
    """z = x y: dz/dx = y, dz/dy = x."""
    return fit(dz * y, x), fit(dz * x, y)


def div(dz, z, x, y, **_):
    """z = x / y: dz/dx = 1/y, dz/dy = -x / y^2."""
    return fit(dz / y, x), fit(-dz * x * lax.integer_pow(y, -2), y)


def rem(dz, z, x, y, **_):
    """z = x - y trunc(x / y), and trunc is constant between its jumps."""
    return fit(jnp.broadcast_to(dz, z.shape), x), fit(-dz * jnp.trunc(x / y), y)


def neg(dy, y, x, **_):
    """y = -x."""
    return (-dy,)


def pow_(dz, z, x, y, **_):
    """z = x^y: dz/dx = y x^(y-1), dz/dy = x^y log x.

    At x = 0 the second is 0 (log 0 is taken to be log 1), and x^0 has slope 0 for an
    integer y. An integer exponent has no gradient.
    """
    if jnp.issubdtype(y.dtype, jnp.integer):
        y = jnp.asarray(y, x.dtype)
        slope = jnp.where(y == 0, 0, y * x ** (y - 1))
        return fit(dz * slope, x), None
    log = jnp.log(jnp.where(x == 0, 1, x))
    return fit(dz * y * x ** (y - 1), x), fit(dz * log * z, y)


def integer_pow(dz, z, x, *, y, **_):
    """z = x^n: dz/dx = n x^(n-1)."""
    return (jnp.zeros_like(x) if y == 0 else dz * y * lax.integer_pow(x, y - 1),)


def square(dy, y, x, **_):
    """y = x^2."""
    return (2 * dy * x,)


def sqrt(dy, y, x, **_):
    """y = x^(1/2): dy/dx = 1 / (2 y), infinite at 0."""
    return (dy * (0.5 / y),)


def rsqrt(dy, y, x, **_):
    """y = x^(-1/2): dy/dx = -1/2 x^(-3/2) = -y / (2 x)."""
    return (dy * (-0.5 * (y / x)),)


def cbrt(dy, y, x, **_):
    """y = x^(1/3): dy/dx = 1 / (3 y^2)."""
    return (dy / (3 * y * y),)


# ---- exponentials and logarithms


def exp(dy, y, x, **_):
    """y = e^x is its own derivative."""
    return (dy * y,)


def exp2(dy, y, x, **_):
    """y = 2^x = e^(x log 2)."""
    return (dy * y * math.log(2),)


def expm1(dy, y, x, **_):
    """y = e^x - 1: dy/dx = e^x = y + 1."""
    return (dy * (y + 1),)


def log(dy, y, x, **_):
    """y = log x."""
    return (dy / x,)


def log2(dy, y, x, **_):
    """y = log x / log 2."""
    return (dy / (x * math.log(2)),)


def log1p(dy, y, x, **_):
    """y = log(1 + x)."""
    return (dy / (1 + x),)


def logistic(dy, y, x, **_):
    """y = 1 / (1 + e^-x): dy/dx = y (1 - y)."""
    return (dy * y * (1 - y),)


def tanh(dy, y, x, **_):
    """y = tanh x: dy/dx = 1 - y^2, as a product that loses no digits at |y| = 1."""
    return (dy * (1 + y) * (1 - y),)


# ---- dtypes


def convert_element_type(dy, y, x, **_):
    """The same number in another dtype; the gradient comes back in the old one.

    A real x, made complex, moves the real part only.
    """
    real = jnp.iscomplexobj(dy) and not jnp.iscomplexobj(x)
    return ((lax.real(dy) if real else dy).astype(x.dtype),)


def reduce_precision(dy, y, x, **params):
    """Fewer digits in the same dtype: the gradient is rounded likewise."""
    return (lax.reduce_precision(dy, **params),)


ELEMENTWISE = {
    "add": add,
    "add_jaxvals": add,  # JAX's own sum of two gradients
    "cbrt": cbrt,
    "convert_element_type": convert_element_type,
    "div": div,
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "integer_pow": integer_pow,
    "log": log,
    "log1p": log1p,
    "log2": log2,
    "logistic": logistic,
    "mul": mul,
    "neg": neg,
    "pow": pow_,
    "reduce_precision": reduce_precision,
    "rem": rem,
    "rsqrt": rsqrt,
    "sqrt": sqrt,
    "square": square,
    "sub": sub,
    "tanh": tanh,
}

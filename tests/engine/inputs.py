"""Arguments and functions for the engine's tests: generic, tied, at edges."""

import jax
import jax.numpy as jnp
import numpy as np


def real(*shape, seed=0, low=-2.0, high=2.0):
    """Generic numbers: no zeros, no ones, no symmetry."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


X, Y = real(3, 4), real(3, 4, seed=1)
ABOVE = real(3, 4, low=0.1, high=3)  # for log, sqrt, ...
INSIDE = real(3, 4, low=-0.9, high=0.9)  # for asin, atanh, ...
SCALAR = np.float64(1.3)
TIED = np.array([[1.0, 2.0, 2.0, -1.0], [0.0, 0.0, 0.0, 0.0], [3.0, 1.0, 2.0, 3.0]])
EDGE = np.array([-1.0, -0.0, 0.0, 1.0, 2.0, 1e-300, 1e3])
NO_ROWS = np.zeros((0, 4))


@jax.custom_vjp
def doubled(x, n):
    return jnp.sin(x) * n


doubled.defvjp(
    lambda x, n: (jnp.sin(x) * n, (jnp.cos(x), n)),
    lambda res, dy: (2 * dy * res[0] * res[1], None),  # wrong on purpose: twice
)


@jax.custom_jvp
def tripled(x, y):
    return jnp.sin(x) * y, x + y


@tripled.defjvp
def tripled_jvp(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return tripled(x, y), (3 * jnp.cos(x) * y * dx + dy, dx)

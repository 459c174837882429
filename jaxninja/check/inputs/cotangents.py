"""Cotangents that show what a cotangent of ones does not.

Ones lie in the null space of softmax, layernorm and batchnorm. Signed ones show |g| and
relu(g), large and small ones show clipping and g*g, one-hot ones show g[0] and means,
zero shows terms that g was forgotten in, and one output at a time shows an ignored one.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

LARGE, SMALL = 1e3, 1e-3


def ordinary(y: Sequence, rng: np.random.Generator) -> list[np.ndarray]:
    """Random numbers of both signs, one array a float output."""
    return [_normal(a, rng) for a in y]


def variety(y: Sequence, rng: np.random.Generator) -> list[tuple[str, list]]:
    """(label, cotangent) for each kind that is not ordinary."""
    base = ordinary(y, rng)
    found = [
        (f"dy x {LARGE:g}", [LARGE * g for g in base]),
        (f"dy x {SMALL:g}", [SMALL * g for g in base]),
        ("one-hot dy", _one_hot(base, rng)),
        ("one-hot dy", _one_hot(base, rng)),
        ("sparse dy", [g * (rng.random(g.shape) < 0.3) for g in base]),
        ("zero dy", [np.zeros_like(g) for g in base]),
    ]
    if len(base) > 1:
        found += [(f"output {i} alone", _alone(base, i)) for i in range(len(base))]
    return found


def _normal(a, rng) -> np.ndarray:
    g = rng.standard_normal(np.shape(a))
    if jnp.issubdtype(a.dtype, jnp.complexfloating):
        g = g + 1j * rng.standard_normal(np.shape(a))
    return np.asarray(g)


def _one_hot(base, rng) -> list[np.ndarray]:
    found = [np.zeros_like(g) for g in base]
    sizes = [g.size for g in base]
    position = int(rng.integers(max(sum(sizes), 1)))
    for g in found:
        if position < g.size:
            g.flat[position] = 1.5
            break
        position -= g.size
    return found


def _alone(base, index: int) -> list[np.ndarray]:
    return [g if i == index else np.zeros_like(g) for i, g in enumerate(base)]

"""What kind of numbers an argument holds, judged by an example of it.

Inputs are varied without leaving the domain of the function: a probability stays one,
a Cholesky factor stays triangular, an index stays among those seen, a key is let alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.subject.pytrees import is_float

GLIMPSE = 1 << 16  # entries that tell the kind of an array
TUPLE = 4  # indices of a torsion
ROUGH = 1e-4  # how far float32 examples may miss "sums to one" or "is symmetric"
NEARER = (0.3, 0.03)  # parts of the way from the first inputs to others


def kind_of(leaf) -> str:
    """ "key", "bool", "int", "mask", "choice", "probability", "definite", "triangular",
    "positive" or "real".
    """
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return "key"
    if leaf.dtype == np.uint32 and leaf.ndim and leaf.shape[-1] == 2:
        return "key"  # a raw one
    if not is_float(leaf):
        if leaf.dtype == bool:
            return "bool"
        values = _glimpse(leaf)
        return _choice_or_mask(values) if _is_mask(values) else "int"
    if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        return "real"
    return _kind_of_floats(np.asarray(_glimpse(leaf), np.float64))


def integers_between(args) -> tuple[int, int]:
    """Least and largest of all arguments, masks aside; 0 if they hold none."""
    whole = [a for a in jax.tree.leaves(args) if kind_of(a) == "int" and np.size(a)]
    least = min((int(np.min(a)) for a in whole), default=0)
    return least, max((int(np.max(a)) for a in whole), default=0)


def _glimpse(leaf) -> np.ndarray:
    """Enough of a large array to tell its kind and its spread: whole rows, a block."""
    values = np.asarray(leaf)
    if values.size <= GLIMPSE:
        return values
    if _is_square(values):
        side = math.isqrt(GLIMPSE)
        return values.reshape(-1, *values.shape[-2:])[0, :side, :side]
    if values.ndim < 2:
        return values[:GLIMPSE]
    return values.reshape(-1, values.shape[-1])[: max(1, GLIMPSE // values.shape[-1])]


def _kind_of_floats(values: np.ndarray) -> str:
    if not values.size or not np.isfinite(values).all():
        return "mask"  # holds -inf or the like on purpose
    if _is_mask(values):
        return _choice_or_mask(values)
    if not values.any():
        return "real"  # zeros alone tell of no other
    if _is_square(values):
        if np.allclose(values, np.swapaxes(values, -1, -2), atol=ROUGH):
            return "definite"
        if not np.triu(values, 1).any() or not np.tril(values, -1).any():
            return "triangular"
    if (values >= 0).all():
        sums = values.sum(-1) if values.ndim else values
        is_probability = values.ndim and np.allclose(sums, 1, atol=ROUGH)
        return "probability" if is_probability else "positive"
    return "real"


def _is_mask(values: np.ndarray) -> bool:
    """Zeros and ones, both of them."""
    return values.size > 1 and bool(np.isin(values, (0, 1)).all() and np.ptp(values))


def _choice_or_mask(values: np.ndarray) -> str:
    """One 1 in each of several rows says which of several things a row is; there are
    none in the identity, weights at their first value perhaps."""
    large = values.ndim > 1 and min(values.shape[-2:]) > 2
    chosen = large and bool((values.sum(-1) == 1).all())
    identity = chosen and bool((np.diff(values.argmax(-1)) == 1).all())
    return "choice" if chosen and not identity else "mask"


def _is_square(values: np.ndarray) -> bool:
    return values.ndim >= 2 and values.shape[-1] == values.shape[-2] > 1


def scaled(leaf, factor: float):
    """The leaf times `factor` where its kind allows it."""
    if kind_of(leaf) in ("real", "positive", "definite", "triangular"):
        return np.asarray(leaf * np.asarray(factor, leaf.dtype))
    return leaf


def nearer(args, other, part: float):
    """A part of the way from inputs to others, where both are numbers at will."""

    def between(a, b):
        if np.shape(a) != np.shape(b) or kind_of(a) not in ("real", "positive"):
            return b
        return np.asarray(a + np.asarray(part, a.dtype) * (b - a))

    return jax.tree.map(between, args, other)


def like(leaf, rng: np.random.Generator, shape: tuple[int, ...] | None = None):
    """New values of the same kind, perhaps of another shape.

    Signs and zeros that belong to the kind stay. Constant arrays (gains of one, biases
    of zero) become generic ones, for such data hide wrong gradients.
    """
    kind = kind_of(leaf)
    shape = leaf.shape if shape is None else shape
    if kind == "key":
        return leaf
    values = np.asarray(leaf)
    if kind == "int" and holds_tuples(values) and shape[-1:] == values.shape[-1:]:
        return _redrawn_tuples(values, rng, shape)
    if kind in ("int", "bool", "mask"):
        drawn = _redrawn(values, rng, shape)
        return np.sort(drawn) if kind == "int" and is_sorted(values) else drawn
    if kind == "real":
        return _normal(values, rng, shape).astype(values.dtype)
    if kind == "positive":
        drawn = _redrawn(values, rng, shape) * _factors(rng, shape)
        if _are_parts(values):
            drawn = np.where(drawn < 1, drawn, 1 / np.maximum(drawn, 1))
        return drawn.astype(values.dtype)
    return _structured(values, kind, rng, shape)


def _normal(values, rng, shape) -> np.ndarray:
    """Of the mean and the spread of those given, and so of their imaginary parts: a
    real one, such as the first entry of a spectrum has, stays real."""
    if np.iscomplexobj(values):
        real = _normal(values.real, rng, shape)
        if not values.imag.any():
            return real
        imaginary = _normal(values.imag, rng, shape)
        if values.shape == tuple(shape):
            imaginary = np.where(values.imag == 0, 0.0, imaginary)
        return real + 1j * imaginary
    some = _glimpse(values)
    spread = float(np.std(some)) or 0.5
    return np.mean(some) + spread * rng.standard_normal(shape)


def _are_parts(values) -> bool:
    """Whether all are below one: levels of quantiles, rates of success, correlations
    mean nothing beyond."""
    return bool((_glimpse(values) < 1).all())


def _structured(values, kind: str, rng, shape):
    if kind == "triangular" and shape == values.shape:
        return (values * _factors(rng, shape)).astype(values.dtype)
    if kind == "choice":
        chosen = rng.integers(0, shape[-1], shape[:-1])
        return np.eye(shape[-1])[chosen].astype(values.dtype)
    if kind == "probability":
        drawn = _factors(rng, shape, 1.0)
        return (drawn / drawn.sum(-1, keepdims=True)).astype(values.dtype)
    if shape == values.shape:  # definite: a common factor keeps it so
        return (values * _factors(rng, ())).astype(values.dtype)
    size = shape[-1]
    triangle = np.tril(rng.normal(0, 0.5, shape)) + 2 * np.eye(size)
    full = triangle @ np.swapaxes(triangle, -1, -2)
    return (full if kind == "definite" else triangle).astype(values.dtype)


def holds_tuples(values) -> bool:
    """Whether its rows are a few different indices each, as of bonds and triangles: a
    row of equal ones has no meaning."""
    shape = np.shape(values)
    if len(shape) < 2 or not 2 <= shape[-1] <= TUPLE or np.size(values) < 3 * shape[-1]:
        return False
    return bool(np.diff(np.sort(_glimpse(values), -1), axis=-1).all())


def is_sorted(values) -> bool:
    """Whether its integers are offsets or segments, a row of them perhaps, which have
    no meaning in another order; 0, 1, 2 may be labels, or the order itself."""
    if not np.ndim(values) or np.shape(values)[-1] < 3 or not np.size(values):
        return False
    steps = np.diff(_glimpse(values))
    return bool((steps >= 0).all() and steps.any() and not (steps == 1).all())


def _redrawn_tuples(values: np.ndarray, rng, shape):
    known = np.unique(_glimpse(values))
    order = rng.random((math.prod(shape[:-1]), known.size)).argsort(-1)
    drawn = known[order[:, : shape[-1]]].reshape(shape).astype(values.dtype)
    spans = (np.diff(_glimpse(values)) > 0).all()
    return np.sort(drawn) if spans else drawn


def _redrawn(values: np.ndarray, rng, shape):
    if not values.size:
        return np.zeros(shape, values.dtype)
    return rng.choice(_glimpse(values).ravel(), shape).astype(values.dtype)


def _factors(rng, shape, spread: float = 0.3):
    return np.exp(spread * rng.standard_normal(shape))

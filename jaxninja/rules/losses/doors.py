"""What the losses ask of their arguments, in one place."""

import jax.numpy as jnp

from jaxninja.rule import expect


def floats(op: str, **arrays) -> None:
    """Refuse an array that is not of real floats."""
    for name, array in arrays.items():
        real = jnp.issubdtype(array.dtype, jnp.floating)
        expect(op, name, f"of type {array.dtype}", "floats", real)


def pair_of_floats(op: str, **arrays) -> None:
    """Two arrays of floats, of one shape that is not empty."""
    pair(op, **arrays)
    floats(op, **arrays)


def pair(op: str, **arrays) -> None:
    """Two arrays of one shape that is not empty."""
    (first, x), (second, y) = arrays.items()
    expect(op, first, f"of shape {x.shape}", "at least one entry", x.size > 0)
    fits = x.shape == y.shape
    expected = f"{list(x.shape)}, the shape of {first}"
    expect(op, second, f"of shape {y.shape}", expected, fits)

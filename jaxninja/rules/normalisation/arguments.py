"""What normalisation layers ask of their arguments: an error in one line if not so."""

import jax.numpy as jnp

from jaxninja.rule import expect


def check_input(op, x, weights, axes=1):
    """x is [..., D] with so many axes or more, not empty; weights are [D]; floats."""
    given = f"of shape {x.shape}"
    expected = f"[..., D] with {axes} or more axes, not empty"
    expect(op, "x", given, expected, x.ndim >= axes and x.size > 0)
    D = x.shape[-1]
    for name, weight in weights.items():
        given, fits = f"of shape {weight.shape}", weight.shape == (D,)
        expect(op, name, given, f"[{D}], as x is {x.shape}", fits)
    for name, array in {"x": x, **weights}.items():
        is_float = jnp.issubdtype(array.dtype, jnp.floating)
        expect(op, name, f"of type {array.dtype}", "a float type", is_float)


def check_number(op, name, value, least, open_end=False):
    """A finite number from `least` on, or above it."""
    number = isinstance(value, int | float) and value < float("inf")
    fits = number and (value > least if open_end else value >= least)
    expected = f"a number {'above' if open_end else 'from'} {least}"
    expect(op, name, repr(value), expected if open_end else f"{expected} on", fits)


def wide(x):
    """x in float32 or better: what moments are computed in."""
    return x.astype(max(x.dtype, jnp.dtype("float32"), key=lambda d: d.itemsize))

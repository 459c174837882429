"""What the losses ask of their arguments, in one place."""

import jax
import jax.numpy as jnp

from jaxninja.rule import expect, expect_floats


def pair_of_floats(op: str, **arrays) -> None:
    """Two arrays of one floating-point type, and of one shape that is not empty."""
    pair(op, **arrays)
    expect_floats(op, **arrays)


def pair(op: str, **arrays) -> None:
    """Two arrays of one shape that is not empty."""
    (first, x), (second, y) = arrays.items()
    expect(op, first, f"of shape {x.shape}", "at least one entry", x.size > 0)
    fits = x.shape == y.shape
    expected = f"{list(x.shape)}, the shape of {first}"
    expect(op, second, f"of shape {y.shape}", expected, fits)


def classes(op: str, labels, rows: int, given: str) -> None:
    """Labels [N] of integers, one a row of what is `given`."""
    fits = labels.shape == (rows,)
    expect(op, "labels", f"of shape {labels.shape}", f"[{rows}], as {given}", fits)
    integer = jnp.issubdtype(labels.dtype, jnp.integer)
    expect(op, "labels", f"of type {labels.dtype}", "integers", integer)


def signed(labels) -> jax.Array:
    """Labels in int32 or wider: as a byte, -100 would be class 156."""
    wide = max(jnp.dtype("int32"), labels.dtype, key=lambda dtype: dtype.itemsize)
    return jnp.asarray(labels, wide)


def options(op: str, reduction, label_smoothing, z_loss) -> None:
    """The options of a cross entropy."""
    known = reduction in ("mean", "none")
    expect(op, "reduction", repr(reduction), "mean or none", known)
    fits, text = 0 <= label_smoothing < 1, "0 or more, and below 1"
    expect(op, "label_smoothing", repr(label_smoothing), text, fits)
    expect(op, "z_loss", repr(z_loss), "0 or more", z_loss >= 0)

"""What normalisation layers ask of their arguments: an error in one line if not so."""

from numbers import Real

from jaxninja.rule import along_last, expect, expect_floats, wide_type


def check_input(op, x, weights, axes=1):
    """x is [..., D] of floats, with so many axes or more, not empty; weights are [D] of
    one floating-point type, which need not be that of x."""
    given = f"of shape {x.shape}"
    expected = f"[..., D] with {axes} or more axes, not empty"
    expect(op, "x", given, expected, x.ndim >= axes and x.size > 0)
    D = x.shape[-1]
    for name, weight in weights.items():
        given, fits = f"of shape {weight.shape}", weight.shape == (D,)
        expect(op, name, given, f"[{D}], as x is {x.shape}", fits)
    expect_floats(op, x=x)
    if weights:
        expect_floats(op, **weights)


def check_number(op, name, value, least, open_end=False):
    """A finite number from `least` on, or above it."""
    number = isinstance(value, Real) and value < float("inf")
    fits = number and (value > least if open_end else value >= least)
    expected = f"a number {'above' if open_end else 'from'} {least}"
    expect(op, name, repr(value), expected if open_end else f"{expected} on", fits)


def like(x, weight):
    """A weight [D] with the axes of x, in the type that moments have."""
    return along_last(weight.astype(wide_type(x)), x)

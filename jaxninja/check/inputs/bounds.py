"""The two bounds of an interval keep their order, wherever inputs are put.

A projection on a box, a truncated density, a quantiser: where the lower bound lies
above the upper one there is no function, and no right rule need know what happens.
"""

import numpy as np

from jaxninja.check.subject.pytrees import is_float

ENDS = (
    *(("lower", "upper"), ("low", "high"), ("min", "max")),
    *(("lo", "hi"), ("lb", "ub"), ("start", "stop")),
)


def bounds_of(names: tuple[str, ...], args: tuple) -> list[tuple[int, int]]:
    """Positions of a lower and an upper bound: named so, and in that order as given."""
    return [
        (i, j)
        for i, low in enumerate(names)
        for j, high in enumerate(names)
        if any(a in low and low.replace(a, b) == high for a, b in ENDS)
        and _is_below(args[i], args[j])
    ]


def in_order(args: tuple, bounds: list[tuple[int, int]]) -> tuple:
    """Each lower bound exchanged for the upper one in the entries where it is above,
    and 1 below where they are equal: an interval has an inside."""
    found = list(args)
    for i, j in bounds:
        a, b = found[i], found[j]
        if np.shape(a) == np.shape(b):
            found[i] = np.where(a == b, a - 1, np.minimum(a, b)).astype(a.dtype)
            found[j] = np.maximum(a, b)
    return tuple(found)


def _is_below(low, high) -> bool:
    arrays = hasattr(low, "dtype") and hasattr(high, "dtype")
    if not arrays or low.shape != high.shape or not (is_float(low) and is_float(high)):
        return False
    return bool(np.all(np.asarray(low) < np.asarray(high)))

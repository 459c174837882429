"""What is in order stays so, wherever inputs are put: bounds, knots, pointers to rows,
permutations.

A projection on a box, a truncated density: where the lower bound lies above the upper
one there is no function, and no right rule need know what happens. Nor is there an
interpolation between knots that are not sorted, or a matrix of sparse rows of which the
last does not end with the data.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxninja.check.inputs.kinds import is_sorted, kind_of
from jaxninja.check.subject.pytrees import is_float

ENDS = (
    *(("lower", "upper"), ("low", "high"), ("min", "max")),
    *(("lo", "hi"), ("lb", "ub"), ("start", "stop")),
)
KNOTS = (
    *("xp", "knots", "grid", "nodes", "edges", "breaks", "breakpoints"),
    *("bins", "boundaries", "times", "ts", "t"),
)
PERMUTATIONS = "perm", "order"
POINTERS = "ptr", "offset", "splits", "cu_"


class Order(NamedTuple):
    """Positions among the arguments.

    Attributes:
        bounds: of a lower and an upper bound.
        knots: of numbers that rise, and these as they were given.
        pointers: of integers that rise from 0, and of what they count the rows of.
        permutations: of integers that are all those below their number.
    """

    bounds: tuple[tuple[int, int], ...] = ()
    knots: tuple[tuple[int, Any], ...] = ()
    pointers: tuple[tuple[int, int | None], ...] = ()
    permutations: tuple[int, ...] = ()


def order_of(names: tuple[str, ...], args: tuple) -> Order:
    """What is named so, and in order as given; pointers also where the last is a number
    of rows."""
    arrays = [i for i, arg in enumerate(args) if hasattr(arg, "dtype")]
    bounds = (
        (i, j)
        for i in arrays
        for j in arrays
        if any(a in names[i] and names[i].replace(a, b) == names[j] for a, b in ENDS)
        and _is_below(args[i], args[j])
    )
    knots = (
        (i, args[i])
        for i in arrays
        if names[i].lower().rpartition("_")[2] in KNOTS and _rises(args[i])
    )
    counting = [i for i in arrays if _counts(args[i])]
    rows = [_rows(args, i, int(np.asarray(args[i])[-1])) for i in counting]
    pointers = (
        (i, j)
        for i, j in zip(counting, rows, strict=True)
        if j is not None or any(part in names[i].lower() for part in POINTERS)
    )
    permutations = (
        i
        for i in arrays
        if any(part in names[i].lower() for part in PERMUTATIONS) and _permutes(args[i])
    )
    return Order(tuple(bounds), tuple(knots), tuple(pointers), tuple(permutations))


def in_order(args: tuple, order: Order) -> tuple:
    """Each lower bound exchanged for the upper one in the entries where it is above,
    and 1 below where they are equal: an interval has an inside. Knots are sorted, and
    as given where some are equal; pointers go from 0 to the number of rows; what is no
    permutation any more is the one that its numbers are sorted by."""
    found = list(args)
    for i, j in order.bounds:
        a, b = found[i], found[j]
        if np.shape(a) == np.shape(b):
            found[i] = np.where(a == b, a - 1, np.minimum(a, b)).astype(a.dtype)
            found[j] = np.maximum(a, b)
    for i, given in order.knots:
        found[i] = np.sort(found[i])
        if not _rises(found[i]) and np.shape(found[i]) == np.shape(given):
            found[i] = np.asarray(given).astype(found[i].dtype)
    for i, rows in order.pointers:
        found[i] = np.sort(found[i])
        found[i][0] = 0
        if rows is not None:
            count = np.shape(found[rows])[0]
            found[i] = np.minimum(found[i], count)
            found[i][-1] = count
    for i in order.permutations:
        found[i] = np.argsort(found[i], kind="stable").argsort().astype(found[i].dtype)
    return tuple(found)


def _is_below(low, high) -> bool:
    if low.shape != high.shape or not (is_float(low) and is_float(high)):
        return False
    return bool(np.all(np.asarray(low) < np.asarray(high)))


def _rises(leaf) -> bool:
    values = np.asarray(leaf)
    rises = is_float(leaf) and values.ndim == 1 and len(values) > 1
    return rises and not np.iscomplexobj(values) and bool((np.diff(values) > 0).all())


def _counts(leaf) -> bool:
    values = np.asarray(leaf) if kind_of(leaf) == "int" else np.ones(1)
    return is_sorted(values) and values[0] == 0


def _permutes(leaf) -> bool:
    values = np.asarray(leaf)
    whole = kind_of(leaf) == "int" and values.ndim == 1
    return whole and np.array_equal(np.sort(values), np.arange(len(values)))


def _rows(args: tuple, i: int, count: int) -> int | None:
    """The first other argument that has so many."""
    for j, arg in enumerate(args):
        if j != i and np.shape(arg)[:1] == (count,) and hasattr(arg, "dtype"):
            return j
    return None

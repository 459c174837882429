"""What is in order stays so, wherever inputs are put: bounds, knots, indices.

A projection on a box, a truncated density: where the lower bound lies above the upper
one there is no function, and no right rule need know what happens. Nor is there an
interpolation between knots that are not sorted, or a matrix of sparse rows of which the
last does not end with the data.
"""

from typing import Any, NamedTuple

import numpy as np

from jaxninja.check.inputs.indices import Relation, relations, restored
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.subject.pytrees import is_float

ENDS = (
    *(("lower", "upper"), ("low", "high"), ("min", "max"), ("lo", "hi"), ("lb", "ub")),
    *(("start", "stop"), ("start", "end"), ("begin", "end")),
)
KNOTS = (
    *("xp", "knots", "grid", "nodes", "edges", "breaks", "breakpoints"),
    *("bins", "boundaries", "times", "ts", "t", "keypoints", "thresholds", "cutpoints"),
    *("centers", "levels", "quantiles", "table", "abscissae"),
)
CHANCE = 4  # numbers that rise and are searched: fewer may do so by chance


class Order(NamedTuple):
    """Positions among the arguments.

    Attributes:
        bounds: of a lower and an upper bound.
        knots: of numbers that rise, and these as they were given.
        indices: relations of integers, see `indices`.
    """

    bounds: tuple[tuple[int, int], ...] = ()
    knots: tuple[tuple[int, Any], ...] = ()
    indices: tuple[Relation, ...] = ()


def order_of(names: tuple[str, ...], args: tuple, searches: bool = False) -> Order:
    """What is named so, and in order as given; numbers that rise also where the forward
    `searches` in what is sorted."""
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
        if _rises(args[i])
        and (
            names[i].lower().rpartition("_")[2] in KNOTS
            or (searches and len(args[i]) >= CHANCE)
        )
    )
    return Order(tuple(bounds), tuple(knots), relations(names, args))


def in_order(args: tuple, order: Order) -> tuple:
    """Each lower bound exchanged for the upper one in the entries where it is above,
    and 1 below where they are equal: an interval has an inside, but one of integers may
    be empty. Knots are sorted, and as given where some are equal."""
    found = list(args)
    for i, j in order.bounds:
        a, b = found[i], found[j]
        if np.shape(a) == np.shape(b):
            inside = is_float(a) & (a == b)
            found[i] = np.where(inside, a - 1, np.minimum(a, b)).astype(a.dtype)
            found[j] = np.maximum(a, b)
    for i, given in order.knots:
        found[i] = np.sort(found[i])
        if not _rises(found[i]) and np.shape(found[i]) == np.shape(given):
            found[i] = np.asarray(given).astype(found[i].dtype)
    return tuple(restored(found, order.indices))


def _is_below(low, high) -> bool:
    numbers = all(is_float(a) or kind_of(a) == "int" for a in (low, high))
    if low.shape != high.shape or not numbers:
        return False
    return bool(np.all(np.asarray(low) < np.asarray(high)))


def _rises(leaf) -> bool:
    if not is_float(leaf) or np.ndim(leaf) != 1 or len(leaf) < 2:
        return False
    values = np.asarray(leaf)
    return not np.iscomplexobj(values) and bool((np.diff(values) > 0).all())

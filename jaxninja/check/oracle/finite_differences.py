"""Finite differences in float64, for NumPy pairs that bring no reference.

    D(h) = (s(x + h e) - s(x - h e)) / 2h,   s(x) = <dy, forward(x)>
    (4 D(h/2) - D(h)) / 3  has an error of h^4, and D(h/2) - D(h) tells how large

one entry e at a time, elementwise and without a projection. It costs four forwards an
entry. Where s has a kink within the step, the slopes to the left and right of x differ,

    J(h) = (s(x + h e) - 2 s(x) + s(x - h e)) / h,   h s'' where s is smooth,

by as much for h/2 as for h; then J tells how little is known.
"""

from collections.abc import Callable

import numpy as np

from jaxninja.check.oracle.truth import Truth
from jaxninja.check.subject.pytrees import float_leaves, with_floats
from jaxninja.errors import ArgumentError

STEP = 2e-3
ROUNDING = 1e-15  # of s, relative to the terms it is summed from; D(h) has 1 / h of it
KINK = 0.75  # part of J(h) that J(h/2) is: a half where s is smooth, all at a kink
LIMIT = 4000  # entries, beyond which the differences are refused


def truth_by_differences(
    plain: Callable, args: tuple, dy: list, rounding: float = ROUNDING, loose: float = 0
) -> tuple[Truth, list]:
    """The reference at float64 arguments, and the uncertainty of each entry.

    Args:
        plain, args, dy: the forward, where it is asked, and the cotangents.
        rounding: of its value, relative to the terms that is summed from.
        loose: part of the largest gradient by which all may be off, where the forward
            is an iteration that stops when it is near enough.

    Raises:
        ValueError: there are too many entries to difference one by one.
    """
    floats = [np.array(a, np.float64) for a in float_leaves(args)]
    count = sum(a.size for a in floats)
    if count > LIMIT:
        raise ArgumentError(
            f"check_vjp: {count} entries are too many for finite differences; give "
            f"reference=, a jax.numpy forward, or inputs of at most {LIMIT} entries"
        )

    def terms() -> list[np.ndarray]:
        y = float_leaves(plain(*with_floats(args, [a.copy() for a in floats])))
        return [g * np.asarray(a) for g, a in zip(dy, y, strict=True)]

    def value() -> float:
        return float(sum(map(np.sum, terms())))

    with np.errstate(all="ignore"):  # the inputs are ours: overflow is no news
        here = value()
        noise = rounding * sum(float(np.abs(t).sum()) for t in terms())
        pairs = [_differences(value, here, noise, a) for a in floats]
    gradients = [gradient for gradient, _ in pairs]
    scale = max([float(np.max(np.abs(g), initial=0.0)) for g in gradients] + [0.0])
    scales = [np.full(g.shape, scale) for g in gradients]
    y = [np.asarray(a, np.float64) for a in float_leaves(plain(*args))]
    return Truth(y, gradients, scales, []), [
        doubt + loose * scale for _, doubt in pairs
    ]


def _differences(value: Callable, here: float, rounding: float, array):
    least = STEP * (np.max(np.abs(array), initial=0.0) or 1.0) / 100
    gradient, doubt = np.zeros(array.shape), np.zeros(array.shape)
    for position in np.ndindex(array.shape):
        h = max(STEP * abs(array[position]), least)
        (coarse, jump), (fine, half_jump) = (
            _slopes(value, here, array, position, step) for step in (h, h / 2)
        )
        gradient[position] = (4 * fine - coarse) / 3
        kinked = abs(half_jump) > KINK * abs(jump)
        doubt[position] = abs(fine - coarse) + 1e-9 * abs(fine) + rounding / h
        doubt[position] += abs(half_jump) if kinked else 0.0
    return gradient, doubt


def _slopes(value: Callable, here: float, array, position, h: float):
    """The slope over both sides, and by how much those of the sides differ."""
    kept = array[position]
    array[position] = kept + h
    up, top = value(), array[position]
    array[position] = kept - h
    down, bottom = value(), array[position]
    array[position] = kept
    return (up - down) / (top - bottom), 2 * (up - 2 * here + down) / (top - bottom)

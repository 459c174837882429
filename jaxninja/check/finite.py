"""Finite differences in float64, for NumPy pairs that bring no reference.

    D(h) = (s(x + h e) - s(x - h e)) / 2h,   s(x) = <dy, forward(x)>
    (4 D(h/2) - D(h)) / 3  has an error of h^4, and D(h/2) - D(h) tells how large

one entry e at a time, elementwise and without a projection. It costs four forwards an
entry, and next to a kink the two steps disagree, which widens the tolerance there.
"""

from collections.abc import Callable

import numpy as np

from jaxninja.check.leaves import float_leaves, with_floats
from jaxninja.check.programs import Truth

STEP = 2e-3
LIMIT = 4000  # entries, beyond which the differences are refused


def truth_by_differences(plain: Callable, args: tuple, dy: list) -> tuple[Truth, list]:
    """The reference at float64 arguments, and the uncertainty of each entry.

    Raises:
        ValueError: there are too many entries to difference one by one.
    """
    floats = [np.array(a, np.float64) for a in float_leaves(args)]
    count = sum(a.size for a in floats)
    if count > LIMIT:
        raise ValueError(
            f"check_vjp: {count} entries are too many for finite differences; give "
            f"reference=, a jax.numpy forward, or inputs of at most {LIMIT} entries"
        )

    def value(floats) -> float:
        y = float_leaves(plain(*with_floats(args, [a.copy() for a in floats])))
        return float(sum(np.sum(g * np.asarray(a)) for g, a in zip(dy, y, strict=True)))

    pairs = [_differences(value, floats, i) for i in range(len(floats))]
    gradients = [gradient for gradient, _ in pairs]
    scale = max([float(np.max(np.abs(g), initial=0.0)) for g in gradients] + [0.0])
    scales = [np.full(g.shape, scale) for g in gradients]
    y = [np.asarray(a, np.float64) for a in float_leaves(plain(*args))]
    return Truth(y, gradients, scales, []), [doubt for _, doubt in pairs]


def _differences(value: Callable, floats: list, index: int):
    array = floats[index]
    gradient, doubt = np.zeros(array.shape), np.zeros(array.shape)
    for position in np.ndindex(array.shape):
        coarse, fine = (_central(value, floats, index, position, h) for h in (1, 0.5))
        gradient[position] = (4 * fine - coarse) / 3
        doubt[position] = abs(fine - coarse) + 1e-9 * abs(fine)
    return gradient, doubt


def _central(value: Callable, floats: list, index: int, position, part: float):
    array, kept = floats[index], floats[index][position]
    h = part * STEP * max(1.0, abs(kept)) if kept else part * STEP
    array[position] = kept + h
    up, top = value(floats), array[position]
    array[position] = kept - h
    down, bottom = value(floats), array[position]
    array[position] = kept
    return (up - down) / (top - bottom)

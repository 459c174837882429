"""A gradient of another shape, or with its numbers in other places: what to do?

A hint is given only if it makes the numbers right on every sample.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from jaxninja.check.compare import difference
from jaxninja.workbook.gradient import fitted
from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.samples import Sample

Pairs = Sequence[tuple[Sample, np.ndarray]]


def spread(name: str, pairs: Pairs) -> tuple[list, Hint] | None:
    """The pairs, each gradient copied to its array's shape, and a hint on that.

    None unless each of them can be, and has another shape.
    """
    copied = []
    for sample, mine in pairs:
        like = np.asarray(sample.truth[name])
        if mine.shape == like.shape:
            return None
        try:
            copied.append((sample, np.broadcast_to(mine, like.shape)))
        except ValueError:
            return None
    return copied, _with_shapes("not spread", name, pairs)


def other(name: str, pairs: Pairs) -> Hint | None:
    """A sum over axes, a diagonal or a reshape that gives the true gradient."""
    if any(mine.shape == np.shape(s.truth[name]) for s, mine in pairs):
        return None
    for axes in _axes(min(mine.ndim for _, mine in pairs)):
        if _right(name, pairs, lambda mine, axes=axes: mine.sum(axes)):
            text = str(axes[0] if len(axes) == 1 else axes)
            return _with_shapes("not summed", name, pairs, axis=text)
    if all(mine.ndim == 2 for _, mine in pairs) and _right(name, pairs, np.diagonal):
        return say("diagonal alone", name=name)
    if any(_right(name, pairs, change) for change in (_matched, _matched_sum)):
        return say("every with every", name=name)
    if _right(name, pairs, np.ravel, np.ravel):
        return say("no reshape", name=name, given=str([*pairs[0][1].shape]))
    return None


def _matched(array: np.ndarray) -> np.ndarray:
    """Of jnp.dot of two stacks, which is every matrix times every other, those that
    belong together; of another array nothing.
    """
    is_dot = array.ndim == 4 and array.shape[0] == array.shape[2]
    return np.einsum("abac->abc", array) if is_dot else np.zeros(0)


def _matched_sum(array: np.ndarray) -> np.ndarray:
    return _matched(array).sum(0)


def other_places(name: str, pairs: Pairs) -> Hint | None:
    """The same numbers in another order."""
    if not all(np.unique(np.asarray(s.truth[name])).size > 2 for s, _ in pairs):
        return None
    same = _right(name, pairs, _sorted, _sorted)
    return say("other places", name=name) if same else None


def _sorted(array: np.ndarray) -> np.ndarray:
    return np.sort(array, axis=None)


def _axes(ndim: int) -> list[tuple[int, ...]]:
    return [a for size in range(1, ndim + 1) for a in combinations(range(ndim), size)]


def _right(
    name: str, pairs: Pairs, change: Callable, of_truth: Callable = np.asarray
) -> bool:
    """Whether the learner's gradients, changed, are the true ones on all samples."""
    for sample, mine in pairs:
        truth = of_truth(np.asarray(sample.truth[name]))
        new = np.asarray(fitted(change(np.asarray(mine)), truth))
        if new.shape != truth.shape or not np.isfinite(new).all():
            return False
        if not difference(new, truth, 1e-9 * sample.scale(name)).ok:
            return False
    return True


def _with_shapes(code: str, name: str, pairs: Pairs, **facts: str) -> Hint:
    """With both shapes on the first of the samples."""
    sample, mine = pairs[0]
    given, expected = [*mine.shape], [*np.shape(sample.truth[name])]
    shapes = {"given": str(given), "expected": str(expected)}
    return say(code, name=name, **shapes, **facts)

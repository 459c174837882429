"""Shapes of several arrays, changed in some axes, and the sizes to change them to."""

import math
from collections.abc import Iterator

Shapes = tuple[tuple[int, ...], ...]  # one a leaf
Axes = tuple[tuple[int, int], ...]  # (leaf, axis): of one size by their nature

LARGEST = 100  # sizes beyond are not made larger
PRIMES = [p for p in range(3, LARGEST + 16) if all(p % k for k in range(2, p))]
NEAR = 4  # how much larger a prime may be
SMALL = 16  # sizes from it on are made smaller: larger ones may be heavy


def changed(shapes: Shapes, parts, size: int) -> Shapes:
    """The shapes with all axes of some parts made `size`."""
    axes = {axis for part in parts for axis in part}
    return tuple(
        tuple(size if (i, j) in axes else n for j, n in enumerate(shape))
        for i, shape in enumerate(shapes)
    )


def label(given: Shapes, shapes: Shapes, names: list[str]) -> str:
    """What was changed, by sizes; by arguments where equal sizes are no more equal."""
    became = images(given, shapes)
    if all(len(new) == 1 for new in became.values()):
        pairs = [(old, min(new)) for old, new in became.items()]
        return "sizes " + ", ".join(f"{old}->{n}" for old, n in pairs if old != n)
    parts = [
        f"{name} {list(after)}"
        for name, before, after in zip(names, given, shapes, strict=True)
        if before != after
    ]
    return "shapes " + ", ".join(parts)


def at(shapes: Shapes, axes: Axes) -> int:
    leaf, axis = axes[0]
    return shapes[leaf][axis]


def entries(shapes: Shapes) -> int:
    return sum(map(math.prod, shapes))


def images(given: Shapes, shapes: Shapes) -> dict[int, set[int]]:
    """What became of each size."""
    found: dict[int, set[int]] = {}
    for old, new in zip(sum(given, ()), sum(shapes, ()), strict=True):
        found.setdefault(old, set()).add(new)
    return found


def least(before: Shapes, after: Shapes) -> int:
    """The least of the sizes that were changed."""
    pairs = zip(sum(before, ()), sum(after, ()), strict=True)
    return min(old for old, new in pairs if old != new)


def candidates(given: Shapes, now: Shapes, n: int, least: int) -> list[int]:
    """Sizes in place of n, the best first; if possible below a larger one: a target
    that is longer than what it is aligned to has no path at all.

    Args:
        given, now: the shapes as given and as they are changed so far.
        least: what a size that is made smaller must stay above.
    """
    above = [b for a, b in _pairs(given, now) if a > n > 1]
    used = {*sum(now, ()), *sum(given, ())}
    sizes = _near(n, used, least)
    if not above or sizes[0] < min(above):
        return sizes
    between = [k for k in range(n + 1, min(above)) if k not in used]
    return list(dict.fromkeys([*between[:1], *sizes]))


def _pairs(given: Shapes, now: Shapes) -> Iterator[tuple[int, int]]:
    """(size as given, size now) of each axis."""
    for before, after in zip(given, now, strict=True):
        yield from zip(before, after, strict=True)


def _near(n: int, used: set[int], least: int) -> list[int]:
    """Sizes near n that are not used, the best first: primes, then what n divides."""
    free = [k for k in range(2, LARGEST + SMALL) if k not in used]
    primes = [k for k in free if k in PRIMES]
    larger = [p for p in primes if n < p <= n + NEAR][:1]
    larger = larger or [k for k in free if k > n][:1]
    if n == 1:
        return larger
    if n < SMALL:
        return [*larger, 2 * n, 3 * n]
    smaller = [p for p in primes if max(10, least) < p < n][:1]
    halved = [n // 2] if n % 2 == 0 and n // 2 > least else []
    return [*smaller, *halved, *larger]

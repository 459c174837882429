"""Shapes of several arrays, one of which is changed into another in some axes."""

import math

Shapes = tuple[tuple[int, ...], ...]  # one a leaf
Axes = tuple[tuple[int, int], ...]  # (leaf, axis): of one size by their nature


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

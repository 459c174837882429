"""What a curve is called: in a legend below the axes, or at the curve's own end."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch

from jaxninja.plots.style import SOFT, say

PIECES, NAMES = 1.04, 1.115  # where they stand, in widths of the axes
LINE = 0.16  # inches of height that a line of a legend needs


def legend(axes: Any) -> None:
    """Below the axes, where it hides nothing; the figure grows by it."""
    lines = len(axes.get_legend_handles_labels()[1])
    if not lines:
        return say(axes, "no finite value to draw")
    place = {"loc": "upper left", "bbox_to_anchor": (0, -0.21), "borderpad": 0}
    axes.legend(frameon=False, fontsize=8.5, handlelength=2.8, **place)
    width, height = axes.figure.get_size_inches()
    axes.figure.set_size_inches(width, height + LINE * lines)
    return None


def name_ends(
    axes: Any, names: Mapping[str, str] | None = None, most: int = 24
) -> None:
    """Each line's name at its end, moved apart where lines end close to each other.

    The limits of the axes are final by then. The figure grows with the number of lines;
    of more than `most` the highest and lowest are named.

    Args:
        axes: with labelled lines.
        names: label of a line -> what stands at its end, of those that are named; by
            default all by their labels.
        most: lines with a name.
    """
    axes.autoscale_view()  # else the limits may be those of before
    ends = sorted(filter(None, map(_end, axes.lines)), key=lambda end: end.height)
    if not ends:
        return say(axes, "no finite value to draw")
    if names is not None:
        ends = [end for end in ends if end.line.get_label() in names]
    if len(ends) > most:
        ends = [*ends[: most // 2], *ends[-(most // 2) :]]
    width, height = axes.figure.get_size_inches()
    tall = max(height, LINE * len(ends) + 0.8)
    axes.figure.set_size_inches(width, tall)
    at = apart([min(max(end.height, 0), 1) for end in ends], LINE / (tall - 0.8))
    for end, place in zip(ends, at, strict=True):
        _name(axes, end, place, names)
    return None


class End(NamedTuple):
    """The last point of a line: where it is, and how high in the axes, from 0 to 1."""

    height: float
    point: tuple[float, float]
    line: Any


def _end(line: Any) -> End | None:
    axes = line.axes
    finite = [(x, y) for x, y in zip(*line.get_data(), strict=True) if math.isfinite(y)]
    if line.get_label().startswith("_") or not finite:
        return None
    to_axes = axes.transData + axes.transAxes.inverted()
    return End(float(to_axes.transform(finite[-1])[1]), finite[-1], line)


def _name(axes: Any, end: End, place: float, names: Mapping[str, str] | None) -> None:
    """With a dotted line that leads to it, unless the end lies outside of the axes.

    A piece of the curve stands before its name: where several end at one point, the
    lines that lead there tell nothing.
    """
    label = end.line.get_label()
    text = _fitted(label if names is None else names[label])
    inside = -0.01 < end.height < 1.01
    if inside:
        _lead(axes, end, place)
    _piece(axes, end.line, place)
    said = axes.text(
        NAMES,
        place,
        text if inside else f"{text}, {'above' if end.height > 1 else 'below'}",
        transform=axes.transAxes,
        va="center",
        fontsize=8.5,
    )
    said.set_gid(end.line.get_gid())


def _lead(axes: Any, end: End, place: float) -> None:
    ways = {"coordsA": axes.transAxes, "coordsB": axes.transData, "shrinkB": 2}
    look = {"lw": 0.7, "ls": (0, (1, 1.5)), "color": SOFT}
    lead = ConnectionPatch((PIECES, place), end.point, **ways, **look)
    axes.figure.add_artist(lead).set_gid(end.line.get_gid())


def _piece(axes: Any, line: Any, place: float) -> None:
    """Of the figure, not of the axes, whose lines are the curves."""
    look = {k: getattr(line, f"get_{k}")() for k in ("color", "ls", "lw", "marker")}
    across = (PIECES, (PIECES + NAMES - 0.015) / 2, NAMES - 0.015)
    how = {"ms": 4, "markevery": [1], "transform": axes.transAxes}
    piece = axes.figure.add_artist(Line2D(across, [place] * 3, **look, **how))
    piece.set_gid(line.get_gid())


def _fitted(text: str) -> str:
    """A long name without its middle: the axes need room too."""
    return text if len(text) <= 24 else f"{text[:11]}…{text[-11:]}"


def apart(places: list[float], gap: float) -> list[float]:
    """Sorted places moved as little as need be, to lie a gap from each other.

    Neighbours that are too close become a group around their mean, and groups merge.
    """
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and _foot(groups[-1], gap) < _top(groups[-2], gap) + gap:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_foot(g, gap) + k * gap for g in groups for k in range(len(g))]


def _foot(group: list[float], gap: float) -> float:
    """Within 0 and 1, as far as the group has room there."""
    half = (len(group) - 1) * gap / 2
    return max(min(sum(group) / len(group), 1 - half), half) - half


def _top(group: list[float], gap: float) -> float:
    return _foot(group, gap) + (len(group) - 1) * gap

"""What a curve is called: in a legend below the axes, or at the curve's own end."""

import math
from typing import Any

from jaxninja.plots.style import say

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


def name_ends(axes: Any, most: int = 24) -> None:
    """Each line's label at its end, moved apart where lines end close to each other.

    The limits of the axes are final by then. The figure grows with the number of lines;
    of more than `most` the highest and lowest are named.
    """
    axes.get_xlim(), axes.get_ylim()  # which makes matplotlib choose them
    ends = sorted(filter(None, map(_end, axes.lines)))
    if not ends:
        return say(axes, "no finite value to draw")
    if len(ends) > most:
        ends = [*ends[: most // 2], *ends[-(most // 2) :]]
    width, height = axes.figure.get_size_inches()
    tall = max(height, LINE * len(ends) + 0.8)
    axes.figure.set_size_inches(width, tall)
    gap = LINE / (tall - 0.8)
    at = apart([place for place, *_ in ends], gap)
    arrow = {"arrowstyle": "-", "lw": 0.6, "shrinkA": 0, "shrinkB": 2}
    for (_, x, y, i), place in zip(ends, at, strict=True):
        line = axes.lines[i]
        said = axes.annotate(
            line.get_label(),
            (x, y),
            (1.05, place),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            annotation_clip=False,
            arrowprops=arrow | {"color": line.get_color()},
        )
        said.set_gid(line.get_gid())
    return None


def _end(line: Any) -> tuple[float, float, float, int] | None:
    """Height of a line's last point in the axes, its x and y, its place among all."""
    axes = line.axes
    finite = [(x, y) for x, y in zip(*line.get_data(), strict=True) if math.isfinite(y)]
    if line.get_label().startswith("_") or not finite:
        return None
    to_axes = axes.transData + axes.transAxes.inverted()
    height = float(to_axes.transform(finite[-1])[1])
    return min(max(height, 0), 1), *finite[-1], list(axes.lines).index(line)


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

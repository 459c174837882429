"""Pictures of the workbook: mine, true, difference; the graph by status; the forces."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

# Okabe and Ito's colours, told apart by colour-blind readers too
COLOURS = {
    "ok": "#8fd3bd",
    "wrong": "#f0a37a",
    "inherited": "#f7d9a0",
    "gap": "#ffffff",
    "unasked": "#e6e6e6",
}
LABELS = {
    "ok": "right",
    "wrong": "wrong",
    "inherited": "unreliable",
    "gap": "to do",
    "unasked": "not asked",
}
WRONG_PAIR = "#000000"
NOT_FINITE = "#4d4d4d"  # no colour of the scale, whose middle is white


def compared(picture: Mapping[str, Any]) -> Figure:
    """Mine, true and difference of a gradient, as images with one scale for two.

    Args:
        picture: name, mine and truth, as in `Report.picture`.
    """
    mine, truth = (np.atleast_2d(picture[k]).astype(float) for k in ("mine", "truth"))
    with np.errstate(invalid="ignore"):  # infinite less infinite
        gap = mine - truth
    figure = Figure(figsize=(9, 2.8), dpi=100, layout="constrained")
    name = f"d{picture['name']}"
    bad = "" if np.isfinite(mine).all() else " (grey: not finite)"
    largest = max(_largest(mine), _largest(truth))
    columns = (
        (mine, f"{name}, mine{bad}", largest),
        (truth, f"{name}, true", largest),
        (gap, "mine - true", _largest(gap)),
    )
    for axes, column in zip(figure.subplots(1, 3), columns, strict=True):
        _image(figure, axes, *column)
    return figure


def jacobian(picture: Mapping[str, Any], wrong: np.ndarray) -> Figure:
    """The Jacobian of a step within a row, mine and true; wrong pairs are framed.

    Args:
        picture: name, source, mine and truth, as in `Report.jacobian`.
        wrong: where the two differ, as truth values.
    """
    figure = Figure(figsize=(7, 3.2), dpi=100, layout="constrained")
    arrays = [np.asarray(picture[k]).astype(float) for k in ("mine", "truth")]
    scale = max(map(_largest, arrays))
    titles = f"mine: {wrong.sum()} of {wrong.size} pairs wrong", "true"
    for axes, array, title in zip(figure.subplots(1, 2), arrays, titles, strict=True):
        _image(figure, axes, array, title, scale)
        axes.set(xlabel=picture["name"], ylabel=picture["source"])
        axes.set(xticks=range(array.shape[1]), yticks=range(array.shape[0]))
    for row, column in np.argwhere(wrong):
        corner = column - 0.5, row - 0.5
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=WRONG_PAIR, lw=2)
        figure.axes[0].add_patch(frame)
    return figure


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(where=np.isfinite(array), initial=0.0)) or 1.0


def _image(figure: Figure, axes, array: np.ndarray, title: str, scale: float) -> None:
    colours = colormaps["RdBu_r"].with_extremes(bad=NOT_FINITE)
    shown = np.ma.masked_invalid(array)
    image = axes.imshow(shown, cmap=colours, vmin=-scale, vmax=scale)
    axes.set_aspect("auto")
    axes.set_title(title, fontsize=9)
    axes.tick_params(labelsize=7)
    if len(array) == 1:
        axes.set_yticks([])
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)


def graph(
    places: Mapping[str, tuple[float, float]],
    edges: Iterable[tuple[str, str]],
    statuses: Mapping[str, str],
) -> Figure:
    """A network, each array coloured by the status of its gradient.

    Args:
        places: of each array, in units of about a box's width and height.
        edges: from an array to one that reads it.
        statuses: name -> "ok", "wrong", "inherited", "gap" or "unasked"; the rest is to
            do.
    """
    right, top = (max(place[k] for place in places.values()) + 0.6 for k in (0, 1))
    size = max(6.0, 0.95 * right), max(3.0, 0.64 * top)
    figure = Figure(figsize=size, dpi=100, layout="constrained")
    axes = figure.subplots()
    below, _ = (  # the arrows lie between: no name is crossed out
        {n: _box(axes, at, n, statuses.get(n, "gap"), k) for n, at in places.items()}
        for k in (1, 3)
    )
    for parent, child in edges:
        bend = 0.1 if _runs_through(places, parent, child) else 0
        _arrow(axes, below[parent], below[child], bend)
    _legend(axes, [s for s in COLOURS if s != "unasked" or s in statuses.values()])
    axes.set(xlim=(-0.6, right + 0.1), ylim=(-0.6, top))
    axes.axis("off")
    return figure


def _box(axes, place: tuple[float, float], name: str, status: str, order: int):
    """An array's name in a box of its status's colour."""
    box = {"boxstyle": "round", "fc": COLOURS[status], "ec": "#555555", "lw": 0.8}
    middle = {"ha": "center", "va": "center", "fontsize": 8}
    return axes.text(*place, name, bbox=box, zorder=order, **middle)


def _runs_through(places, parent: str, child: str) -> bool:
    """Whether a level line between two arrays would meet a third, and seem its own."""
    (left, level), (right, other) = places[parent], places[child]
    between = (y for x, y in places.values() if left < x < right)
    return level == other and level in between


def _arrow(axes, start, end, bend: float) -> None:
    """From the edge of one box to that of another.

    It is drawn after them, zorder says so: only then do they know how large they are.
    """
    arrow = FancyArrowPatch(
        start.get_position(),
        end.get_position(),
        patchA=start.get_bbox_patch(),
        patchB=end.get_bbox_patch(),
        arrowstyle="->",
        connectionstyle=f"arc3,rad={-bend}",
        mutation_scale=10,
        shrinkA=1,
        shrinkB=1,
        color="#888888",
        lw=0.8,
        zorder=2,
    )
    axes.add_patch(arrow)


def _legend(axes, statuses: list[str]) -> None:
    marks = [
        axes.scatter([], [], c=COLOURS[s], edgecolors="#555555", marker="s", s=60)
        for s in statuses
    ]
    labels = [LABELS[s] for s in statuses]
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    axes.legend(marks, labels, frameon=False, fontsize=8, **beside)


def forces(dlogits, labels, symbols: str) -> Figure:
    """dlogits as pushes and pulls: all rows, and the first one as bars.

    Gradient descent goes against the gradient: where it is positive the logit is pushed
    down, where it is negative, at the target, it is pulled up. A row sums to zero.

    Args:
        dlogits: [N, V].
        labels: [N], the targets.
        symbols: the V characters.
    """
    dlogits = np.asarray(dlogits)
    figure = Figure(figsize=(11, 4), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    left.imshow(dlogits, cmap="gray", aspect="auto")
    left.set(title="dlogits: dark at the targets", xlabel="character", ylabel="example")
    row = dlogits[0] * len(dlogits)
    colours = ["#d55e00" if v < 0 else "#0072b2" for v in row]
    right.bar(range(len(row)), row, color=colours)
    right.set_xticks(range(len(row)), list(symbols))
    right.axhline(0, color="black", lw=0.8)
    target = symbols[int(labels[0])]
    right.set(title=f"row 0 times N: {target!r} is pulled up, the others pushed down")
    right.text(0.02, 0.05, f"sum {row.sum():.1e}", transform=right.transAxes)
    return figure

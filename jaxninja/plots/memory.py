"""What waits in memory for a backward pass."""

from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.labels import legend
from jaxninja.plots.style import COLOURS, axes_of

MOST = 12  # bars of either kind; the smaller arrays share one more


def kept(residuals: Any) -> Figure:
    """A bar an array: kept by the backward pass, and in its place by autodiff.

    Args:
        residuals: as `jaxninja.residuals_of` returns them.
    """
    mine, theirs = _bars(residuals.arrays), _bars(residuals.autodiff)
    height = 1.6 + 0.22 * (len(mine) + len(theirs))
    title = f"{residuals.name}: kept from forward to backward"
    axes = axes_of(title, "MiB", "", height)
    looks = (("by hand", COLOURS[1], ""), ("autodiff", COLOURS[2], "//"))
    position = 0
    for (who, colour, hatch), bars in zip(looks, (mine, theirs), strict=True):
        sizes = [size / 2**20 for _, size in bars]
        places = range(position, position + len(bars))
        label = f"{who}: {sum(sizes):,.3g} MiB"
        axes.barh(places, sizes, color=colour, hatch=hatch, label=label, alpha=0.8)
        position += len(bars)
    names = [name for name, _ in (*mine, *theirs)]
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    legend(axes)
    return axes.figure


def _bars(arrays: Any) -> list[tuple[str, int]]:
    """(what, bytes) of the largest arrays, the rest together."""
    bars = [(f"{a.where or a.role}  {list(a.shape)}", a.bytes) for a in arrays[:MOST]]
    rest = arrays[MOST:]
    if rest:
        bars.append((f"{len(rest)} smaller ones", sum(a.bytes for a in rest)))
    return bars

"""What changes over training: update:data ratios, gradient norms, batchnorm's gap.

Each takes the records of `Run.diagnostics`; values that were not finite leave gaps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.style import MARKERS, axes_of, legend, looks, natural

Lines = Sequence[Mapping[str, Any]]
TARGET = -3  # log10 of the update:data ratio that serves


def update_ratios(lines: Lines) -> Figure:
    """log10 of std(update) / std(data) of each weight matrix, with the line at -3."""
    axes = axes_of("update:data ratio of the weights", "step", "log10")
    names = {k for line in lines for k in line["parameters"] if k[0] in "CW"}
    for n, (name, look) in enumerate(zip(natural(names), looks(), strict=False)):
        values = [line["parameters"][name]["update_data"] for line in lines]
        _course(axes, lines, values, name, look, n)
    axes.axhline(TARGET, color="black", lw=0.8)
    axes.annotate(
        "about right: -3",
        (1, TARGET),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7.5,
    )
    legend(axes)
    return axes.figure


def gradient_norms(lines: Lines, limit: float | None = None) -> Figure:
    """Global norm of the gradient, and the limit at which it is clipped, if any."""
    axes = axes_of("norm of the gradient", "step", "global norm")
    norms = [line["grad_norm"] for line in lines]
    _course(axes, lines, norms, "norm", next(looks()), 0)
    if limit is not None:
        axes.axhline(limit, color="black", lw=0.8, ls="--", label=f"clip {limit:g}")
    legend(axes)
    return axes.figure


def batchnorm_gaps(lines: Lines) -> Figure:
    """How far batchnorm's running statistics are from calibrated ones, by layer."""
    title = "running against calibrated statistics"
    axes = axes_of(title, "step", "root mean square gap")
    layers = {k for line in lines for k in line["batchnorm"]}
    series = [(layer, part) for layer in natural(layers) for part in ("mean", "std")]
    for n, ((layer, part), look) in enumerate(zip(series, looks(), strict=False)):
        values = [line["batchnorm"].get(layer, {}).get(part) for line in lines]
        _course(axes, lines, values, f"layer {layer}, {part}", look, n)
    axes.set_yscale("log")
    legend(axes)
    return axes.figure


def _course(axes, lines: Lines, values, label: str, look: dict, n: int) -> None:
    """A curve with a few markers, unless no value of it is finite."""
    if all(value is None for value in values):
        return
    axes.plot(
        [line["step"] for line in lines],
        [math.nan if value is None else value for value in values],
        label=label,
        marker=MARKERS[n % len(MARKERS)],
        ms=4,
        markevery=max(len(lines) // 8, 1),
        **look,
    )

"""What changes over training: update:data ratios, gradient norms, batchnorm's gap.

Each takes the records of `Run.diagnostics`; values that were not finite leave gaps.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.courses import Course, draw, level, wide
from jaxninja.plots.labels import name_ends
from jaxninja.plots.style import axes_of, grouped, logarithmic, natural

Lines = Sequence[Mapping[str, Any]]
TARGET = -3  # log10 of the update:data ratio that serves


def updates(lines: Lines, most: int = 8) -> list[Course]:
    """update:data of each weight matrix and the embedding, or of `most` such groups."""
    names = natural({k for line in lines for k in line["parameters"] if k[0] in "CW"})
    return [
        Course(label, [(line["step"], median_update(line, of)) for line in lines], n)
        for n, (label, of) in enumerate(grouped(names, most).items())
    ]


def median_update(line: Mapping[str, Any], names: Iterable[str]) -> float | None:
    """The median of update:data over some parameters, None if none is finite."""
    found = [line["parameters"][name]["update_data"] for name in names]
    finite = [value for value in found if value is not None]
    return statistics.median(finite) if finite else None


def update_ratios(lines: Lines) -> Figure:
    """log10 of std(update) / std(data) of each weight matrix, with the line at -3."""
    return ratios(updates(lines))


def ratios(courses: Sequence[Course]) -> Figure:
    """Update:data ratios, as log10, with the line at -3."""
    axes = axes_of("update:data ratio of the weights", "step", "log10 of the ratio")
    draw(axes, courses)
    level(axes, TARGET, "about right")
    name_ends(axes)
    return axes.figure


def gradient_norms(lines: Lines, limit: float | None = None) -> Figure:
    """Global norm of the gradient, and the limit at which it is clipped, if any."""
    return norms([norm("norm", lines, 0)], () if limit is None else (limit,))


def norm(name: str, lines: Lines, place: int) -> Course:
    """The global norm of a run's gradient."""
    return Course(name, [(line["step"], line["grad_norm"]) for line in lines], place)


def norms(courses: Sequence[Course], limits: Iterable[float] = ()) -> Figure:
    """Global norms of the gradient, and the limits at which they are clipped."""
    axes = axes_of("norm of the gradient", "step", "global norm")
    draw(axes, courses)
    for limit in limits:
        level(axes, limit, f"clip {limit:g}", ls="--")
    if wide(courses):
        logarithmic(axes)
    name_ends(axes)
    return axes.figure


def gaps(lines: Lines) -> list[Course]:
    """Of each layer with batchnorm: the gap of its means, and of its deviations."""
    layers = natural({k for line in lines for k in line["batchnorm"]})
    series = [(layer, part) for layer in layers for part in ("mean", "std")]
    return [
        Course(
            f"layer {layer}, {part}",
            [(m["step"], m["batchnorm"].get(layer, {}).get(part)) for m in lines],
            n,
        )
        for n, (layer, part) in enumerate(series)
    ]


def batchnorm_gaps(lines: Lines) -> Figure:
    """How far batchnorm's running statistics are from calibrated ones, by layer."""
    title = "running against calibrated statistics"
    axes = axes_of(title, "step", "root mean square gap")
    draw(axes, gaps(lines))
    logarithmic(axes)
    name_ends(axes)
    return axes.figure

"""How activations and gradients are distributed: three of Part 3's four figures.

Each takes a record of `Run.diagnostics` and draws the outline of its histograms.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.labels import legend
from jaxninja.plots.style import axes_of, grouped, logarithmic, looks, natural

Line = Mapping[str, Any]
TABLES = ("wte", "wpe")  # of GPT-2: what its embedding is called


def activations(line: Line, names: Sequence[str] | None = None) -> Figure:
    """Activations of hidden layers, with mean, std and share in the flat parts.

    Args:
        line: a record of `Run.diagnostics`.
        names: of the layers; by default of all, without the logits.
    """
    axes = axes_of(f"activations before step {line['step']:,}", "value", "density")
    for name, look in zip(_layers(line, names), looks(), strict=False):
        stats = line["activations"][name]
        words = f"{name}: mean {_number(stats['mean'])}, std {_number(stats['std'])}"
        if stats["saturated"]:
            words += f", flat {stats['saturated']:.1%}"
        _outline(axes, stats["histogram"], words, look)
    axes.set_ylim(bottom=0)
    legend(axes)
    return axes.figure


def gradients(line: Line, names: Sequence[str] | None = None) -> Figure:
    """Gradients with respect to hidden layers' activations, with their std.

    Arguments as in `activations`.
    """
    title = f"gradients of the activations at step {line['step']:,}"
    axes = axes_of(title, "gradient", "density")
    for name, look in zip(_layers(line, names), looks(), strict=False):
        stats = line["gradients"][name]
        words = f"{name}: std {_number(stats['std'])}"
        _outline(axes, stats["histogram"], words, look)
    return _tailed(axes)


def weight_gradients(line: Line, most: int = 8) -> Figure:
    """Gradients of the weight matrices and the embedding, with grad:data ratios.

    Args:
        line: a record of `Run.diagnostics`.
        most: so many of them at most: of those that differ in their layer the last.
    """
    title = f"gradients of the weights at step {line['step']:,}"
    axes = axes_of(title, "gradient", "density")
    names = natural([k for k in line["parameters"] if k[0] in "CW" or k in TABLES])
    for of, look in zip(grouped(names, most).values(), looks(), strict=False):
        stats = line["parameters"][of[-1]]
        words = f"{of[-1]}: grad:data {_number(stats['grad_data'])}"
        _outline(axes, stats["histogram"], words, look)
    return _tailed(axes)


def _layers(line: Line, names: Sequence[str] | None) -> list[str]:
    return natural(
        [k for k in line["activations"] if k != "logits"] if names is None else names
    )


def _tailed(axes: Any) -> Figure:
    """With a density of factors: a narrow peak would hide the tails."""
    axes.set_xmargin(0.02)  # else dots at the ends are cut
    logarithmic(axes)
    legend(axes)
    return axes.figure


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _outline(axes: Any, histogram: Line, words: str, look: dict) -> None:
    """Density against the middles of the bins; a constant array is a vertical line."""
    counts, low, high = (histogram[k] for k in ("counts", "low", "high"))
    total = sum(counts)
    if histogram["nonfinite"]:
        words += f" ({histogram['nonfinite']:.0f} not finite)"
    if total == 0:
        axes.plot([], [], label=words, **look)
    elif low == high:
        axes.axvline(low, label=f"{words} (constant)", **look)
    else:
        width = (high - low) / len(counts)
        middles = [low + (k + 0.5) * width for k in range(len(counts))]
        density = [c / total / width or math.nan for c in counts]  # a gap if empty
        alone = _alone(counts)
        dots = {"marker": ".", "ms": 4, "markevery": alone} if alone else {}
        axes.plot(middles, density, label=words, **dots, **look)


def _alone(counts: Sequence[float]) -> list[int]:
    """The bins between empty ones: no line leads to them, so they need a dot."""
    padded = [0, *counts, 0]
    return [k for k, c in enumerate(counts) if c and not padded[k] + padded[k + 2]]

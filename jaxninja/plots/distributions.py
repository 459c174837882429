"""How activations and gradients are distributed: three of Part 3's four figures.

Each takes a record of `Run.diagnostics` and draws the outline of its histograms.
"""

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from jaxninja.plots.style import axes_of, legend, looks, natural

Line = Mapping[str, Any]


def activations(line: Line) -> Figure:
    """Activations of each hidden layer, with mean, std and share in the flat parts."""
    title = f"activations before step {line['step']:,}"
    axes = axes_of(title, "value", "density")
    layers = {k: s for k, s in line["activations"].items() if k != "logits"}
    for name, look in zip(natural(layers), looks(), strict=False):
        stats = layers[name]
        words = f"{name}: mean {_number(stats['mean'])}, std {_number(stats['std'])}"
        if stats["saturated"] is not None:
            words += f", flat {stats['saturated']:.1%}"
        _outline(axes, stats["histogram"], words, look)
    axes.set_ylim(bottom=0)
    legend(axes)
    return axes.figure


def gradients(line: Line) -> Figure:
    """Gradients with respect to each hidden layer's activations, with their std."""
    title = f"gradients of the activations at step {line['step']:,}"
    axes = axes_of(title, "gradient", "density")
    layers = [k for k in line["activations"] if k != "logits"]
    for name, look in zip(natural(layers), looks(), strict=False):
        stats = line["gradients"][name]
        words = f"{name}: std {_number(stats['std'])}"
        _outline(axes, stats["histogram"], words, look)
    axes.set_yscale("log")  # a narrow peak would hide the tails
    legend(axes)
    return axes.figure


def weight_gradients(line: Line) -> Figure:
    """Gradients of the weight matrices and the embedding, with grad:data ratios."""
    title = f"gradients of the weights at step {line['step']:,}"
    axes = axes_of(title, "gradient", "density")
    names = [k for k in line["parameters"] if k == "C" or k.startswith("W")]
    for name, look in zip(natural(names), looks(), strict=False):
        stats = line["parameters"][name]
        words = f"{name}: grad:data {_number(stats['grad_data'])}"
        _outline(axes, stats["histogram"], words, look)
    axes.set_yscale("log")
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
        axes.plot(middles, density, label=words, **look)

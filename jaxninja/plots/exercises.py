"""Pictures of the workbook: mine, true, difference; the graph by status; the forces."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too
COLOURS = {
    "ok": "#8fd3bd",
    "wrong": "#f0a37a",
    "inherited": "#f7d9a0",
    "gap": "#ffffff",
}
LABELS = {"ok": "right", "wrong": "wrong", "inherited": "unreliable", "gap": "to do"}

# Two rows: the layers up to batchnorm, and from it to the loss.
# fmt: off
PLACES = {
    "C": (0, 5), "emb": (1, 5), "embcat": (2, 5), "W1": (2, 6), "b1": (2, 4),
    "hprebn": (3.1, 5), "bnmeani": (4, 6), "bndiff": (5, 5), "bndiff2": (6, 6),
    "bnvar": (7, 6), "bnvar_inv": (8, 6), "bnraw": (9, 5),
    "bngain": (0, 2), "bnbias": (0, 0), "hpreact": (1, 1), "h": (2, 1), "W2": (2, 2),
    "b2": (2, 0), "logits": (3, 1), "logit_maxes": (4, 2), "norm_logits": (5.1, 1),
    "counts": (6.2, 1), "counts_sum": (7, 2), "counts_sum_inv": (8.6, 2),
    "probs": (9.7, 1), "logprobs": (10.9, 1), "loss": (11.9, 1),
}
# fmt: on


def compared(picture: Mapping[str, Any]) -> Figure:
    """Mine, true and difference of a gradient, as images with one scale for two.

    Args:
        picture: name, mine and truth, as in `Report.picture`.
    """
    mine, truth = (np.atleast_2d(picture[k]).astype(float) for k in ("mine", "truth"))
    gap = mine - truth
    figure = Figure(figsize=(9, 2.8), dpi=100, layout="constrained")
    name = f"d{picture['name']}"
    titles = (f"{name}, mine", f"{name}, true", "mine - true")
    largest = float(np.nanmax(np.abs([mine, truth]), initial=0.0)) or 1.0
    rest = float(np.nanmax(np.abs(gap), initial=0.0)) or 1.0
    for axes, array, title, scale in zip(
        figure.subplots(1, 3),
        (mine, truth, gap),
        titles,
        (largest, largest, rest),
        strict=True,
    ):
        image = axes.imshow(array, cmap="RdBu_r", vmin=-scale, vmax=scale)
        axes.set_aspect("auto")
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
    return figure


def graph(edges: Iterable[tuple[str, str]], statuses: Mapping[str, str]) -> Figure:
    """The lecture's network, each array coloured by the status of its gradient.

    Args:
        edges: from an array to one that reads it.
        statuses: name -> "ok", "wrong", "inherited" or "gap"; the rest is to do.
    """
    figure = Figure(figsize=(12, 4.2), dpi=100, layout="constrained")
    axes = figure.subplots()
    for parent, child in edges:
        _arrow(axes, PLACES[parent], PLACES[child])
    for name, (x, y) in PLACES.items():
        status = "ok" if name == "loss" else statuses.get(name, "gap")
        box = {"boxstyle": "round", "fc": COLOURS[status], "ec": "#555555", "lw": 0.8}
        axes.text(x, y, name, ha="center", va="center", fontsize=8, bbox=box, zorder=3)
    for colour in COLOURS.values():
        axes.scatter([], [], c=colour, edgecolors="#555555", marker="s", s=60)
    axes.legend(
        axes.collections[-len(COLOURS) :],
        [LABELS[status] for status in COLOURS],
        loc="center right",
        frameon=False,
        fontsize=8,
    )
    axes.set(xlim=(-0.6, 12.6), ylim=(-0.6, 6.6))
    axes.axis("off")
    return figure


def _arrow(axes, start, end) -> None:
    style = {"arrowstyle": "->", "color": "#888888", "lw": 0.8, "shrinkA": 18}
    axes.annotate("", end, start, arrowprops={**style, "shrinkB": 24}, zorder=1)


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

"""Matrices as pictures: dead units, dlogits, attention, the embedding in its plane."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from jaxninja.plots.style import axes_of, literal, thinned

NAMED = 60  # symbols that an axis has room for


def dead_units(flat: np.ndarray, name: str = "h") -> Figure:
    """Where each unit is flat on a batch: white there, black where it can learn.

    Args:
        flat: [N, H] booleans, as from `statistics.flat` at level 0.99. A
            column that is white throughout is a dead unit.
        name: of the activations.
    """
    dead = int(flat.all(0).sum())
    words = "no unit is" if not dead else f"{dead} of {flat.shape[1]} units are"
    title = f"{name}: {words} flat for the whole batch"
    axes = axes_of(title, "unit", "example", height=2.2)
    axes.imshow(
        flat, cmap="gray", aspect="auto", interpolation="nearest", vmin=0, vmax=1
    )
    return axes.figure


def dlogits(d: np.ndarray, symbols: Sequence[str]) -> Figure:
    """The gradient of the logits on a batch: each row sums to zero.

    Args:
        d: [N, V], probabilities less one at the target, over N.
        symbols: V of them, for the axis; of many, some are named.
    """
    axes = axes_of("gradient of the logits, a row an example", "symbol", "example", 3.6)
    image = axes.imshow(d, cmap="gray", aspect="auto", interpolation="nearest")
    axes.figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
    ticks = thinned(len(symbols), NAMED)
    labels = [literal(symbols[i]) for i in ticks]
    turned = 90 * any(len(label) > 3 for label in labels)
    axes.set_xticks(ticks, labels, fontsize=6, rotation=turned)
    return axes.figure


def attention_maps(maps: np.ndarray, symbols: Sequence[str]) -> Figure:
    """What each place of an item attends to: dark for much, a row a place.

    Args:
        maps: [L, H, T, T], of each layer and head; each row sums to 1.
        symbols: T of them, what is read at each place.
    """
    layers, heads = maps.shape[:2]
    size = (max(1.3 * heads, 2.6), 1.4 * layers + 0.4)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    figure.suptitle("attention, a row for each place", fontsize=10)
    grid = figure.subplots(layers, heads, squeeze=False)
    labels = [literal(symbol) for symbol in symbols]
    for layer, row in enumerate(grid):
        for head, axes in enumerate(row):
            axes.imshow(maps[layer, head], cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=7)
            axes.set_xticks(range(len(labels)), labels, fontsize=6)
            axes.set_yticks(range(len(labels)), labels, fontsize=6)
            axes.tick_params(length=0)
    return figure


def embedding(C: np.ndarray, symbols: Sequence[str]) -> Figure:
    """The first two features of the embedding, a letter at each symbol's place.

    Args:
        C: [V, E]; with E = 1 the second coordinate is 0.
        symbols: V of them; of many, some are named.
    """
    places = np.column_stack([C[:, 0], C[:, 1] if C.shape[1] > 1 else 0 * C[:, 0]])
    named = thinned(len(symbols), 2 * NAMED)
    some = f", {len(named)} of {len(symbols):,} symbols named"
    title = "the embedding, features 0 and 1" + some * (len(named) < len(symbols))
    axes = axes_of(title, "feature 0", "feature 1", 4.2)
    axes.scatter(*places.T, s=130, color="#e0e0e0", edgecolors="gray", lw=0.5)
    for i in named:
        if np.isfinite(places[i]).all():
            style = {"ha": "center", "va": "center", "fontsize": 8}
            axes.text(*places[i], literal(symbols[i]), **style)
    return axes.figure

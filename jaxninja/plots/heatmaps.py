"""Matrices as pictures: dead units, dlogits, attention, the embedding in its plane."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from jaxninja.plots.style import COLOURS, SOFT, axes_of, literal, spread, thinned

NAMED = 30  # symbols that an axis has room for
POINTS = 50  # of an inch of a small map that are left for the labels of its rows
PULLED, PUSHED = (np.array(to_rgb(COLOURS[n])) for n in (1, 2))  # blue, orange


def dead_units(flat: np.ndarray, name: str = "h") -> Figure:
    """Where each unit is flat on a batch: filled there, empty where it can learn.

    Args:
        flat: [..., H] booleans, as from `statistics.flat` at level 0.99; a row for
            each place of each example. A column that is filled throughout is a dead
            unit.
        name: of the activations.
    """
    flat = flat.reshape(-1, flat.shape[-1])
    dead = int(flat.all(0).sum())
    words = "no unit is" if not dead else f"{dead} of {flat.shape[1]} units are"
    title = f"{name}: {words} flat for the whole batch"
    axes = axes_of(title, "unit", "example", height=2.2)
    _shaded(axes, flat)
    return axes.figure


def dlogits(d: np.typing.NDArray[np.floating], symbols: Sequence[str]) -> Figure:
    """The gradient of the logits on a batch: each row sums to zero.

    Args:
        d: [N, V], probabilities less one at the target, over N.
        symbols: V of them, for the axis; of many, some are named.
    """
    most = abs(d).max(initial=0)
    title = f"gradient of the logits: blue up, orange down, at most {most:.2g}"
    axes = axes_of(title, "symbol", "example", 3.4)
    colours = np.where((d < 0)[..., None], PULLED, PUSHED)
    shares = abs(np.nan_to_num(d)) / (most or 1)
    _cells(axes, np.concatenate([colours, shares[..., None]], -1))
    ticks = thinned(len(symbols), NAMED)
    labels = [literal(symbols[i]) for i in ticks]
    turned = 90 * any(len(label) > 3 for label in labels)
    axes.set_xticks(ticks, labels, fontsize=8.5, rotation=turned)
    return axes.figure


def attention_maps(maps: np.ndarray, symbols: Sequence[str], most: int = 4) -> Figure:
    """What each place of an item attends to: filled for much, a row a place.

    Args:
        maps: [L, H, T, T], of each layer and head; each row sums to 1.
        symbols: T of them, what is read at each place.
        most: layers and heads, evenly spread, the first and the last among them; fewer
            heads where the labels of their places would be too small to read.
    """
    fit = int(POINTS * 4.6 / 8.5 / max(len(symbols), 1))
    limits = most, max(min(most, fit), 1)
    shown = [spread(*pair) for pair in zip(maps.shape[:2], limits, strict=True)]
    layers, heads = map(len, shown)
    side = 4.6 / max(heads, 2)  # inches
    size = (side * heads, side * layers + 0.4)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    figure.suptitle(_of_which(maps, layers, heads), fontsize=9.5)
    labels = [literal(symbol) for symbol in symbols]
    font = min(POINTS * side / len(labels), 8.5)
    for axes, (layer, head) in zip(
        figure.subplots(layers, heads, squeeze=False).flat,
        itertools.product(*shown),
        strict=True,
    ):
        _shaded(axes, maps[layer, head], "equal")
        axes.set_title(f"layer {layer + 1}, head {head + 1}", fontsize=8.5, pad=3)
        axes.set_xticks(range(len(labels)), labels, fontsize=font)
        axes.set_yticks(range(len(labels)), labels, fontsize=font)
        axes.tick_params(length=0, pad=1)
    return figure


def _of_which(maps: np.ndarray, layers: int, heads: int) -> str:
    title = "attention, a row for each place"
    if maps.shape[:2] == (layers, heads):
        return title
    return f"{title}:\n{layers} of {len(maps)} layers, {heads} of {maps.shape[1]} heads"


def embedding(C: np.ndarray, symbols: Sequence[str]) -> Figure:
    """The first two features of the embedding, a letter at each symbol's place.

    Args:
        C: [V, E]; with E = 1 the second coordinate is 0.
        symbols: V of them; of many, some are named.
    """
    places = np.column_stack([C[:, 0], C[:, 1] if C.shape[1] > 1 else 0 * C[:, 0]])
    named = thinned(len(symbols), 4 * NAMED)
    some = f", {len(named)} of {len(symbols):,} symbols named"
    title = "the embedding, features 0 and 1" + some * (len(named) < len(symbols))
    axes = axes_of(title, "feature 0", "feature 1", 4.2)
    axes.margins(0.06)  # room for the letters at the edge
    axes.scatter(*places.T, s=130, color="none", edgecolors=SOFT, lw=0.5)
    for i in named:
        if np.isfinite(places[i]).all():
            style = {"ha": "center", "va": "center", "fontsize": 8.5}
            axes.text(*places[i], literal(symbols[i]), **style)
    return axes.figure


def _shaded(axes: Any, shares: np.ndarray, aspect: str = "auto") -> None:
    """Shares between 0 and 1 as black that covers so much of what is behind it."""
    black = np.zeros((*shares.shape, 3))
    cells = np.concatenate([black, np.asarray(shares, float)[..., None]], -1)
    _cells(axes, cells, aspect).set_gid("ink")


def _cells(axes: Any, colours: np.ndarray, aspect: str = "auto") -> Any:
    """A picture of [rows, columns, 4] colours, a cell each: nothing in between."""
    return axes.imshow(colours, aspect=aspect, interpolation="none")

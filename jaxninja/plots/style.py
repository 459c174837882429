"""What all figures share: size, colours, line styles, and how they are written."""

import io
import itertools
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from jaxninja.escaping import printable

# Okabe and Ito 2008, without the yellow that paper swallows; black first.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
STYLES = ("-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = "osv^Dx+"


def axes_of(title: str, xlabel: str, ylabel: str, height: float = 3.2) -> Any:
    """New axes; `axes.figure` is the figure. Narrow, so that a phone can show it."""
    figure = Figure(figsize=(5.2, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def looks() -> Iterator[dict[str, Any]]:
    """Colour and line style of one series after another; all of them differ."""
    for n in itertools.count():
        shift = n // len(COLOURS)
        style = STYLES[(n + shift) % len(STYLES)]
        yield {"color": COLOURS[n % len(COLOURS)], "ls": style, "lw": 1.3}


def literal(text: str) -> str:
    """A user's text as matplotlib shows it: no mathematics, no glyph that is missing.

    A character that the font lacks is shown by its code point, as in U+4E2D.
    """
    known = (c if ord(c) in _glyphs() else _code_point(c) for c in printable(text))
    shown = "".join(known).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # a legend hides _labels


def _code_point(character: str) -> str:
    return f"U+{ord(character):04X}"


@cache
def _glyphs() -> frozenset[int]:
    """Code points of the font that figures are written in."""
    font = font_manager.get_font(font_manager.findfont(FontProperties()))
    return frozenset(font.get_charmap())


def thinned(count: int, most: int) -> range:
    """Places of at most so many out of `count`, evenly spaced."""
    return range(0, count, max(-(-count // most), 1))


def natural(names: Iterable[str]) -> list[str]:
    """Sorted as a person counts: h2 before h10."""
    return sorted(names, key=_pieces)


def _pieces(name: str) -> list:
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def legend(axes: Any) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False, fontsize=7.5)
    else:
        say(axes, "no finite value to draw")


def say(axes: Any, text: str) -> None:
    """A sentence in the place of a figure that cannot be drawn."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG, replacing the file if it exists."""
    path.write_bytes(png(figure))

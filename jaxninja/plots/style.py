"""What all figures share: size, colours, line styles, and how they are written."""

import io
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from jaxninja.escaping import printable
from jaxninja.storage.atomic import write_atomic

# Okabe and Ito 2008, without the yellow that paper swallows; black first.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
SOFT = "#808080"  # of what stands behind: levels, outlines
STYLES = ("-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)))
MARKERS = "osv^Dx+"


def axes_of(title: str, xlabel: str, ylabel: str, height: float = 2.9) -> Any:
    """New axes; `axes.figure` is the figure. Narrow, so that a phone can show it."""
    figure = Figure(figsize=(4.6, height), dpi=150, layout="constrained")
    axes = figure.subplots()
    dress(axes, title, xlabel, ylabel)
    return axes


def dress(axes: Any, title: str, xlabel: str, ylabel: str) -> None:
    """What all axes have in common; they begin where the data do."""
    axes.set_title("\n".join(textwrap.wrap(title, 46)), fontsize=9.5, loc="left")
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9, labelpad=8)  # a phone makes numbers larger
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))  # 200,000 is wide on a phone
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(plainly)
    axes.set_xmargin(0)


def plainly(value: float, _place: int | None = None) -> str:
    """A number of an axis in the fewest characters: 10,000 and 1e-5, not 1e-05."""
    whole = float(value).is_integer() and abs(value) < 1e6
    return f"{value:,.0f}" if whole else f"{value:g}".replace("e-0", "e-")


def logarithmic(axes: Any) -> None:
    """A y axis of factors, with a few numbers on it however far it goes."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    few = high / max(low, 1e-300) > 300
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1,) if few else (1, 2, 5), numticks=6)
    )
    axes.yaxis.set_major_formatter(plainly)
    axes.yaxis.set_minor_locator(NullLocator())


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
    glyphs = _glyphs()
    known = (c if ord(c) in glyphs else f"U+{ord(c):04X}" for c in printable(text))
    shown = "".join(known).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # a legend hides _labels


@cache
def _glyphs() -> frozenset[int]:
    """Code points of the font that figures are written in."""
    font = font_manager.get_font(font_manager.findfont(FontProperties()))
    return frozenset(font.get_charmap())


def thinned(count: int, most: int) -> range:
    """Places of at most so many out of `count`, evenly spaced."""
    return range(0, count, max(-(-count // most), 1))


def spread(count: int, most: int) -> list[int]:
    """The same with the first and the last among them."""
    few = min(count, most)
    return [round(i * (count - 1) / max(few - 1, 1)) for i in range(few)]


def natural(names: Iterable[str]) -> list[str]:
    """Sorted as a person counts: h2 before h10."""
    return sorted(names, key=_pieces)


def grouped(names: Sequence[str], most: int) -> dict[str, list[str]]:
    """What a figure calls its curves -> the arrays that each is the median of.

    Of more than `most` arrays those that differ in the number of their layer are one
    curve; where that would leave next to nothing, some stand for all.
    """
    if len(names) <= most:
        return {name: [name] for name in names}
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(name.rstrip("0123456789"), []).append(name)
    if not 3 <= len(stems) <= most:
        return {names[i]: [names[i]] for i in spread(len(names), most)}
    return {
        of[0] if len(of) == 1 else f"{stem}, median of {len(of)}": of
        for stem, of in stems.items()
    }


def _pieces(name: str) -> list:
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", name)]


def say(axes: Any, text: str) -> None:
    """A sentence in the place of a figure that cannot be drawn."""
    axes.text(0.5, 0.5, text, ha="center", va="center", transform=axes.transAxes)


def png(figure: Figure) -> bytes:
    """The figure as a PNG."""
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)
    return out.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as a PNG; a file that exists is replaced once all is drawn."""
    content = png(figure)
    write_atomic(path, lambda file: file.write(content))

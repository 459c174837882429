"""A figure as an <svg> element for a page: the page's typeface, colours and dark mode.

matplotlib draws it, and what it wrote is made fit for a page: text stays text in the
font of what is around it, a colour becomes a variable of the style sheet with the
colour as its default, ids are the figure's own, and coordinates have two decimals.

    <g class="curve-2">          a curve and its label, so that both can be hidden
    <image class="ink">          a map in black: a dark page inverts it
    <svg data-values="...">      what the curves are made of, for whoever reads values
"""

import io
import json
import re
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from jaxninja.plots.style import COLOURS, SOFT

NAMES = ("--ink", *(f"--c{n}" for n in range(1, len(COLOURS))), "--soft")
VARIABLES = dict(zip((*COLOURS, SOFT), NAMES, strict=True))
DECIMALS = re.compile(r"(\d+\.\d\d)\d+")


def svg(figure: Figure, title: str, key: str = "figure") -> str:
    """The figure as the text of an <svg> element, as wide as what it stands in.

    Args:
        figure: drawn as wide as its own size at most.
        title: what it shows, for whoever cannot see it.
        key: begins its ids; figures of one page need different ones.
    """
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(out, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(out.getvalue())
    for parent in root.iter():
        for child in list(parent):
            if _superfluous(child):
                parent.remove(child)
        _plain(parent, key)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img"}
    root.attrib |= {"aria-label": title, "data-values": json.dumps(values(figure))}
    return ElementTree.tostring(root, encoding="unicode")


def values(figure: Figure) -> list[dict[str, Any]]:
    """The curves of each axes with a common x, and where it lies in the figure.

    Of each: left, right and the limits of x between them, in the units of the viewBox;
    top and bottom; and each labelled line's name, group, x and y (null: not finite).
    """
    height = figure.get_figheight() * 72
    found = []
    for axes in figure.axes:
        curves = [line for line in axes.lines if str(line.get_label())[0] != "_"]
        if not curves or axes.get_xscale() != "linear":
            continue
        (left, low), (right, high) = axes.bbox.get_points() * 72 / figure.dpi
        place = {"left": left, "right": right, "top": height - high}
        place |= {"bottom": height - low, "limits": [*map(float, axes.get_xlim())]}
        place = {k: np.round(v, 2).tolist() for k, v in place.items()}
        named = {"x": axes.get_xlabel(), "lines": [*map(_curve, curves)]}
        found.append(place | named)
    return found


def _curve(line: Any) -> dict[str, Any]:
    x, y = (np.asarray(a, float) for a in line.get_data())
    y = [float(f"{v:.5g}") if np.isfinite(v) else None for v in y]
    x = [float(f"{v:.5g}") if v % 1 else int(v) for v in x]
    name = line.get_label().replace(r"\$", "$")
    return {"name": name, "group": line.get_gid(), "x": x, "y": y}


def _superfluous(element: Element) -> bool:
    """Metadata, a style that is not the figure's alone, and a background of nothing."""
    tag = element.tag.rpartition("}")[2]
    unseen = tag == "path" and element.get("style") == "fill: none"
    return tag in ("metadata", "style") or unseen


def _plain(element: Element, key: str) -> None:
    """Without namespaces, with ids of the figure's own, colours as variables."""
    element.tag = element.tag.rpartition("}")[2]
    element.text, element.tail = (
        (t or "").strip() for t in (element.text, element.tail)
    )
    given, element.attrib = element.attrib, {}
    for name, value in given.items():
        name = name.rpartition("}")[2]
        if name == "style":
            value = _style(value)
        elif name == "id" and element.tag in ("g", "image"):
            named = re.fullmatch(r"curve-\d+|ink", value)
            name, value = ("class", value) if named else ("", "")
        elif name == "id":
            value = f"{key}-{value}"
        elif name == "href":
            value = "".join(value.split())  # the lines of base64
            value = f"#{key}-{value[1:]}" if value[0] == "#" else value
        elif name == "transform" and re.match(r"rotate\(-0 ", value):
            name = ""
        if name and value:
            value = value.replace("url(#", f"url(#{key}-").replace("\n", " ")
            element.set(name, DECIMALS.sub(r"\1", value).strip())


def _style(text: str) -> str:
    """CSS without a font's name; its size and each known colour are variables, which
    default to what they are."""
    rules = [rule for rule in text.split("; ") if not rule.startswith("font-family")]
    sized = re.sub(
        r"font-size: (\S+px)", r"font-size: calc(\1*var(--text, 1))", "; ".join(rules)
    )
    return re.sub("#[0-9a-f]{6}", _variable, sized)


def _variable(found: re.Match[str]) -> str:
    colour = found[0]
    return f"var({VARIABLES[colour]}, {colour})" if colour in VARIABLES else colour

"""A check in pictures, and as a page for a notebook."""

import base64
import html
from collections.abc import Mapping
from typing import Any

from jaxninja.workbook.graph import NODES

Figure = Any  # matplotlib's, which only jaxninja.plots imports


def graph(statuses: Mapping[str, str] | None = None) -> Figure:
    """The network's graph, each array coloured by the status of its gradient.

    Args:
        statuses: name -> "ok", "wrong", "inherited", "gap" or "unasked"; the rest is
            to do.
    """
    from jaxninja.plots.exercises import graph

    edges = [(parent, node.name) for node in NODES for parent in node.parents]
    return graph(edges, statuses or {})


def page(
    text: str,
    picture: Mapping[str, Any] | None = None,
    statuses: Mapping[str, str] | None = None,
) -> str:
    """A report as HTML: its text, and where given the comparison and the graph."""
    from jaxninja.plots.exercises import compared

    parts = [f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>']
    if picture is not None:
        parts.append(image(compared(picture)))
    if statuses is not None:
        parts.append(image(graph(statuses)))
    return "\n".join(parts)


def image(figure: Figure) -> str:
    """A figure as HTML, in itself."""
    from jaxninja.plots.style import png

    data = base64.b64encode(png(figure)).decode()
    return f'<img style="max-width: 100%" src="data:image/png;base64,{data}">'

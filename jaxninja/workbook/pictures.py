"""A check in pictures, and as a page for a notebook."""

import base64
import html
from collections.abc import Mapping
from typing import Any

from jaxninja.workbook.network import Network

Figure = Any  # matplotlib's, which only jaxninja.plots imports


def graph(network: Network, statuses: Mapping[str, str] | None = None) -> Figure:
    """A network's graph, each array coloured by the status of its gradient.

    Args:
        network: whose.
        statuses: name -> "ok", "wrong", "inherited", "gap" or "unasked"; the rest is
            to do.
    """
    from jaxninja.plots.exercises import graph

    edges = [(k, name) for name in network.steps for k in network.parents(name)]
    done = {network.output: "ok"}
    return graph(
        network.places or by_depth(network), edges, {**done, **(statuses or {})}
    )


ROW = 11  # arrays in a row of a picture


def by_depth(network: Network) -> dict[str, tuple[float, float]]:
    """A column for each depth, in rows of so many columns; what is given stands beside
    its first reader."""
    depth: dict[str, int] = {}
    for name in network.steps:
        above = [depth[k] for k in network.parents(name) if k in depth]
        depth[name] = max(above, default=0) + 1
    for name in network.parameters:
        depth[name] = min(depth[node.name] for node in network.uses(name)) - 1
    columns: dict[int, list[str]] = {}
    for name in network.node:
        columns.setdefault(depth[name], []).append(name)
    tallest = max(map(len, columns.values()))
    rows = max(depth.values()) // ROW
    return {
        name: (
            at % ROW,
            (rows - at // ROW) * (tallest + 1) + tallest - (k + (at % 2) / 3),
        )
        for at, names in columns.items()
        for k, name in enumerate(names)
    }


def page(
    network: Network,
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
        parts.append(image(graph(network, statuses)))
    return "\n".join(parts)


def image(figure: Figure) -> str:
    """A figure as HTML, in itself."""
    from jaxninja.plots.style import png

    data = base64.b64encode(png(figure)).decode()
    return f'<img style="max-width: 100%" src="data:image/png;base64,{data}">'

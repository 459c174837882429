"""A check in pictures, and as a page for a notebook."""

import base64
import html
from collections.abc import Mapping
from typing import Any

from jaxninja.workbook.exercises import EXERCISES
from jaxninja.workbook.graph import NODES
from jaxninja.workbook.report import INHERITED, Report

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


def statuses(report: Report) -> dict[str, str]:
    """The status of each name in a report; what hangs on a wrong one is unreliable."""
    unasked = {k.name for k in NODES} - {*EXERCISES[report.number].names}
    found = {row.name: row.status for row in report.rows}
    unreliable = dict.fromkeys(report.unreliable, INHERITED)
    return {**dict.fromkeys(unasked - {"loss"}, "unasked"), **unreliable, **found}


def page(report: Report) -> str:
    """The report as HTML: its text, the comparison and the graph."""
    from jaxninja.plots.exercises import compared

    text = html.escape(report.table())
    parts = [f'<pre style="white-space: pre-wrap">{text}</pre>']
    if report.picture is not None:
        parts.append(_image(compared(report.picture)))
    if report.number in (1, 4) and report.rows:
        parts.append(_image(graph(statuses(report))))
    return "\n".join(parts)


def _image(figure: Figure) -> str:
    from jaxninja.plots.style import png

    data = base64.b64encode(png(figure)).decode()
    return f'<img style="max-width: 100%" src="data:image/png;base64,{data}">'

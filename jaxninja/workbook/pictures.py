"""A check in pictures, and as a page for a notebook."""

import base64
import html
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxninja.workbook.network import Network
from jaxninja.workbook.texts.languages import sentence

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
    """A column for each depth, in rows of so many columns: steps above what is given,
    which stands beside its first reader. Neighbours are not level, for the arrows."""
    depth: dict[str, int] = {}
    for name in network.steps:
        above = [depth[k] for k in network.parents(name) if k in depth]
        depth[name] = max(above, default=0) + 1
    for name in network.parameters:
        depth[name] = min(depth[node.name] for node in network.uses(name)) - 1
    columns: dict[int, list[str]] = {}
    for name in (*network.steps, *network.parameters):
        columns.setdefault(depth[name], []).append(name)
    rows: dict[int, int] = {}
    for at, names in columns.items():
        rows[at // ROW] = max(len(names) + 1, rows.get(at // ROW, 0))
    return {
        name: (
            float(at % ROW),
            sum(size for row, size in rows.items() if row >= at // ROW)
            - 1.0
            - k
            - 0.5 * (at % 2),
        )
        for at, names in columns.items()
        for k, name in enumerate(names)
    }


def wrong_pairs(jacobian: Mapping[str, Any]) -> np.ndarray:
    """Where the learner's Jacobian is not the true one, as truth values."""
    mine, truth = (np.asarray(jacobian[k]) for k in ("mine", "truth"))
    return ~(np.abs(mine - truth) <= 1e-7 * np.abs(truth).max())


def matrix(jacobian: Mapping[str, Any]) -> Iterator[str]:
    """A Jacobian as text, its wrong pairs marked; nothing if there are none."""
    wrong = wrong_pairs(jacobian)
    if not wrong.any():
        return
    digits = _digits(jacobian, wrong)
    name, source = jacobian["name"], jacobian["source"]
    facts = dict(source=source, name=name, wrong=wrong.sum(), size=wrong.size)
    yield sentence("jacobian", **facts)
    for whose in ("yours", "true"):
        yield sentence(whose)
        numbers = jacobian["mine" if whose == "yours" else "truth"]
        for row, marks in zip(numbers, wrong & (whose == "yours"), strict=True):
            pairs = zip(row, marks, strict=True)
            yield "".join(
                f"{value:{digits + 4}.{digits}f}{'*' if mark else ' '}"
                for value, mark in pairs
            )


def _digits(jacobian: Mapping[str, Any], wrong: np.ndarray) -> int:
    """After the point: three, or as many as tell every wrong number from the true."""
    mine, truth = (np.asarray(jacobian[k])[wrong] for k in ("mine", "truth"))
    differ = (k for k in range(3, 16) if (mine.round(k) != truth.round(k)).all())
    return next(differ, 16)


def page(
    network: Network,
    text: str,
    picture: Mapping[str, Any] | None = None,
    jacobian: Mapping[str, Any] | None = None,
    statuses: Mapping[str, str] | None = None,
) -> str:
    """A report as HTML: its text, and where given the comparison, the Jacobian and the
    graph."""
    from jaxninja.plots import exercises

    parts = [f'<pre style="white-space: pre-wrap">{html.escape(text)}</pre>']
    if picture is not None:
        parts.append(image(exercises.compared(picture)))
    if jacobian is not None:
        parts.append(image(exercises.jacobian(jacobian, wrong_pairs(jacobian))))
    if statuses is not None:
        parts.append(image(graph(network, statuses)))
    return "\n".join(parts)


def image(figure: Figure) -> str:
    """A figure as HTML, in itself."""
    from jaxninja.plots.style import png

    data = base64.b64encode(png(figure)).decode()
    return f'<img style="max-width: 100%" src="data:image/png;base64,{data}">'

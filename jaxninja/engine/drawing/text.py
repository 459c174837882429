"""A graph as text: a line for each value, from its operation to its gradient.

a                 float32[]    2.0000    6.0000
e = a * b         float32[]   -6.0000   -2.0000
"""

from collections.abc import Iterator
from typing import Any

from jaxninja.engine.computation import Computation
from jaxninja.engine.drawing.picture import Unit, picture_of
from jaxninja.engine.drawing.words import expression, label, measure

Row = tuple[str, str, str, str]
HEAD: Row = ("node", "dtype[shape]", "value", "gradient")


def to_text(graph: Computation, grads: Any = None, fold: bool | None = None) -> str:
    """List a graph in the order of computation.

    The body of a scan, and the branches of a cond, follow the operation that runs them,
    indented; in a scan they have the values of all steps.

    Args: graph, grads, fold: as `to_svg`.
    """
    rows = [HEAD, *_rows(graph, grads, fold, "")]
    if grads is None:
        rows = [row[:3] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    note = picture_of(graph, fold).note
    return "\n".join([*lines, *([note] if note else [])])


def _rows(
    graph: Computation, grads: Any, fold: bool | None, indent: str
) -> Iterator[Row]:
    nodes = graph.nodes
    units, numbers, _ = picture_of(graph, fold)
    place = {id(step): k for k, step in enumerate(graph.tape.steps)}
    for unit in units:
        made_by = _made_by(graph, unit, numbers, nodes)
        for i in unit.outs:
            left = indent + label(nodes[i]) + made_by
            kind = f"{nodes[i].dtype}{list(nodes[i].shape)}"
            yield left, kind, measure(nodes[i].value), _gradient(grads, i)
        step = unit.steps[0] if len(unit.steps) == 1 else None
        if step and step.eqn.primitive.name in ("scan", "cond"):
            yield from _bodies(graph, place[id(step)], grads, fold, indent)


def _made_by(graph: Computation, unit: Unit, numbers, nodes) -> str:
    """` = a * b`, ` = logsumexp(#7)`; empty for a source."""
    if unit.steps and not unit.folded:
        return " = " + expression(graph, unit.steps[0], numbers, nodes)
    operands = ", ".join(label(nodes[i]) for i in unit.ins)
    return f" = {unit.label}: {operands}" if unit.steps else ""


def _gradient(grads: Any, i: int) -> str:
    grad = None if grads is None else grads[i]
    return "none" if grad is None else measure(grad)


def _bodies(
    graph: Computation, step: int, grads: Any, fold, indent: str
) -> Iterator[Row]:
    bodies = graph.bodies(step)
    inside = None if grads is None else grads.inner.get(step)
    every = inside if isinstance(inside, list) else [inside] * len(bodies)
    for body, its_grads in zip(bodies, every, strict=True):
        yield from _rows(body, its_grads, fold, indent + "    ")

"""A graph as SVG: pills are operations, boxes are values with their gradients.

Each box has a title (name, dtype, shape), the value and, below it, the gradient. The
file and line of an operation show when the pointer rests on it. Nothing but text is
made here: no drawing program is needed.
"""

import re
from html import escape
from typing import Any

from jaxninja.engine.computation import Computation
from jaxninja.engine.drawing.layout import Cell, Placed, place
from jaxninja.engine.drawing.picture import picture_of
from jaxninja.engine.drawing.words import label, measure, title
from jaxninja.escaping import printable

PAGE = 1400.0
LETTER, LINE, PAD = 6.7, 14.0, 7.0  # of an 11 px monospaced face, in px

# each selector names the class of the drawing, as a page may hold other drawings
STYLE = """<style>
.graph text { font: 11px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #222; white-space: pre }
.graph .title { font-weight: bold }
.graph .grad { fill: #a03010 }
.graph .note { fill: #666 }
.graph rect { fill: #fff; stroke: #888 }
.graph .op { fill: #eee }
.graph .folded { fill: #e4dcf0 }
.graph .source { fill: #e6f0fa; stroke: #6a8fb5 }
.graph .output { fill: #fdeecb; stroke: #b08d2e; stroke-width: 1.5 }
.graph .reference { fill: none; stroke: #bbb; stroke-dasharray: 4 3 }
.graph path { fill: none; stroke: #777 }
.graph marker path { fill: #777; stroke: none }
</style>
<defs><marker id="graph-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"
markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>"""


def to_svg(
    graph: Computation, grads: Any = None, fold: bool | None = None, page: float = PAGE
) -> str:
    """Draw a graph.

    Args:
        graph: from `trace`.
        grads: from `backward`; without them the boxes have no gradients.
        fold: True: named scopes and jitted functions are one pill each; False: nothing
            is; None: as much as a large graph needs.
        page: width in px at which a new line of boxes is begun.
    """
    units, _, note = picture_of(graph, fold)
    texts = _Texts(graph, grads)
    drawn = place(units, texts.size, page)
    parts = [_arrow(start, end) for start, end, _ in drawn.arrows]
    parts += [part for p in drawn.placed for part in texts.draw(p)]
    width = max(drawn.width, len(note) * LETTER + 2 * PAD)
    height = drawn.height + (LINE if note else 0)
    if note:
        parts.append(_text(PAD, height - PAD, note, "note"))
    return _page(width, height, parts)


class _Texts:
    """The lines of every box, and how it is drawn."""

    def __init__(self, graph: Computation, grads: Any) -> None:
        self.nodes, self.outputs = graph.nodes, set(graph.tape.outputs)
        self.grads = grads

    def lines(self, i: int) -> list[tuple[str, str]]:
        """(text, class) of each line in the box of a node."""
        node = self.nodes[i]
        lines = [(title(node), "title"), (measure(node.value), "")]
        if self.grads is not None and self.grads[i] is not None:
            lines.append((f"grad {measure(self.grads[i])}", "grad"))
        return [line for line in lines if line[0]]

    def size(self, cell: Cell) -> tuple[float, float]:
        if cell.reference:
            text = label(self.nodes[cell.unit.outs[0]])
            return len(text) * LETTER + 2 * PAD, LINE + PAD
        boxes = [self.lines(i) for i in cell.unit.outs]
        widest = max((len(text) for box in boxes for text, _ in box), default=0)
        height = sum(len(box) * LINE + PAD for box in boxes)
        return self.pill(cell) + widest * LETTER + 2 * PAD, max(height, LINE + PAD)

    def pill(self, cell: Cell) -> float:
        """Width of the operation's pill, which touches the boxes of its results."""
        text = cell.unit.label
        return len(text) * LETTER + 2 * PAD if text else 0.0

    def draw(self, p: Placed):
        if p.cell.reference:
            yield _rect(p.x, p.y, p.width, p.height, "reference", 3)
            text = label(self.nodes[p.cell.unit.outs[0]])
            yield _text(p.x + PAD, p.y + LINE, text, "note")
            return
        pill = self.pill(p.cell)
        top = p.y
        for i in p.cell.unit.outs:
            lines = self.lines(i)
            height = len(lines) * LINE + PAD
            kind = "output" if i in self.outputs else "" if pill else "source"
            yield _rect(p.x + pill, top, p.width - pill, height, kind, 3)
            for k, (text, style) in enumerate(lines, 1):
                yield _text(p.x + pill + PAD, top + k * LINE, text, style)
            top += height
        if pill:
            yield from self.operation(p, pill)

    def operation(self, p: Placed, pill: float):
        unit, middle = p.cell.unit, p.y + p.height / 2
        kind = "op folded" if unit.folded else "op"
        yield f"<g><title>{escape(printable(_file(unit.steps[0].where)))}</title>"
        yield _rect(p.x, middle - LINE / 2 - 4, pill, LINE + 8, kind, 11)
        yield _text(p.x + PAD, middle + 4, unit.label, "") + "</g>"


def _file(where: str) -> str:
    """Without the folders."""
    return re.sub(r"\S*[/\\]", "", where)


def _arrow(start: Placed, end: Placed) -> str:
    x, y = start.x + start.width, start.y + start.height / 2
    u, v = end.x, end.y + end.height / 2
    bend = (u - x) / 2
    return (
        f'<path d="M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {u - bend:.0f} {v:.0f} '
        f'{u:.0f} {v:.0f}" marker-end="url(#graph-tip)"/>'
    )


def _rect(x, y, width, height, kind: str, corner: int) -> str:
    return (
        f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" rx="{corner}"/>'
    )


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(text)}</text>'


def _page(width: float, height: float, parts: list[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}"'
    box = f'viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg class="graph" xmlns="http://www.w3.org/2000/svg" {size} {box}>'
    return "\n".join([head, STYLE, *parts, "</svg>"])

"""Where the units of a picture go: columns from left to right, in bands like lines.

A unit comes after all that it reads, and right before its first reader. Columns fill a
band until it is as wide as the page, and go on in the next band. Arrows go from one
column to the next only: who reads a value from further away gets a reference to it, a
copy of its name, in the column before. That is how a page of text refers to an
equation, and no arrow has to cross the page.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from jaxninja.engine.drawing.picture import Unit

GAP_X, GAP_Y, GAP_BAND, MARGIN = 36.0, 10.0, 34.0, 14.0


class Cell(NamedTuple):
    unit: Unit
    reference: bool = False  # a copy of a title, for a reader far from the value


class Placed(NamedTuple):
    cell: Cell
    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    placed: list[Placed]
    arrows: list[tuple[Placed, Placed, int]]  # from, to, and the node in between
    width: float
    height: float


Size = Callable[[Cell], tuple[float, float]]


def place(units: list[Unit], size: Size, page: float) -> Layout:
    """Place units on a page of this width; `size` measures a cell."""
    if not units:  # of a function that returns nothing
        return Layout([], [], 2 * MARGIN, 2 * MARGIN)
    columns = _ordered(_cells(units))
    placed: list[list[Placed]] = []
    top = MARGIN
    for band in _bands(columns, size, page):
        stacks = [_stack(column, size) for column in band]
        height = max(map(_height, stacks))
        left = MARGIN
        for stack in stacks:
            down = top + (height - _height(stack)) / 2
            placed.append([p._replace(x=p.x + left, y=p.y + down) for p in stack])
            left += max(p.x + p.width for p in stack) + GAP_X
        top += height + GAP_BAND
    every = [p for column in placed for p in column]
    right = max(p.x + p.width for p in every)
    return Layout(every, list(_arrows(placed)), right + MARGIN, top - GAP_BAND + MARGIN)


def _columns(units: list[Unit]) -> dict[int, int]:
    """Unit -> column."""
    maker = {i: u for u, unit in enumerate(units) for i in unit.outs}
    column: dict[int, int] = {}
    for u, unit in enumerate(units):
        column[u] = 1 + max((column[maker[i]] for i in unit.ins), default=-1)
    limit: dict[int, int] = {}  # the column before the first reader
    for u, unit in reversed(list(enumerate(units))):
        column[u] = limit.get(u, column[u])
        for m in (maker[i] for i in unit.ins):
            limit[m] = min(limit.get(m, column[u] - 1), column[u] - 1)
    return column


def _cells(units: list[Unit]) -> list[list[Cell]]:
    """The units by columns, and the references where they are needed."""
    column = _columns(units)
    maker = {i: u for u, unit in enumerate(units) for i in unit.outs}
    cells: list[list[Cell]] = [[] for _ in range(1 + max(column.values()))]
    referred = set()
    for u, unit in enumerate(units):
        c = column[u]
        cells[c].append(Cell(unit))
        for i in unit.ins:
            if column[maker[i]] != c - 1 and (c, i) not in referred:
                referred.add((c, i))
                cells[c - 1].append(Cell(Unit("", (), (i,)), reference=True))
    return cells


def _ordered(columns: list[list[Cell]]) -> list[list[Cell]]:
    """Each column from top to bottom: operations at the height of what they read.

    A source goes next to the operation whose result its reader also reads, above or
    below it in the order of the operands.
    """
    ordered: list[list[Cell]] = []
    for column, after in zip(columns, [*columns[1:], []], strict=True):
        height = _heights(ordered[-1]) if ordered else {}
        moved = [cell for cell in column if cell.unit.ins]
        moved.sort(key=lambda cell: _mean(cell.unit.ins, height, 0.0))
        made = _heights(moved)
        keys = [(float(k), cell) for k, cell in enumerate(moved)]
        keys += [(_beside(c, made, after), c) for c in column if not c.unit.ins]
        keys.sort(key=lambda pair: pair[0])
        ordered.append([cell for _, cell in keys])
    return ordered


def _beside(cell: Cell, made: dict[int, float], after: list[Cell]) -> float:
    (i,) = cell.unit.outs[:1]
    readers = [r.unit.ins for r in after if i in r.unit.ins]
    heights = [_mean(r, made, 1e6) + (0.5 if r.index(i) else -0.5) for r in readers]
    return sum(heights) / len(heights) if heights else 1e6


def _heights(column: list[Cell]) -> dict[int, float]:
    """Node -> place of its cell in the column."""
    return {i: float(k) for k, cell in enumerate(column) for i in cell.unit.outs}


def _mean(nodes, height: dict[int, float], default: float) -> float:
    found = [height[i] for i in nodes if i in height]
    return sum(found) / len(found) if found else default


def _bands(columns, size: Size, page: float) -> Iterator[list[list[Cell]]]:
    """Break the columns into lines. What the next line reads is named at its start."""
    band, width = [], MARGIN
    for column in columns:
        wide = max(size(cell)[0] for cell in column) + GAP_X
        if len(band) > 1 and width + wide > page:
            *whole, before = band
            stay = [cell for cell in before if cell.unit.ins]
            yield [*whole, stay] if stay else whole
            band = [_carried_over(before, column)]
            width = MARGIN + max(size(cell)[0] for cell in band[0]) + GAP_X
        band.append(column)
        width += wide
    yield band


def _carried_over(before: list[Cell], column: list[Cell]) -> list[Cell]:
    """The first column of a line: sources move there, results are referred to."""
    read = {i for cell in column for i in cell.unit.ins}
    carried = []
    for cell in before:
        if cell.unit.ins:
            outs = [i for i in cell.unit.outs if i in read]
            carried += [Cell(Unit("", (), (i,)), reference=True) for i in outs]
        else:
            carried.append(cell)
    return carried


def _stack(column: list[Cell], size: Size) -> list[Placed]:
    """The cells of a column one below the other, from 0 down.

    Sources and references end at the right, so that their arrows meet no neighbour.
    """
    stack, y = [], 0.0
    widest = max(size(cell)[0] for cell in column)
    for cell in column:
        width, height = size(cell)
        x = 0.0 if cell.unit.ins else widest - width
        stack.append(Placed(cell, x, y, width, height))
        y += height + GAP_Y
    return stack


def _height(stack: list[Placed]) -> float:
    return stack[-1].y + stack[-1].height - stack[0].y


def _arrows(columns: list[list[Placed]]) -> Iterator[tuple[Placed, Placed, int]]:
    before: dict[int, Placed] = {}
    for column in columns:
        for placed in column:
            for i in dict.fromkeys(placed.cell.unit.ins):
                yield before[i], placed, i
        before = {i: p for p in column for i in p.cell.unit.outs}

"""An index past the end of an array, which NumPy refuses and JAX does not.

JAX reads the last entry in its place: the number may be right, and the line is not.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxninja.workbook.texts.languages import sentence


def reads_past_the_end(
    nodes: Iterable[ast.AST], arrays: Mapping[str, Any]
) -> str | None:
    """What to say of the first such index of one of the arrays; None if none is."""
    for node in nodes:
        for part in ast.walk(node):
            match part:
                case ast.Subscript(value=ast.Name(id=name), slice=index) if (
                    name in arrays
                ):
                    for axis, k in _numbers(index):
                        length = (*np.shape(arrays[name]), 0)[axis]
                        if not -length <= k < length and axis < np.ndim(arrays[name]):
                            facts = {"array": name, "length": length, "axis": axis}
                            return sentence(
                                "past the end", text=ast.unparse(part), **facts
                            )
    return None


def _numbers(index: ast.expr) -> Iterator[tuple[int, int]]:
    """Of an index, the numbers that are written out, each with its axis."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    for axis, part in enumerate(parts):
        if not isinstance(part, ast.Slice):
            try:
                number = ast.literal_eval(part)
            except ValueError:  # an index that is computed, an array mostly
                return
            if type(number) is not int:  # None, ..., True: axes are counted otherwise
                return
            yield axis, number

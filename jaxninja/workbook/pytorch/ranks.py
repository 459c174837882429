"""How many axes an expression has, as far as that can be read from the text.

An index that names an entry twice matters: `x[ix] += y` keeps one of them in PyTorch.
"""

import ast
from collections.abc import Collection, Iterator

from jaxninja.workbook.solutions.lecture import NETWORK

LECTURE = {node.name: len(node.shape.split()) for node in NETWORK.nodes} | {
    f"d{node.name}": len(node.shape.split()) for node in NETWORK.nodes
}
RANKS = {**LECTURE, "Xb": 2, "Yb": 1, "n": 0}
COUNTS = {"arange": 1, "range": 1, "len": 0, "int": 0, "float": 0}
KEPT = {"astype", "exp", "log", "tanh", "abs", "sqrt", "zeros_like", "ones_like"}


def rank(node: ast.expr, known: dict[str, int]) -> int | None:
    """The number of axes; None if it is not known."""
    match node:
        case ast.Constant():
            return 0
        case ast.Name(id=name):
            return known.get(name)
        case ast.UnaryOp(operand=inner):
            return rank(inner, known)
        case ast.BinOp(left=left, right=right) if not isinstance(node.op, ast.MatMult):
            both = [rank(left, known), rank(right, known)]
            return None if None in both else max(b for b in both if b is not None)
        case ast.Subscript(value=ast.Attribute(attr="shape")):
            return 0
        case ast.Subscript(value=value, slice=index):
            return _of_part(rank(value, known), index, known)
        case ast.Call(func=ast.Attribute(attr="argmax" | "argmin", value=value)):
            return _reduced(node, rank(value, known))
        case ast.Call(func=ast.Attribute(attr="reshape", value=value)):
            sizes = not any(
                isinstance(a, ast.Starred | ast.Attribute) for a in node.args
            )
            return len(node.args) if sizes else None
        case ast.Call(func=function, args=arguments):
            name = getattr(function, "attr", getattr(function, "id", ""))
            if name in KEPT and arguments:
                return rank(arguments[0], known)
            return COUNTS.get(name)
    return None


def _of_part(of: int | None, index: ast.expr, known: dict[str, int]) -> int | None:
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    ranks = [rank(part, known) for part in parts if not isinstance(part, ast.Slice)]
    if of is None or any(one is None for one in ranks) or len(ranks) > of:
        return None
    arrays = [one for one in ranks if one]
    return of - len(ranks) + (max(arrays) if arrays else 0)


def _reduced(node: ast.Call, of: int | None) -> int | None:
    if of is None or any(k.arg == "keepdims" for k in node.keywords):
        return of
    return of - 1 if node.args else 0


def names_once(index: ast.expr, known: dict[str, int], rows: Collection[str]) -> bool:
    """Whether an index names no entry twice: single places, slices, rows in order.

    Args:
        index: of an array.
        known: the number of axes of names.
        rows: the names that stand for 0, 1, 2, ...
    """
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    arrays = [p for p in parts if not _is_one(p, known)]
    ordered = any(is_range(p) or getattr(p, "id", "") in rows for p in arrays)
    return not arrays or (ordered and all(rank(p, known) == 1 for p in arrays))


def is_range(node: ast.expr) -> bool:
    """Whether it is range(...) or arange(...)."""
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", "")) in ("range", "arange")


def is_single(index: ast.expr, known: dict[str, int]) -> bool:
    """Whether an index is of single places and slices only."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return all(_is_one(part, known) for part in parts)


def _is_one(part: ast.expr, known: dict[str, int]) -> bool:
    whole = isinstance(part, ast.Slice) or getattr(part, "value", 0) in (None, ...)
    return whole or rank(part, known) == 0


def of_loop(
    target: ast.expr, over: ast.expr, known: dict[str, int]
) -> Iterator[tuple[str, int]]:
    """The names that a loop binds, with the number of axes of what they stand for."""
    called = over.func.id if _is_call(over) else ""  # type: ignore[attr-defined]
    if called == "enumerate" and isinstance(target, ast.Tuple):
        yield from _named(target.elts[0], 0)
        yield from of_loop(target.elts[1], over.args[0], known)  # type: ignore
    elif called == "zip" and isinstance(target, ast.Tuple):
        for one, other in zip(target.elts, over.args, strict=False):  # type: ignore
            yield from of_loop(one, other, known)
    elif (outer := rank(over, known)) is not None:
        yield from _named(target, outer - 1)


def _is_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def _named(target: ast.expr, axes: int) -> Iterator[tuple[str, int]]:
    if isinstance(target, ast.Name):
        yield target.id, axes

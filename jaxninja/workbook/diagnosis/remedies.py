"""What would fit where an operation's shapes do not, as hints."""

import ast
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.code import snippets
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.texts.languages import sentence

Shape = tuple[int, ...]
Form = tuple[str, Shape]  # a text, and the shape of its value
REDUCTIONS = ("sum", "mean", "max", "min", "argmax")


def of_product(node, parts, forms: list[Form], wanted: tuple[str, Shape]) -> Hint:
    """Of a matrix product, whose inner axes differ, and the one that would fit."""
    (_, one), (_, other) = forms
    facts = {"line": node.lineno, "text": ast.unparse(node)}
    facts |= {"one": str([*one]), "other": str([*other])}
    return Hint(
        "product", {**facts, "instead": _instead(parts, forms, wanted)}, node.lineno
    )


def _instead(parts, forms: list[Form], wanted: tuple[str, Shape]) -> str:
    """The one product of the two that has the shape of the gradient."""
    name, shape = wanted
    sides = (forms[0][1], forms[1][1])
    every = ([t for t, s in o if s == shape] for o in _others(parts, sides))
    fits = next(filter(None, every), [])
    if len(fits) != 1:
        return ""
    return sentence("fits", text=fits[0], shape=[*shape], name=name)


def of_broadcast(node, parts, clash, space, wanted: tuple[str, Shape]) -> Hint:
    """Of two arrays that do not broadcast: keep an axis, or multiply by @."""
    instead = _with_keepdims(parts, space)
    if not instead and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        instead = _instead(parts, [*clash], wanted)
    return of_two("broadcast", node, [*clash], instead=instead)


def _with_keepdims(parts: list[ast.expr], space: dict) -> str:
    """A sum that fits once it keeps its axis."""
    for k, part in enumerate(parts):
        inner = part.operand if isinstance(part, ast.UnaryOp) else part
        if isinstance(inner, ast.Call) and called(inner) in REDUCTIONS:
            keep = ast.keyword("keepdims", ast.Constant(True))
            kept = ast.Call(inner.func, inner.args, [*inner.keywords, keep])
            shape = shape_of(kept, space)
            others = [shape_of(p, space) or () for p in parts if p is not parts[k]]
            if shape and all(fit(shape, other) for other in others):
                return sentence("keeps axis", text=ast.unparse(kept), shape=[*shape])
    return ""


def of_letters(node: ast.Call, forms: list[Form]) -> Hint | None:
    """Of einsum, the letter that has two lengths."""
    labels = getattr(node.args[0], "value", "")
    if not isinstance(labels, str):
        return None
    groups = labels.replace(" ", "").split("->")[0].split(",")
    lengths: dict[str, tuple[int, str]] = {}
    for group, (text, shape) in zip(groups, forms, strict=False):
        for letter, length in zip(group, shape, strict=False):
            known, whose = lengths.setdefault(letter, (length, text))
            if known != length:
                facts = {"letter": letter, "one": known, "left": whose}
                facts |= {"other": length, "right": text, "line": node.lineno}
                return Hint("einsum", facts, node.lineno)
    return None


def of_two(code: str, node: ast.expr, forms: list[Form], **more: Any) -> Hint:
    """A hint on two arrays, with their shapes."""
    (left, one), (right, other) = forms
    facts = {"line": node.lineno, "left": left, "right": right}
    shapes = {"one": str([*one]), "other": str([*other])}
    return Hint(code, {**facts, **shapes, **more}, node.lineno)


def _others(parts, sides: tuple[Shape, Shape]) -> Iterator[list[tuple[str, Any]]]:
    """The products of the two, each as it is or transposed, and their shapes: first in
    the order as written, then in the other one."""
    forms = [
        [(_bracketed(side), shape), _transposed(side, shape)]
        for side, shape in zip(parts, sides, strict=False)
    ]
    for first, second in (forms, forms[::-1]):
        yield [
            (f"{left} @ {right}", _product(one, other))
            for (left, one), (right, other) in product(first, second)
        ]


def _bracketed(side: ast.expr) -> str:
    text = ast.unparse(side)
    return f"({text})" if isinstance(side, ast.BinOp | ast.UnaryOp) else text


def _transposed(side: ast.expr, shape: Shape) -> tuple[str, Shape]:
    """With its last two axes exchanged; .T exchanges all, which is for matrices."""
    how = "T" if len(shape) < 3 else "mT"
    if isinstance(side, ast.Attribute) and side.attr in ("T", "mT"):
        text = ast.unparse(side.value)
        if side.attr == how:
            return text, _swapped(shape)
        return f"{text}.{how}", _swapped(shape[::-1])
    return ast.unparse(ast.Attribute(side, how, ast.Load())), _swapped(shape)


def _swapped(shape: Shape) -> Shape:
    return (*shape[:-2], *shape[-2:][::-1])


def called(node: ast.expr) -> str:
    """The name of the method, or of the function of a module; "" of anything else."""
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return node.func.attr if is_method else ""  # type: ignore[union-attr]


def shape_of(side: ast.expr, space: dict[str, Any]) -> Shape | None:
    """Of the value of an expression; None where it has none."""
    whole = ast.fix_missing_locations(ast.Expression(side))
    with suppress(Exception), snippets.silence():
        return np.shape(eval(compile(whole, "shape", "eval"), dict(space)))
    return None


def fit(one: Shape, other: Shape) -> bool:
    """Whether they broadcast."""
    try:
        return bool(np.broadcast_shapes(one, other)) or True
    except ValueError:
        return False


def _product(one: Shape, other: Shape) -> Shape | None:
    operands = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (one, other))
    try:
        return jax.eval_shape(jnp.matmul, *operands).shape
    except (TypeError, ValueError):
        return None

"""An operation whose shapes do not fit: which arrays, and what would fit.

JAX tells the two lengths that differ; which arrays they are of, and which of them is to
be transposed, is what a learner asks.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis.leftovers import CHANGES
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import sentence

Shape = tuple[int, ...]
Form = tuple[str, Shape]  # a text, and the shape of its value
PRODUCTS = ("dot", "matmul")
ELEMENTWISE = ("add", "subtract", "multiply", "divide", "power", "where")
REDUCTIONS = ("sum", "mean", "max", "min", "argmax")


def that_do_not_fit(
    exercise: Exercise, name: str, piece: Piece, sample: Sample
) -> Iterator[Hint]:
    """The first operation in the lines of a gradient that has no value, as a hint."""
    wanted = (name, np.shape(sample.values[name]))
    for statement, space in _stopped(exercise, name, piece, sample):
        nodes = [n for n in map(_as_sum, ast.walk(statement)) if n is not None]
        for node in sorted(nodes, key=_inner_first):
            hint = _misfit(node, space, wanted)
            if hint is not None:
                yield hint
                return


def _as_sum(node: ast.AST) -> ast.expr | None:
    """An expression; of `x += y` what it adds."""
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        target = ast.Name(node.target.id, ast.Load())
        both = ast.BinOp(target, node.op, node.value)
        return ast.fix_missing_locations(ast.copy_location(both, node))
    return node if isinstance(node, ast.expr) else None


def _inner_first(node: ast.expr) -> tuple[int, int, int]:
    return (node.end_lineno or 0, node.end_col_offset or 0, -node.col_offset)


def _stopped(exercise, name, piece: Piece, sample: Sample) -> Iterator:
    """The statement that raises, and the names at that moment; none if none does."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, sample).items()}
    space = {**snippets.environment(piece.source), **sample.values, **grads}
    for statement in piece.source.piece(f"d{name}", exercise.gradients):
        code = compile(ast.Module([statement.node], []), "shape", "exec")
        try:
            with snippets.silence():
                exec(code, space)
        except Exception:
            yield statement.node, space
            return


def _misfit(node: ast.expr, space: dict, wanted: tuple[str, Shape]) -> Hint | None:
    """What is wrong with one operation, if its parts have shapes and it has none."""
    parts = _parts(node)
    shapes = [_shape(part, space) for part in parts]
    if len(parts) < 2 or None in shapes or _shape(node, space) is not None:
        return None
    forms = [(ast.unparse(p), s) for p, s in zip(parts, shapes, strict=True) if s]
    if isinstance(node, ast.Call) and _called(node) == "einsum":
        return _of_letters(node, forms)
    if len(forms) < 2:
        return None
    if _is_product(node):
        return _of_product(node, parts, forms, wanted)
    if _is_update(node):
        return _told("at", node, forms[:2])
    clash = [(a, b) for a in forms for b in forms if not _fit(a[1], b[1])]
    return _of_broadcast(node, parts, clash[0], space, wanted) if clash else None


def _parts(node: ast.expr) -> list[ast.expr]:
    """The operands of what combines arrays; of an update, its places and its value."""
    match node:
        case ast.BinOp():
            return [node.left, node.right]
        case ast.Call(
            func=ast.Attribute(value=ast.Subscript() as at), args=[value]
        ) if _is_update(node):
            assert isinstance(at.value, ast.Attribute)
            return [ast.Subscript(at.value.value, at.slice, ast.Load()), value]
        case ast.Call(func=ast.Attribute(value=whose), args=args) if _called(node) in (
            *PRODUCTS,
            *ELEMENTWISE,
            "einsum",
        ):
            of_module = ast.unparse(whose) in ("jnp", "np", "jax.numpy")
            operands = args if of_module else [whose, *args]
            return operands[1:] if _called(node) == "einsum" else operands
    return []


def _called(node: ast.expr) -> str:
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return node.func.attr if is_method else ""  # type: ignore[union-attr]


def _is_product(node: ast.expr) -> bool:
    is_at = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
    return is_at or _called(node) in PRODUCTS


def _is_update(node: ast.expr) -> bool:
    """`x.at[i].add(y)`, or another change."""
    text = ast.unparse(node.func.value) if _called(node) in CHANGES else ""  # type: ignore[attr-defined]
    return ".at[" in text and isinstance(node.func.value, ast.Subscript)  # type: ignore[attr-defined]


def _told(code: str, node: ast.expr, forms: list[Form], **more: Any) -> Hint:
    (left, one), (right, other) = forms
    facts = {"line": node.lineno, "left": left, "right": right}
    shapes = {"one": str([*one]), "other": str([*other])}
    return Hint(code, {**facts, **shapes, **more}, node.lineno)


def _of_product(node, parts, forms: list[Form], wanted: tuple[str, Shape]) -> Hint:
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


def _of_broadcast(node, parts, clash, space, wanted: tuple[str, Shape]) -> Hint:
    instead = _with_keepdims(parts, space)
    if not instead and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        instead = _instead(parts, [*clash], wanted)
    return _told("broadcast", node, [*clash], instead=instead)


def _with_keepdims(parts: list[ast.expr], space: dict) -> str:
    """A sum that fits once it keeps its axis."""
    for k, part in enumerate(parts):
        inner = part.operand if isinstance(part, ast.UnaryOp) else part
        if isinstance(inner, ast.Call) and _called(inner) in REDUCTIONS:
            keep = ast.keyword("keepdims", ast.Constant(True))
            kept = ast.Call(inner.func, inner.args, [*inner.keywords, keep])
            shape = _shape(kept, space)
            others = [_shape(p, space) or () for p in parts if p is not parts[k]]
            if shape and all(_fit(shape, other) for other in others):
                return sentence("keeps axis", text=ast.unparse(kept), shape=[*shape])
    return ""


def _of_letters(node: ast.Call, forms: list[Form]) -> Hint | None:
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


def _shape(side: ast.expr, space: dict[str, Any]) -> Shape | None:
    """Of the value of an expression; None where it has none."""
    whole = ast.fix_missing_locations(ast.Expression(side))
    with suppress(Exception), snippets.silence():
        return np.shape(eval(compile(whole, "shape", "eval"), dict(space)))
    return None


def _fit(one: Shape, other: Shape) -> bool:
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

"""An operation whose shapes do not fit: which arrays are they of?

JAX names the two lengths that differ; which arrays they are of, and which of them is to
be transposed, is what a learner asks.
"""

import ast
from collections.abc import Iterator

import numpy as np

from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis.leftovers import CHANGES
from jaxninja.workbook.diagnosis.remedies import (
    Shape,
    called,
    fit,
    of_broadcast,
    of_letters,
    of_product,
    of_two,
    shape_of,
)
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample

PRODUCTS = ("dot", "matmul")
ELEMENTWISE = ("add", "subtract", "multiply", "divide", "power", "where")


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
    shapes = [shape_of(part, space) for part in parts]
    if len(parts) < 2 or None in shapes or shape_of(node, space) is not None:
        return None
    forms = [(ast.unparse(p), s) for p, s in zip(parts, shapes, strict=True) if s]
    if isinstance(node, ast.Call) and called(node) == "einsum":
        return of_letters(node, forms)
    if len(forms) < 2:
        return None
    if _is_product(node):
        return of_product(node, parts, forms, wanted)
    if _is_update(node):
        return of_two("at", node, forms[:2])
    clash = [(a, b) for a in forms for b in forms if not fit(a[1], b[1])]
    return of_broadcast(node, parts, clash[0], space, wanted) if clash else None


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
        case ast.Call(func=ast.Attribute(value=whose), args=args) if called(node) in (
            *PRODUCTS,
            *ELEMENTWISE,
            "einsum",
        ):
            of_module = ast.unparse(whose) in ("jnp", "np", "jax.numpy")
            operands = args if of_module else [whose, *args]
            return operands[1:] if called(node) == "einsum" else operands
    return []


def _is_product(node: ast.expr) -> bool:
    is_at = isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)
    return is_at or called(node) in PRODUCTS


def _is_update(node: ast.expr) -> bool:
    """`x.at[i].add(y)`, or another change."""
    text = ast.unparse(node.func.value) if called(node) in CHANGES else ""  # type: ignore[attr-defined]
    return ".at[" in text and isinstance(node.func.value, ast.Subscript)  # type: ignore[attr-defined]

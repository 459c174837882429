"""A matrix product whose shapes do not fit, and the one that would.

JAX tells the two lengths that differ; which arrays they are of, and which of them is to
be transposed, is what a learner asks.
"""

import ast
from collections.abc import Iterator
from itertools import product
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import sentence

Shape = tuple[int, ...]
Sides = tuple[Shape, Shape]


def that_do_not_fit(
    exercise: Exercise, name: str, piece: Piece, sample: Sample
) -> Iterator[Hint]:
    """The first product in the lines of a gradient that has no value, as a hint."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, sample).items()}
    known = {**snippets.environment(piece.source), **sample.values, **grads}
    lines = (s.node for s in piece.source.piece(f"d{name}", exercise.gradients))
    found = [node for line in lines for node in ast.walk(line) if _is_product(node)]
    for node in sorted(found, key=lambda node: (node.lineno, node.end_col_offset)):
        one, other = _shape(node.left, known), _shape(node.right, known)
        if one is not None and other is not None and _product(one, other) is None:
            yield _hint(node, (one, other), name, np.shape(sample.values[name]))
            return


def _is_product(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)


def _hint(node: ast.BinOp, sides: Sides, name: str, wanted: Shape) -> Hint:
    one, other = (str(list(side)) for side in sides)
    facts = {"line": node.lineno, "text": ast.unparse(node), "one": one, "other": other}
    every = ([t for t, shape in o if shape == wanted] for o in _others(node, sides))
    fits, instead = next(filter(None, every), []), ""
    if len(fits) == 1:
        instead = sentence("fits", text=fits[0], shape=list(wanted), name=name)
    return Hint("product", {**facts, "instead": instead}, node.lineno)


def _others(node: ast.BinOp, sides: Sides) -> Iterator[list[tuple[str, Shape | None]]]:
    """The products of the two, each as it is or transposed, and their shapes: first in
    the order as written, then in the other one."""
    forms = [
        [(ast.unparse(side), shape), _transposed(side, shape)]
        for side, shape in zip((node.left, node.right), sides, strict=True)
    ]
    for first, second in (forms, forms[::-1]):
        yield [
            (f"{left} @ {right}", _product(one, other))
            for (left, one), (right, other) in product(first, second)
        ]


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


def _shape(side: ast.expr, known: dict[str, Any]) -> Shape | None:
    """Of the value of an expression; None where it has none."""
    code = compile(ast.Expression(side), "shape", "eval")
    arrays = {k: a for k, a in known.items() if isinstance(a, np.ndarray | jax.Array)}

    def value(arrays):
        return eval(code, {**known, **arrays})

    try:
        return jax.eval_shape(value, arrays).shape
    except Exception:  # it reads what these lines make; or it is what raises
        return None


def _product(one: Shape, other: Shape) -> Shape | None:
    operands = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (one, other))
    try:
        return jax.eval_shape(jnp.matmul, *operands).shape
    except (TypeError, ValueError):
        return None

"""NaN, or an infinite number: where does it begin?"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from jaxninja.workbook.code import snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.samples import Sample


def not_finite(exercise: Exercise, name: str, piece: Piece, pairs) -> Hint | None:
    """A hint, if a gradient is not finite on one of the samples."""
    bad = [example for example, mine in pairs if not np.isfinite(mine).all()]
    for example in bad:
        if zeros := _by_zeros(exercise, name, piece, example):
            return zeros
    if not bad:
        return None
    first = next(_begins(exercise, name, piece, bad[0]), None)
    return first or say("not finite", name=name)


def _by_zeros(exercise, name: str, piece: Piece, example: Sample) -> Hint | None:
    """Of which upstream gradient's zeros it comes."""
    grads = upstream(exercise, name, example)
    for k, g in grads.items():
        if f"d{k}" in piece.used and not np.asarray(g).all():
            other = {**grads, k: np.where(np.asarray(g) == 0, 1.0, g)}
            with suppress(Exception):
                if np.isfinite(piece(dict(example.values), other)).all():
                    return say("zero over zero", name=name, upstream=f"d{k}")
    return None


def _begins(exercise, name: str, piece: Piece, example: Sample) -> Iterator[Hint]:
    """The parts of the lines that are not finite, the first and innermost first."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, example).items()}
    space = {**snippets.environment(piece.source), **example.values, **grads}
    for statement in piece.source.piece(f"d{name}", exercise.gradients):
        for part in _inner_first(statement.node):
            if not _is_finite(part, space):
                given = isinstance(part, ast.Name) and part.id in example.values
                code = "infinite array" if given else "not finite at"
                facts = {"name": name, "line": part.lineno, "text": ast.unparse(part)}
                yield Hint(code, facts, part.lineno)
        code = compile(ast.Module([statement.node], []), "finite", "exec")
        with snippets.silence():
            exec(code, space)


def _inner_first(node: ast.AST) -> Iterator[ast.expr]:
    for child in ast.iter_child_nodes(node):
        yield from _inner_first(child)
    if isinstance(node, ast.expr):
        yield node


def _is_finite(part: ast.expr, space: dict[str, Any]) -> bool:
    """Whether its value is; what has no value by itself, as a name that is assigned
    only here, is not what is looked for."""
    whole = ast.fix_missing_locations(ast.Expression(part))
    with suppress(Exception), snippets.silence():
        value = eval(compile(whole, "finite", "eval"), dict(space))
        return bool(np.isfinite(value).all())
    return True

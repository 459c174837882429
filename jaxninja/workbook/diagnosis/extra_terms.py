"""A term too many in the learner's own lines: without it they are right."""

import ast
import copy
from collections.abc import Iterator, Sequence
from contextlib import suppress

from jaxninja.workbook.code import parse, snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis.precedence import is_right
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample


def extra_term(
    exercise: Exercise, name: str, piece: Piece, pairs: Sequence[tuple[Sample, object]]
) -> Hint | None:
    """The term of a sum, if the gradient is right without it."""
    for statement in piece.source.piece(f"d{name}", exercise.gradients):
        for old, new, term in _without_a_term(statement.node):
            with suppress(Exception):  # what does not run without it
                text = ast.unparse(_replaced(piece.source.tree, old, new))
                source = parse.read(text, piece.source.filename)
                scope = snippets.environment(source)
                fixed = snippets.step(source, scope, f"d{name}", exercise.gradients)
                if all(is_right(exercise, name, fixed, sample) for sample, _ in pairs):
                    facts = {"line": term.lineno, "term": ast.unparse(term)}
                    return Hint("extra term", facts, term.lineno)
    return None


def _without_a_term(
    statement: ast.stmt,
) -> Iterator[tuple[ast.AST, ast.AST, ast.expr]]:
    """A node, what stands there without one of its terms, and that term."""
    for node in ast.walk(statement):
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield node, left, right
                yield node, right, left
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                yield node, left, right
            case ast.AugAssign(op=ast.Add() | ast.Sub(), value=value):
                yield node, ast.copy_location(ast.Pass(), node), value


def _replaced(tree: ast.Module, old: ast.AST, new: ast.AST) -> ast.AST:
    """A copy of a file's tree with another node in the place of one."""
    place = next(k for k, node in enumerate(ast.walk(tree)) if node is old)
    changed = copy.deepcopy(tree)
    there = [*ast.walk(changed)][place]

    class Replace(ast.NodeTransformer):
        def visit(self, node):
            return copy.deepcopy(new) if node is there else self.generic_visit(node)

    return Replace().visit(changed)

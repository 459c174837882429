"""An operand that ends before the line's writer thought.

x ** -3/2 is (x ** -3) / 2, x / n - 1 is (x / n) - 1, and x + eps ** -0.5 is
x + (eps ** -0.5).
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.workbook.code import parse, snippets
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample


class Quotient(NamedTuple):
    """Where `-3/2` stands after a `**`, `n - 1` after a `/`, or `x + eps` before a
    `**`, on one line; in bytes, as Python counts."""

    code: str
    line: int
    start: int
    end: int


def in_brackets(
    exercise: Exercise, name: str, piece: Piece, pairs: Sequence[tuple[Sample, object]]
) -> Hint | None:
    """What has to be in brackets, if the gradient is right with them."""
    for statement in piece.source.piece(f"d{name}", exercise.gradients):
        for at in _quotients(statement.node):
            text, quotient = _in_brackets(piece.source.text, at)
            with suppress(Exception):  # brackets that were there already
                source = parse.read(text, piece.source.filename)
                scope = snippets.environment(source)
                fixed = snippets.step(source, scope, f"d{name}", exercise.gradients)
                if all(is_right(exercise, name, fixed, sample) for sample, _ in pairs):
                    facts = {"line": at.line, "quotient": quotient}
                    return Hint(at.code, facts, at.line)
    return None


def _quotients(statement: ast.stmt) -> Iterator[Quotient]:
    for node in ast.walk(statement):
        match node:
            case (
                ast.BinOp(
                    left=ast.BinOp(op=ast.Pow(), right=power),
                    op=ast.Div(),
                    right=below,
                )
                | ast.BinOp(
                    left=ast.BinOp(right=ast.BinOp(op=ast.Pow(), right=power)),
                    op=ast.Div(),
                    right=below,
                )
            ) if power.lineno == below.end_lineno:
                yield Quotient(
                    "precedence",
                    power.lineno,
                    power.col_offset,
                    below.end_col_offset or 0,
                )

            case ast.BinOp(
                left=ast.BinOp(op=ast.Div(), right=below),
                op=ast.Sub(),
                right=after,
            ):
                one = _first(after)
                if isinstance(one, ast.Constant) and below.lineno == one.end_lineno:
                    start, end = below.col_offset, one.end_col_offset or 0
                    yield Quotient("minus one", below.lineno, start, end)
            case ast.BinOp(left=before, op=ast.Add(), right=after):
                power, last = _first(after, but=ast.Pow), _last(before)
                if (
                    isinstance(power, ast.BinOp)
                    and last.lineno == power.left.end_lineno
                ):
                    start, end = last.col_offset, power.left.end_col_offset or 0
                    yield Quotient("power of sum", last.lineno, start, end)


def _first(node: ast.expr, but: type[ast.operator] | None = None) -> ast.expr:
    """The operand that a product begins with; with `but`, the power that it does."""
    if not isinstance(node, ast.BinOp) or (but and isinstance(node.op, but)):
        return node
    return _first(node.left, but)


def _last(node: ast.expr) -> ast.expr:
    """The operand that a product ends with."""
    return _last(node.right) if isinstance(node, ast.BinOp) else node


def _in_brackets(text: str, at: Quotient) -> tuple[str, str]:
    """The text with brackets around it, and what is in them."""
    lines = text.splitlines(keepends=True)
    line = lines[at.line - 1].encode()
    parts = line[: at.start], line[at.start : at.end], line[at.end :]
    before, quotient, after = (part.decode() for part in parts)
    lines[at.line - 1] = f"{before}({quotient}){after}"
    return "".join(lines), quotient


def is_right(exercise: Exercise, name: str, piece: Piece, sample: Sample) -> bool:
    """Whether lines give the true gradient on a sample."""
    mine = wide(piece(dict(sample.values), upstream(exercise, name, sample)))
    truth = wide(sample.truth[name])
    same = np.shape(mine) == np.shape(truth)
    return same and difference(mine, truth, 1e-9 * sample.scale(name)).ok

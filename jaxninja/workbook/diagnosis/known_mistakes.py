"""Known mistakes: the worked solution with one mistake in it, and a sentence on each.

A wrong gradient is compared with what each mistake would give. The mistakes are made by
editing the solution's syntax tree, so that every line of it has its own: a sum left
out, n for n - 1, a sign, a transpose, `=` for `+=`, one saved value for another.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.diagnosis.expression_mistakes import RULES, Edited
from jaxninja.workbook.graph import uses


@dataclass(frozen=True)
class Mistake:
    """The statements of a gradient with one mistake, and what to say about it."""

    body: tuple[ast.stmt, ...]
    sentence: str


def mistakes(solution: Source, name: str, gradients: tuple[str, ...]):
    """Every known mistake in the lines of a gradient, the plainest first."""
    body = [s.node for s in solution.piece(f"d{name}", gradients)]
    zeros = ast.parse(f"d{name} = jnp.zeros_like({name})").body
    yield _mistake(zeros, f"d{name} is zero everywhere")
    yield from _branches(body, name)
    last = body[-1]
    assert isinstance(last, ast.Assign | ast.AugAssign)
    for k, statement in enumerate(body):
        assert isinstance(statement, ast.Assign | ast.AugAssign)
        for value, sentence in _edited(statement.value, name):
            changed = copy.copy(statement)
            changed.value = value
            yield _mistake([*body[:k], changed, *body[k + 1 :]], sentence)
    for text, sentence in _wholes(f"d{name}"):
        yield _mistake([*body, *ast.parse(text).body], sentence)


def _mistake(body: list[ast.stmt], sentence: str) -> Mistake:
    return Mistake(tuple(map(ast.fix_missing_locations, body)), sentence)


def _branches(body: list[ast.stmt], name: str) -> Iterator[Mistake]:
    """A second branch left out, put in place of the first, taken twice or off."""
    if len(body) != 2:
        return
    first, second = body
    if not isinstance(second, ast.AugAssign):
        return
    one, other = _branch_names(first, second, name)
    kept = f"d{name} is its branch by {{}} only: {name} is read by {one} and by {other}"
    missing = f"; the branch by {other} is missing: add it with +="
    if name == "logits":
        missing = f"; the max branch is missing: add d{other} at each row's maximum"
    yield _mistake([first], kept.format(one) + missing)
    alone = ast.Assign([second.target], second.value)
    lost = f"; the branch by {one} was overwritten: = stands where += should"
    yield _mistake([alone], kept.format(other) + lost)
    yield _mistake([first, second, second], f"the branch by {other} is added twice")
    off = ast.AugAssign(second.target, ast.Sub(), second.value)
    yield _mistake([first, off], f"the branch by {other} has the wrong sign")


def _branch_names(first: ast.stmt, second: ast.stmt, name: str) -> tuple[str, str]:
    """The steps that the two branches come from: whose gradients they read."""
    read = {n.id for n in ast.walk(first) if isinstance(n, ast.Name)}
    children = [node.name for node in uses(name)]
    one = next(c for c in children if f"d{c}" in read)
    return one, next(c for c in children if c != one)


def _wholes(variable: str) -> Iterator[tuple[str, str]]:
    yield f"{variable} = -{variable}", f"{variable} has the wrong sign"
    yield f"{variable} = {variable}.T", f"{variable} is transposed"
    yield f"{variable} = {variable} * n", f"{variable} is n times too large"
    yield f"{variable} = {variable} / n", f"{variable} is divided by n once too often"
    yield (
        f"{variable} = jnp.broadcast_to({variable}.mean(0), {variable}.shape)",
        f"{variable} is the same in every row: the mean over the batch",
    )


def _edited(expression: ast.expr, name: str) -> Iterator[Edited]:
    """The expression with one mistake at one place."""
    places = list(ast.walk(expression))
    for rule in RULES:
        for k, place in enumerate(places):
            if isinstance(place, ast.expr):
                for new, sentence in rule(place, name):
                    yield _replaced(expression, k, new), sentence


def _replaced(expression: ast.expr, index: int, new: ast.expr) -> ast.expr:
    """A copy with the index-th node, in the order of `ast.walk`, replaced."""
    whole = ast.Expression(copy.deepcopy(expression))
    old = list(ast.walk(whole.body))[index]

    class Replace(ast.NodeTransformer):
        def visit(self, node):
            return new if node is old else self.generic_visit(node)

    return Replace().visit(whole).body  # type: ignore[union-attr]

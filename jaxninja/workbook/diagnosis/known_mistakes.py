"""Known mistakes: the worked solution with one mistake in it, and a hint on each.

A wrong gradient is compared with what each mistake would give. The mistakes are made by
editing the solution's syntax tree, so that every line of it has its own: a sum left
out, n for n - 1, a sign, a transpose, `=` for `+=`, one saved value for another.
"""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

from jaxninja.workbook.code.parse import Source
from jaxninja.workbook.diagnosis.expression_mistakes import RULES, Edited
from jaxninja.workbook.graph import uses
from jaxninja.workbook.hints import Hint, say


@dataclass(frozen=True)
class Mistake:
    """The statements of a gradient with one mistake, and what to say about it."""

    body: tuple[ast.stmt, ...]
    hint: Hint


def mistakes(solution: Source, name: str, gradients: tuple[str, ...]):
    """Every known mistake in the lines of a gradient, the plainest first."""
    body = [s.node for s in solution.piece(f"d{name}", gradients)]
    zeros = ast.parse(f"d{name} = jnp.zeros_like({name})").body
    yield _mistake(zeros, say("zero"))
    yield from _branches(body, name)
    last = body[-1]
    assert isinstance(last, ast.Assign | ast.AugAssign)
    for k, statement in enumerate(body):
        assert isinstance(statement, ast.Assign | ast.AugAssign)
        for value, hint in _edited(statement.value, name):
            changed = copy.copy(statement)
            changed.value = value
            yield _mistake([*body[:k], changed, *body[k + 1 :]], hint)
    for code, text in _WHOLES.items():
        after = ast.parse(re.sub(r"\bx\b", f"d{name}", text)).body
        yield _mistake([*body, *after], say(code))


def _mistake(body: list[ast.stmt], hint: Hint) -> Mistake:
    return Mistake(tuple(map(ast.fix_missing_locations, body)), hint)


def _branches(body: list[ast.stmt], name: str) -> Iterator[Mistake]:
    """A second branch left out, put in place of the first, taken twice or off."""
    if len(body) != 2:
        return
    first, second = body
    if not isinstance(second, ast.AugAssign):
        return
    one, other = _branch_names(first, second, name)
    names = {"one": one, "other": other}
    missing = "one branch, max" if name == "logits" else "one branch"
    yield _mistake([first], say(missing, **names))
    alone = ast.Assign([second.target], second.value)
    yield _mistake([alone], say("overwritten", **names))
    yield _mistake([first, second, second], say("branch twice", other=other))
    off = ast.AugAssign(second.target, ast.Sub(), second.value)
    yield _mistake([first, off], say("branch off", other=other))


def _branch_names(first: ast.stmt, second: ast.stmt, name: str) -> tuple[str, str]:
    """The steps that the two branches come from: whose gradients they read."""
    read = {n.id for n in ast.walk(first) if isinstance(n, ast.Name)}
    children = [node.name for node in uses(name)]
    one = next(c for c in children if f"d{c}" in read)
    return one, next(c for c in children if c != one)


_WHOLES = {
    "sign of all": "x = -x",
    "transposed": "x = x.T",
    "times n": "x = x * n",
    "over n": "x = x / n",
    "same rows": "x = jnp.broadcast_to(x.mean(0), x.shape)",
}


def _edited(expression: ast.expr, name: str) -> Iterator[Edited]:
    """The expression with one mistake at one place."""
    places = list(ast.walk(expression))
    for rule in RULES:
        for k, place in enumerate(places):
            if isinstance(place, ast.expr):
                for new, hint in rule(place, name):
                    yield _replaced(expression, k, new), hint


def _replaced(expression: ast.expr, index: int, new: ast.expr) -> ast.expr:
    """A copy with the index-th node, in the order of `ast.walk`, replaced."""
    whole = ast.Expression(copy.deepcopy(expression))
    old = list(ast.walk(whole.body))[index]

    class Replace(ast.NodeTransformer):
        def visit(self, node):
            return new if node is old else self.generic_visit(node)

    return Replace().visit(whole).body  # type: ignore[union-attr]

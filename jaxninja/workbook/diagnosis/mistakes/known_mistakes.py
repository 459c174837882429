"""Known mistakes: the worked solution with one mistake in it, and a hint on each.

A wrong gradient is compared with what each mistake would give. The mistakes are made by
editing the solution's syntax tree, so that every line of it has its own: a sum left
out, n for n - 1, a sign, a transpose, `=` for `+=`, one saved value for another.
"""

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from jaxninja.workbook.diagnosis.expressions import RULES
from jaxninja.workbook.diagnosis.expressions.nodes import About, Edited
from jaxninja.workbook.diagnosis.mistakes.omissions import without_some
from jaxninja.workbook.diagnosis.mistakes.repeated_mistakes import repeated
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.hints import Hint, say


@dataclass(frozen=True)
class Mistake:
    """The statements of a gradient with a mistake, and what to say about it."""

    body: tuple[ast.stmt, ...]
    hints: tuple[Hint, ...]

    @property
    def hint(self) -> Hint:
        return self.hints[0]

    @cached_property
    def reads(self) -> frozenset[str]:
        """The names in it, but for those that are there for their shape only."""
        text = "\n".join(map(ast.unparse, self.body))
        text = re.sub(r"(\w+_like\(\w+\)|\w+\.shape)", "", text)
        return frozenset(re.findall(r"\w+", text))


def mistakes(exercise: Exercise, name: str) -> Iterator[Mistake]:
    """Every known mistake in the lines of a gradient, the plainest first."""
    body, *others = _bodies(exercise, name)
    zeros = ast.parse(f"d{name} = jnp.zeros_like({name})").body
    yield _mistake(zeros, say("zero"))
    yield from _branches(exercise, body, name)
    yield from _in_lines(exercise, body, name)
    for other in others:
        yield from _in_lines(exercise, other, name)
    for code, text in WHOLES.items():
        after = ast.parse(re.sub(r"\bx\b", f"d{name}", text)).body
        yield _mistake([*body, *after], say(code))


def omitted(exercise: Exercise, name: str) -> Iterator[Mistake]:
    """The lines of a gradient, in each form, with several parts left out."""
    about = About(name, exercise.network)
    for body in _bodies(exercise, name):
        for values, hints in without_some(_values(body), about):
            yield _mistake(_with_values(body, values), *hints)


def _bodies(exercise: Exercise, name: str) -> Iterator[list[ast.stmt]]:
    """The statements of the worked solution, and the other right forms."""
    yield [s.node for s in exercise.worked.piece(f"d{name}", exercise.gradients)]
    for form in exercise.forms.get(name, ()):
        yield ast.parse(f"d{name} = {form}").body


def _in_lines(exercise: Exercise, body: list[ast.stmt], name: str) -> Iterator[Mistake]:
    """One edit, at one place or at several."""
    values = _values(body)
    for k, value in enumerate(values):
        for new, hint in _edited(exercise, value, name):
            changed = (*values[:k], new, *values[k + 1 :])
            yield _mistake(_with_values(body, changed), hint)
    for others, hint in repeated(values, About(name, exercise.network)):
        yield _mistake(_with_values(body, others), hint)


def _values(body: list[ast.stmt]) -> tuple[ast.expr, ...]:
    assert all(isinstance(one, ast.Assign | ast.AugAssign) for one in body)
    return tuple(one.value for one in body)  # type: ignore[attr-defined]


def _with_values(body: list[ast.stmt], values: Sequence[ast.expr]) -> list[ast.stmt]:
    lines = zip(body, values, strict=True)
    return [one if one.value is new else _with_value(one, new) for one, new in lines]  # type: ignore[attr-defined]


def _with_value(statement: ast.stmt, value: ast.expr) -> ast.stmt:
    changed = copy.copy(statement)
    changed.value = value  # type: ignore[attr-defined]
    return changed


def _mistake(body: list[ast.stmt], *hints: Hint) -> Mistake:
    return Mistake(tuple(map(ast.fix_missing_locations, body)), hints)


def _branches(exercise: Exercise, body: list[ast.stmt], name: str) -> Iterator[Mistake]:
    """A branch left out, put in place of those before it, taken twice or off."""
    first, *others = body
    if not others or not all(isinstance(one, ast.AugAssign) for one in others):
        return
    steps = [_branch(exercise, one, name) for one in body]
    read_by = {"all": sum(steps, ())}
    names = {"one": sum(steps[:-1], ()), "other": steps[-1], **read_by}
    is_max = ".max(" in exercise.network.node[steps[-1][-1]].formula
    missing = "one branch, max" if is_max else "one branch"
    if len(steps) == 2:
        yield _mistake([first], say(missing, **names))
    yield _mistake(_fresh(body[-1:]), say("overwritten", **names))
    for kept in _parts(len(steps)) if len(steps) > 2 else ():
        left = _fresh([body[k] for k in kept])
        other = sum((step for k, step in enumerate(steps) if k not in kept), ())
        code, one = "no branch", {}
        if len(kept) == 1:
            code, one = "one branch", {"one": steps[kept[0]]}
        yield _mistake(left, say(code, **one, other=other, **read_by))
    for k, step in enumerate(steps[1:], 1):
        second = body[k]
        assert isinstance(second, ast.AugAssign)
        yield _mistake([*body, second], say("branch twice", other=step))
        off = ast.AugAssign(second.target, ast.Sub(), second.value)
        changed = [*body[:k], off, *body[k + 1 :]]
        yield _mistake(changed, say("branch off", other=step))


def _parts(count: int) -> Iterator[tuple[int, ...]]:
    """The branches that are kept where some are left out, few left out first."""
    for size in range(count - 1, 0, -1):
        yield from combinations(range(count), size)


def _fresh(body: list[ast.stmt]) -> list[ast.stmt]:
    """Branches of which the first is assigned by `=`."""
    first, *others = body
    if isinstance(first, ast.AugAssign):
        first = ast.Assign([first.target], first.value)
    return [first, *others]


def _branch(exercise: Exercise, statement: ast.stmt, name: str) -> tuple[str, ...]:
    """The steps that a branch comes from: whose gradients it reads."""
    read = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
    sources, _ = exercise.sources(name)
    steps = exercise.network.steps
    return tuple(s for s in steps if s in sources and f"d{s}" in read)


OF_PARTS = ("value", "slope")  # of a whole gradient they would tell nothing
WHOLES = {
    "sign of all": "x = -x",
    "transposed": "x = x.mT",
    "times n": "x = x * n",
    "over n": "x = x / n",
    "same rows": "x = jnp.broadcast_to(x.mean(0), x.shape)",
}


def _edited(exercise: Exercise, expression: ast.expr, name: str) -> Iterator[Edited]:
    """The expression with one mistake at one place."""
    places, about = list(ast.walk(expression)), About(name, exercise.network)
    for rule in RULES:
        for k, place in enumerate(places):
            if isinstance(place, ast.expr):
                for new, hint in rule(place, about):
                    if k or hint.code not in OF_PARTS:
                        yield _replaced(expression, k, new), hint


def _replaced(expression: ast.expr, index: int, new: ast.expr) -> ast.expr:
    """A copy with the index-th node, in the order of `ast.walk`, replaced."""
    whole = ast.Expression(copy.deepcopy(expression))
    old = list(ast.walk(whole.body))[index]

    class Replace(ast.NodeTransformer):
        def visit(self, node):
            return new if node is old else self.generic_visit(node)

    return Replace().visit(whole).body  # type: ignore[union-attr]

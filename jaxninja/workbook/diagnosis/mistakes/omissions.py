"""Several parts left out of an expression at once.

Who forgets one factor, or one term, may forget another: each has a hint of its own.
"""

import ast
import copy
from collections.abc import Callable, Iterator

from jaxninja.workbook.diagnosis.expressions import arithmetic, arrays
from jaxninja.workbook.diagnosis.expressions.nodes import About
from jaxninja.workbook.hints import Hint

MOST = 3
RULES = (
    *(arithmetic.sums, arithmetic.sizes, arithmetic.bessel, arithmetic.signs),
    *(arithmetic.terms, arithmetic.products, arithmetic.powers),
    *(arrays.masks, arrays.jacobians),
)
OMITTED = {"no sum", "no 1/n", "n", "no minus", "not subtracted", "no term", "no mask"}
OMITTED |= {"no upstream", "no factor", "no division", "no power", "no transpose"}
OMITTED |= {"no product", "diagonal", "sum"}
Values = tuple[ast.expr, ...]


def without_some(
    values: Values, about: About
) -> Iterator[tuple[Values, tuple[Hint, ...]]]:
    """The values of a gradient's statements without two parts, then without three."""
    seen, found = {_text(values)}, [(values, ())]
    for count in range(1, MOST + 1):
        found = [
            (new, (*hints, hint))
            for now, hints in found
            for new, hint in _without_one(now, about)
            if not (_text(new) in seen or seen.add(_text(new)))
        ]
        yield from found if count > 1 else ()


def _text(values: Values) -> str:
    return "\n".join(map(ast.unparse, values))


def _without_one(values: Values, about: About) -> Iterator[tuple[Values, Hint]]:
    for k, value in enumerate(values):
        for place, replaced in _places(value, lambda new: new):
            for rule in RULES:
                for new, hint in rule(place, about):
                    if hint.code in OMITTED:
                        yield (*values[:k], replaced(new), *values[k + 1 :]), hint


Replaced = Callable[[ast.expr], ast.expr]


def _places(value: ast.expr, replaced: Replaced) -> Iterator[tuple[ast.expr, Replaced]]:
    """Each part of an expression, and what makes the whole with another in its place.

    What is not changed is shared, and not copied.
    """
    yield value, replaced
    for name, child in ast.iter_fields(value):
        several = isinstance(child, list)
        for k, one in enumerate(child if several else [child]):
            if isinstance(one, ast.expr):
                at = k if several else None
                yield from _places(one, _in_field(value, name, at, replaced))


def _in_field(
    whole: ast.expr, name: str, at: int | None, replaced: Replaced
) -> Replaced:
    def within(new: ast.expr) -> ast.expr:
        changed, old = copy.copy(whole), getattr(whole, name)
        setattr(changed, name, new if at is None else [*old[:at], new, *old[at + 1 :]])
        return replaced(changed)

    return within

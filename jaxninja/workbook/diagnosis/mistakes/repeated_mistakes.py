"""Mistakes that are more than one edit of an expression, or one thing too much.

Who forgets an axis forgets it in every sum; who takes the state of another step takes
it in every step; and an expression may have a factor, or a sum, too much.
"""

import ast
import copy
import re
from collections.abc import Iterator, Sequence
from itertools import combinations, product

from jaxninja.workbook.diagnosis.expressions import RULES
from jaxninja.workbook.diagnosis.expressions.nodes import (
    About,
    Edited,
    call_of,
    in_brackets,
    parsed,
    size_names,
)
from jaxninja.workbook.hints import Hint, say

Values = Sequence[ast.expr]
EVERYWHERE = ("no transpose", "no sum", "mean", "sum", "all axes", "other axis")
EVERYWHERE += ("sums first", "extra transpose")
Several = tuple[list[ast.expr], Hint]


def repeated(values: Values, about: About) -> Iterator[Several]:
    """The values of a gradient's statements with such a mistake in them, and a hint."""
    yield from _everywhere(values, about)
    for k, value in enumerate(values):
        for new, hint in (
            *_without_factors(value),
            *_factor_too_many(value, about),
        ):
            yield [*values[:k], new, *values[k + 1 :]], hint
    yield from _sum_too_many(values)
    yield from _product_of_sums(values)
    yield from _exchanged(values, about)
    yield from _one_for_all(values, about)
    yield from _other_step(values, about)


def _everywhere(values: Values, about: About) -> Iterator[Several]:
    """The same edit at each place where it can be made."""
    edits = [
        (k, at, new, hint)
        for k, value in enumerate(values)
        for at, place in enumerate(ast.walk(value))
        if isinstance(place, ast.expr)
        for rule in RULES
        for new, hint in rule(place, about)
        if hint.code in EVERYWHERE
    ]
    for kind in dict.fromkeys(_kind(hint) for *_, hint in edits):
        chosen: dict[tuple[int, int], tuple[ast.expr, Hint]] = {}
        for k, at, new, hint in edits:
            if _kind(hint) == kind:
                chosen.setdefault((k, at), (new, hint))
        if len(chosen) > 1:
            hints = [hint for _, hint in chosen.values()]
            yield [_changed(v, k, chosen) for k, v in enumerate(values)], _of_all(hints)


def _kind(hint: Hint) -> tuple:
    return hint.code, hint.facts.get("other")


def _of_all(hints: list[Hint]) -> Hint:
    """The hint on the first place, with what stands at all of them."""
    inner = dict.fromkeys(h.facts["inner"] for h in hints if "inner" in h.facts)
    more = {"inner": ", ".join(inner)} if inner else {}
    return Hint(hints[0].code, {**hints[0].facts, **more})


def _changed(value: ast.expr, k: int, chosen: dict) -> ast.expr:
    """A copy, with the edits of this statement made from the inside outwards."""
    texts = {
        ast.unparse(place): ast.unparse(ast.fix_missing_locations(chosen[k, at][0]))
        for at, place in enumerate(ast.walk(value))
        if (k, at) in chosen
    }
    text = ast.unparse(value)
    for old in sorted(texts, key=len):
        text = text.replace(old, f"({texts[old]})")
    return parsed(text)


def _without_factors(value: ast.expr) -> Iterator[Edited]:
    """Of a product of several factors two left out: of a chain rule, a whole step."""
    for place in (value, *_children(value)):
        factors = [*_factors(place)]
        for pair in combinations(range(len(factors)), 2) if len(factors) > 2 else ():
            kept = [f for k, f in enumerate(factors) if k not in pair]
            missing = " * ".join(in_brackets(ast.unparse(factors[k])) for k in pair)
            new = parsed(
                ast.unparse(value).replace(
                    ast.unparse(place),
                    " * ".join(in_brackets(ast.unparse(f)) for f in kept),
                )
            )
            yield new, say("no factor", missing=missing)


def _children(value: ast.expr) -> Iterator[ast.expr]:
    """The products in it that are no part of a larger product."""
    for node in ast.walk(value):
        for child in ast.iter_child_nodes(node):
            if _is_product(child) and not _is_product(node):
                yield child  # type: ignore[misc]


def _is_product(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)


def _factors(place: ast.expr) -> Iterator[ast.expr]:
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Mult):
        yield from _factors(place.left)
        yield from _factors(place.right)
    else:
        yield place


def _sum_too_many(values: Values) -> Iterator[Several]:
    """A sum of what was never broadcast, of one value or of each."""
    nodes = [node for value in values for node in ast.walk(value)]
    if any(call_of(n, "sum") for n in nodes if isinstance(n, ast.expr)):
        return
    texts = [*map(ast.unparse, values)]
    every = range(len(values))
    for chosen in dict.fromkeys((*((k,) for k in every), tuple(every))):
        inner = _uncopied(", ".join(texts[k] for k in chosen))
        for axis, more in product((0, 1, 2), ("", ", keepdims=True")):
            hint = say("sum too many", axis=str(axis), inner=inner)
            new = [
                parsed(f"({text}).sum({axis}{more})") if k in chosen else value
                for k, (text, value) in enumerate(zip(texts, values, strict=True))
            ]
            yield new, hint


def _factor_too_many(value: ast.expr, about: About) -> Iterator[Edited]:
    """An array or a size that it should not be multiplied with, or divided by."""
    inner = in_brackets(ast.unparse(value))
    arrays = {node.name: node.name for node in about.network.nodes}
    for extra, called in {**arrays, **size_names(about.network)}.items():
        facts = {"inner": _uncopied(ast.unparse(value)), "extra": called}
        yield parsed(f"{inner} * {extra}"), say("extra factor", **facts)
        yield parsed(f"{inner} / {extra}"), say("extra division", **facts)


def _uncopied(text: str) -> str:
    """Without what only copies: no learner has to write it."""
    return re.sub(r"jnp\.ones_like\(\w+\) \* ", "", text)


def _product_of_sums(values: Values) -> Iterator[Several]:
    """Of products that are added up, as one for each step of time, the sums of both
    sides multiplied."""
    products = [v for v in values if isinstance(v, ast.BinOp)]
    kinds = {type(p.op) for p in products}
    if 1 < len(values) == len(products) and kinds in ({ast.Mult}, {ast.MatMult}):
        left, right = (
            parsed(" + ".join(f"({ast.unparse(getattr(p, side))})" for p in products))
            for side in ("left", "right")
        )
        whole = " + ".join(map(ast.unparse, products))
        none = [ast.Constant(0)] * (len(values) - 1)
        yield (
            [ast.BinOp(left, products[0].op, right), *none],
            say("sums first", whole=whole),
        )


def _exchanged(values: Values, about: About) -> Iterator[Several]:
    """Two arrays of the same shape, or two gradients, each in the other's place."""
    nodes = about.network.node
    shapes = {name: node.shape for name, node in nodes.items()}
    shapes |= {f"d{name}": f"d {node.shape}" for name, node in nodes.items()}
    read = {n.id: None for v in values for n in ast.walk(v) if isinstance(n, ast.Name)}
    for one, other in combinations([name for name in read if name in shapes], 2):
        if shapes[one] == shapes[other]:
            hint = say("exchanged", one=one, other=other)
            yield _renamed(values, {one: other, other: one}), hint


def _one_for_all(values: Values, about: About) -> Iterator[Several]:
    """One array in place of all of its shape: the same weights in each branch."""
    names = {n.id for v in values for n in ast.walk(v) if isinstance(n, ast.Name)}
    nodes = [node for node in about.network.nodes if node.name in names]
    for one in nodes:
        others = [o.name for o in nodes if o.shape == one.shape and o is not one]
        if others:
            hint = say("saved", new=one.name, old=", ".join(others))
            yield _renamed(values, dict.fromkeys(others, one.name)), hint


def _other_step(values: Values, about: About) -> Iterator[Several]:
    """In each step of time the array of another kind, or of another step."""
    names = {n.id for v in values for n in ast.walk(v) if isinstance(n, ast.Name)}
    arrays = {node.name for node in about.network.nodes}
    numbered = [
        m for m in (re.fullmatch(r"([a-z]+)(\d)", n) for n in sorted(names)) if m
    ]
    numbered = [m for m in numbered if m[0] in arrays]
    for kind in dict.fromkeys(m[1] for m in numbered):
        steps = [int(m[2]) for m in numbered if m[1] == kind]
        others = {re.sub(r"\d", "", name) for name in arrays}
        for other in sorted(others) if len(steps) > 1 else ():
            for by in (0, -1, 1):
                new = {f"{kind}{k}": f"{other}{k + by}" for k in steps}
                if (other, by) != (kind, 0) and arrays.issuperset(new.values()):
                    facts = {"new": ", ".join(new.values()), "old": ", ".join(new)}
                    yield _renamed(values, new), say("all saved", **facts)


def _renamed(values: Values, new: dict[str, str]) -> list[ast.expr]:
    found = [copy.deepcopy(value) for value in values]
    for value in found:
        for node in ast.walk(value):
            if isinstance(node, ast.Name):
                node.id = new.get(node.id, node.id)
    return found

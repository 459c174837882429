"""Mistakes in sums, signs, factors, sizes and powers."""

import ast
import copy
from collections.abc import Iterator

from jaxninja.workbook.diagnosis.expressions.nodes import (
    AXES,
    About,
    Edited,
    call_of,
    in_brackets,
    parsed,
    size_names,
)
from jaxninja.workbook.hints import Hint, say


def sums(place: ast.expr, about: About) -> Iterator[Edited]:
    """Another sum or mean, or none."""
    kind = next((k for k in ("sum", "mean") if call_of(place, k)), None)
    if kind is None:
        return
    assert isinstance(place, ast.Call)
    method = place.func
    assert isinstance(method, ast.Attribute)
    inner, axis = ast.unparse(method.value), ast.unparse(place.args[0])
    if kind == "sum":
        yield method.value, say("no sum", axis=axis, inner=inner)
    swapped = "mean" if kind == "sum" else "sum"
    other = ast.Attribute(method.value, swapped, ast.Load())
    yield ast.Call(other, place.args, place.keywords), say(swapped)
    yield ast.Call(method, [], []), say("all axes", axis=axis, kind=kind)
    for over in AXES:
        if over != axis:
            hint = say("other axis", other=over, axis=axis, kind=kind)
            yield ast.Call(method, [parsed(over)], place.keywords), hint
            if place.keywords:  # without keepdims
                yield ast.Call(method, [parsed(over)], []), hint


def sizes(place: ast.expr, about: About) -> Iterator[Edited]:
    """n and 1/n, of this size or of another."""
    numbers = about.network.numbers
    if isinstance(place, ast.Name) and place.id in numbers:
        for other, called in size_names(about.network).items():
            if other != place.id:
                yield parsed(other), say("number", new=called, old=place.id)
        yield parsed(f"{place.id} - 1"), say("n - 1", size=place.id)
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Div):
        below = ast.unparse(place.right)
        if below.removesuffix(" - 1") in numbers:
            yield place.left, say("no 1/n", below=in_brackets(below))


def bessel(place: ast.expr, about: About) -> Iterator[Edited]:
    if ast.unparse(place) == "n - 1":
        yield ast.Name("n", ast.Load()), say("n")
        for other, called in size_names(about.network).items():
            if other != "n":
                yield parsed(other), say("number", new=called, old="n - 1")


def terms(place: ast.expr, about: About) -> Iterator[Edited]:
    """A term of a sum left out."""
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Add):
        for kept, term in ((place.left, place.right), (place.right, place.left)):
            yield kept, say("no term", left=ast.unparse(term))


def signs(place: ast.expr, about: About) -> Iterator[Edited]:
    if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
        inner = ast.unparse(place.operand)
        yield place.operand, say("no minus", inner=inner)
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Sub):
        plus = ast.BinOp(place.left, ast.Add(), place.right)
        left, right = ast.unparse(place.left), ast.unparse(place.right)
        yield plus, say("plus", right=right)
        arrays = (name for name in about.network.node for name in (name, f"d{name}"))
        if not isinstance(place.left, ast.Constant | ast.Name) or left in arrays:
            what = "the one-hot of the targets" if "one_hot" in right else right
            yield place.left, say("not subtracted", what=what)
        if left in ("1", "1.0"):
            yield place.right, say("number", new=right, old=ast.unparse(place))
        minus = ast.UnaryOp(ast.USub(), place.right)
        yield minus, say("no term", left=left)


def products(place: ast.expr, about: About) -> Iterator[Edited]:
    """A factor left out, divided by, transposed, or in the wrong place."""
    if isinstance(place, ast.Attribute) and place.attr in ("T", "mT"):
        yield place.value, say("no transpose", inner=ast.unparse(place.value))
    if call_of(place, "swapaxes"):
        inner = place.func.value  # type: ignore[union-attr]
        axes = ", ".join(map(ast.unparse, place.args))  # type: ignore[union-attr]
        yield inner, say("no swap", inner=ast.unparse(inner), axes=axes)
    if not isinstance(place, ast.BinOp):
        return
    left, right = ast.unparse(place.left), ast.unparse(place.right)
    if isinstance(place.op, ast.MatMult):
        yield from _of_matrices(place)
        swapped = ast.BinOp(place.right, ast.MatMult(), place.left)
        yield swapped, say("operands", left=left)
        a, b = (ast.Attribute(x, "mT", ast.Load()) for x in (place.right, place.left))
        yield ast.BinOp(a, ast.MatMult(), b), say("transposed")
    if isinstance(place.op, ast.Mult):
        yield place.left, _factor(about, right)
        yield place.right, _factor(about, left)
        for kept, off, text in (
            (place.left, place.right, right),
            (place.right, place.left, left),
        ):
            if not text.startswith("1.0 / "):  # who multiplied by n did not divide
                yield ast.BinOp(kept, ast.Div(), off), say("divided", right=text)
    if isinstance(place.op, ast.Div):
        if right not in ("n", "n - 1"):
            yield place.left, say("no division", right=right)
        times = ast.BinOp(place.left, ast.Mult(), place.right)
        yield times, say("multiplied", right=right)


def _of_matrices(place: ast.BinOp) -> Iterator[Edited]:
    """A transpose too many, or one of the two alone."""
    left, right = ast.unparse(place.left), ast.unparse(place.right)
    yield place.left, say("no product", inner=left, missing=f"@ {right}")
    yield place.right, say("no product", inner=right, missing=f"{left} @")
    for side in ("left", "right"):
        inner = getattr(place, side)
        if not isinstance(inner, ast.Attribute):
            changed = copy.copy(place)
            setattr(changed, side, ast.Attribute(inner, "mT", ast.Load()))
            yield changed, say("extra transpose", inner=ast.unparse(inner))


def sums_first(place: ast.expr, about: About) -> Iterator[Edited]:
    """Sums multiplied, where products should be summed."""
    hint = say("sums first", whole=ast.unparse(place))
    match place:
        case ast.Call(
            func=ast.Attribute(value=ast.BinOp() as product, attr="sum"), args=[axis]
        ) if isinstance(product.op, ast.Mult | ast.MatMult):
            left, right = (
                ast.Call(ast.Attribute(side, "sum", ast.Load()), [axis], place.keywords)
                for side in (product.left, product.right)
            )
            yield ast.BinOp(left, product.op, right), hint
        case ast.BinOp(
            left=ast.Attribute(value=inner, attr="T" | "mT"),
            op=ast.MatMult(),
            right=side,
        ):
            left, right = (
                f"{in_brackets(ast.unparse(x))}.sum(-2, keepdims=True)"
                for x in (inner, side)
            )
            yield parsed(f"{left}.mT @ {right}"), hint


def brackets(place: ast.expr, about: About) -> Iterator[Edited]:
    """Of (a - b) / n, or of (a - b) * c, one term alone: a - b / n."""
    match place:
        case (
            ast.BinOp(
                left=ast.BinOp(op=ast.Add() | ast.Sub()) as terms,
                op=ast.Div() | ast.Mult() as op,
                right=by,
            )
            | ast.BinOp(
                left=by,
                op=ast.Mult() as op,
                right=ast.BinOp(op=ast.Add() | ast.Sub()) as terms,
            )
        ) if ast.unparse(by) != ast.unparse(terms.right):  # s * 1 - s is just 0
            sign = "/" if isinstance(op, ast.Div) else "*"
            part = f"{sign} {in_brackets(ast.unparse(by))}"
            hint = say("brackets", part=part)
            yield ast.BinOp(terms.left, terms.op, ast.BinOp(terms.right, op, by)), hint
            yield _of_first(terms, op, by), hint


def _of_first(terms: ast.expr, op: ast.operator, by: ast.expr) -> ast.expr:
    """A sum whose first term alone is multiplied, or divided."""
    if isinstance(terms, ast.BinOp) and isinstance(terms.op, ast.Add | ast.Sub):
        return ast.BinOp(_of_first(terms.left, op, by), terms.op, terms.right)
    return ast.BinOp(terms, op, by)


def _factor(about: About, missing: str) -> Hint:
    if missing.startswith("d") and missing[1:] in about.network.node:
        return say("no upstream", missing=missing)
    return say("no factor", missing=in_brackets(missing))


def numbers(place: ast.expr, about: About) -> Iterator[Edited]:
    """A number that is another; of small ones, as of eps, other powers of ten."""
    if isinstance(place, ast.Constant) and isinstance(place.value, float):
        small = (0.1, 10.0, 1e-3) if place.value < 1e-2 else ()
        for factor in (0.5, 2.0, *small) if place.value != 1.0 else ():
            new, old = place.value * factor, place.value
            if new != old:
                hint = say("number", new=f"{new:g}", old=f"{old:g}")
                yield ast.Constant(new), hint


def exponents(place: ast.expr, about: About) -> Iterator[Edited]:
    """The power with the other sign; before a missing minus, which would be another."""
    match place:
        case ast.BinOp(left=base, op=ast.Pow(), right=ast.UnaryOp(operand=positive)):
            facts = {"base": ast.unparse(base), "power": ast.unparse(place.right)}
            hint = say("other power", new=ast.unparse(positive), **facts)
            yield ast.BinOp(base, ast.Pow(), positive), hint


def powers(place: ast.expr, about: About) -> Iterator[Edited]:
    """A power that is another, or of more than it should be: (1 - h)**2."""
    if not isinstance(place, ast.BinOp):
        return
    if isinstance(place.op, ast.Pow):
        base, power = ast.unparse(place.left), ast.unparse(place.right)
        yield place.left, say("no power", power=power, base=base)
        halves = () if isinstance(ast.literal_eval(power), int) else (0.5, -0.5)
        for by in (-1, 1, 2, -2, *halves):
            new = ast.Constant(ast.literal_eval(power) + by)
            hint = say("other power", base=base, new=new.value, power=power)
            yield ast.BinOp(place.left, ast.Pow(), new), hint
        for slope in dict.fromkeys((power, power.lstrip("-"))):
            new = f"{slope} * {in_brackets(base)}"
            yield parsed(new), say("number", new=new, old=ast.unparse(place))
        yield from _added_outside(place)
    right = place.right
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Pow):
        base, power = ast.unparse(right.left), ast.unparse(right.right)
        whole = ast.BinOp(place.left, place.op, right.left)
        hint = say("power of all", power=power, base=base, right=ast.unparse(place))
        yield ast.BinOp(whole, ast.Pow(), right.right), hint


def _added_outside(place: ast.BinOp) -> Iterator[Edited]:
    """Of (x + eps) ** power, eps added to a power of x, as to its root."""
    match place.left:
        case ast.BinOp(left=x, op=ast.Add(), right=ast.Constant(value=eps)):
            base, power = ast.unparse(x), ast.literal_eval(ast.unparse(place.right))
            facts = {"number": f"{eps:g}", "base": base, "right": ast.unparse(place)}
            for inner in (power, -power, 0.5):
                new = f"({base} ** {inner} + {eps}) ** {power / inner}"
                yield parsed(new), say("added outside", **facts)


def slopes(place: ast.expr, about: About) -> Iterator[Edited]:
    """The derivative of tanh for that of a sigmoid, by the output, or the other way."""
    facts = {"right": ast.unparse(place)}
    match place:
        case ast.BinOp(
            left=ast.Constant(value=1.0),
            op=ast.Sub(),
            right=ast.BinOp(left=ast.Name(id=y), op=ast.Pow(), right=ast.Constant(2)),
        ):
            hint = say("other slope", new="sigmoid", old="tanh", **facts)
            yield parsed(f"{y} * (1.0 - {y})"), hint
        case ast.BinOp(
            left=ast.Name(id=y),
            op=ast.Mult(),
            right=ast.BinOp(left=ast.Constant(1.0), op=ast.Sub(), right=ast.Name(id=z)),
        ) if y == z:
            hint = say("other slope", new="tanh", old="sigmoid", **facts)
            yield parsed(f"1.0 - {y}**2"), hint

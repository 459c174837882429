"""Mistakes in one place of an expression, and a hint on each.

A rule takes a place, a node of the expression's syntax tree, and the array whose
gradient it makes. It yields what a learner may have written there instead, and the hint
that tells it. What does not run, as its shapes do not fit, is told to nobody.
"""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.network import Network

Edited = tuple[ast.expr, Hint]


class About(NamedTuple):
    """The array whose gradient an expression makes, and its network."""

    name: str
    network: Network


def parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def call_of(place: ast.expr, attribute: str) -> bool:
    called = isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute)
    return called and place.func.attr == attribute  # type: ignore[union-attr]


AXES = ("0", "1", "2", "3", "(0, 1)", "(0, 2)", "(1, 2)")


def _sums(place: ast.expr, about: About) -> Iterator[Edited]:
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


def _sizes(place: ast.expr, about: About) -> Iterator[Edited]:
    """n and 1/n, of this size or of another."""
    numbers = about.network.numbers
    if isinstance(place, ast.Name) and place.id in numbers:
        for other, told in sizes(about.network).items():
            if other != place.id:
                yield parsed(other), say("number", new=told, old=place.id)
        yield parsed(f"{place.id} - 1"), say("n - 1", size=place.id)
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Div):
        below = ast.unparse(place.right)
        if below.removesuffix(" - 1") in numbers:
            yield place.left, say("no 1/n", below=in_brackets(below))


def sizes(network: Network) -> dict[str, str]:
    """What a learner writes for a size, and what it is called."""
    letters = {k: text for k, text in network.letters.items() if len(k) == 1}
    return {text: k if k == text else f"{k} ({text})" for k, text in letters.items()}


def _bessel(place: ast.expr, about: About) -> Iterator[Edited]:
    if ast.unparse(place) == "n - 1":
        yield ast.Name("n", ast.Load()), say("n")
        for other, told in sizes(about.network).items():
            if other != "n":
                yield parsed(other), say("number", new=told, old="n - 1")


def _terms(place: ast.expr, about: About) -> Iterator[Edited]:
    """A term of a sum left out."""
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Add):
        for kept, term in ((place.left, place.right), (place.right, place.left)):
            yield kept, say("no term", left=ast.unparse(term))


def _signs(place: ast.expr, about: About) -> Iterator[Edited]:
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


def _products(place: ast.expr, about: About) -> Iterator[Edited]:
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


def _brackets(place: ast.expr, about: About) -> Iterator[Edited]:
    """Of (a - b) / n one term divided alone, as a - b / n says."""
    match place:
        case ast.BinOp(
            left=ast.BinOp(op=ast.Add() | ast.Sub()) as terms,
            op=ast.Div() as op,
            right=by,
        ):
            part = f"/ {in_brackets(ast.unparse(by))}"
            hint = say("brackets", part=part, left=ast.unparse(terms))
            yield ast.BinOp(terms.left, terms.op, ast.BinOp(terms.right, op, by)), hint
            yield ast.BinOp(ast.BinOp(terms.left, op, by), terms.op, terms.right), hint


def _factor(about: About, missing: str) -> Hint:
    if missing.startswith("d") and missing[1:] in about.network.node:
        return say("no upstream", missing=missing)
    return say("no factor", missing=in_brackets(missing))


def _softmax(place: ast.expr, about: About) -> Iterator[Edited]:
    """Over the wrong axis, left out, not normalised, or its logarithm."""
    if not call_of(place, "softmax"):
        return
    assert isinstance(place, ast.Call)
    x, axis = map(ast.unparse, place.args)
    for other in AXES[:4]:
        if other != axis:
            over = ast.Call(place.func, [place.args[0], parsed(other)], [])
            yield over, say("softmax axis", other=other, axis=axis)
    yield place.args[0], say("no softmax", x=x)
    yield parsed(f"jnp.exp({x})"), say("exp", x=x)
    yield parsed(f"jnp.log({ast.unparse(place)})"), say("log_softmax")


def _masks(place: ast.expr, about: About) -> Iterator[Edited]:
    """No mask, or the other way round."""
    if not call_of(place, "where"):
        return
    assert isinstance(place, ast.Call)
    mask, inner, other = place.args
    texts = {"inner": ast.unparse(inner), "mask": ast.unparse(mask)}
    yield inner, say("no mask", **texts)
    swapped = ast.Call(place.func, [mask, other, inner], [])
    yield swapped, say("number", new=ast.unparse(swapped), old=ast.unparse(place))


def _jacobians(place: ast.expr, about: About) -> Iterator[Edited]:
    """Of p * (d - (p * d).sum(...)) the diagonal alone, p * (1 - p) * d."""
    match place:
        case ast.BinOp(
            left=ast.Name(id=p),
            op=ast.Mult(),
            right=ast.BinOp(left=ast.Name(id=d), op=ast.Sub(), right=ast.Call() as sum),
        ) if ast.unparse(sum).startswith(inner := f"({p} * {d})"):
            hint = say("diagonal", p=p, inner=inner[1:-1], upstream=d)
            yield parsed(f"{p} * (1 - {p}) * {d}"), hint


def _indexed(place: ast.expr, about: About) -> Iterator[Edited]:
    """add for set, and other places than those that were read."""
    if call_of(place, "add"):
        assert isinstance(place, ast.Call)
        assert isinstance(place.func, ast.Attribute)
        setter = ast.Attribute(place.func.value, "set", ast.Load())
        yield ast.Call(setter, place.args, []), say("set")
        array, index, value = _written(place)
        last = f"{array}.at[{index}.T].set({value}.swapaxes(0, 1))"
        yield parsed(last), say("set")
        first = f"{array}.at[{index}[:, 0]].add({value}[:, 0])"
        yield parsed(first), say("first symbol")
    if isinstance(place, ast.Subscript) and ast.unparse(place.slice).endswith(", Yb)"):
        index = parsed("x[:, Yb]")
        assert isinstance(index, ast.Subscript)
        yield ast.Subscript(place.value, index.slice, ast.Load()), say("all rows")
    if isinstance(place, ast.Name) and place.id == "Yb":
        yield parsed("logits.argmax(1)"), say("argmax")
    match place:  # a part of a stack: another part, or their sum
        case ast.Subscript(value=ast.Name(id=whole), slice=ast.Constant(value=int(k))):
            others = [f"{whole}[{other}]" for other in (0, 1, 2) if other != k]
            for new in (*others, f"{whole}.sum(0)"):
                yield parsed(new), say("number", new=new, old=f"{whole}[{k}]")


def _written(place: ast.Call) -> tuple[str, str, str]:
    """Array, index and value of `array.at[index].add(value)`."""
    at = place.func.value  # type: ignore[union-attr]
    assert isinstance(at, ast.Subscript)
    assert isinstance(at.value, ast.Attribute)
    parts = (at.value.value, at.slice, place.args[0])
    array, index, value = map(ast.unparse, parts)
    return array, f"({index})", f"({value})"


def _one_hots(place: ast.expr, about: About) -> Iterator[Edited]:
    """The one-hot of something else."""
    if not call_of(place, "one_hot"):
        return
    assert isinstance(place, ast.Call)
    given = ast.unparse(place.args[0])
    others = {
        "Yb": ["logits.argmax(1)"],
        "logits.argmax(1)": ["Yb", "logits.argmin(1)"],
    }
    for other in others.get(given, ()):
        hint = say("one-hot", other=other, given=given)
        yield ast.Call(place.func, [parsed(other), *place.args[1:]], []), hint
    if given == "Yb":
        zeros = "jnp.zeros_like(logits)"
        for change in ("add", "set"):
            columns = parsed(f"{zeros}.at[:, Yb].{change}(1.0)")
            yield columns, say("all rows")
        found = "(jnp.arange(logits.shape[0])[:, None] == Yb)"
        for how in ("sum", "any"):
            rows = parsed(f"{found}.{how}(1, keepdims=True) * jnp.ones_like(logits)")
            yield rows, say("rows", given=given)
        yield parsed("jnp.ones_like(logits)"), say("all entries", given=given)
        yield parsed("Yb[:, None]"), say("no one-hot", given=given)
    if about.name == "logits" and given != "Yb":
        yield parsed("(logits == logit_maxes)"), say("ties")


def _reshaped(place: ast.expr, about: About) -> Iterator[Edited]:
    """The numbers in another order."""
    if not call_of(place, "reshape"):
        return
    x, name = ast.unparse(place.func.value), about.name  # type: ignore[union-attr]
    yield parsed(f"{x}.reshape({name}.shape, order='F')"), say("order")
    swapped = f"{x}.reshape({name}.shape[0], {name}.shape[2], {name}.shape[1])"
    yield parsed(f"{swapped}.swapaxes(1, 2)"), say("order")


def _numbers(place: ast.expr, about: About) -> Iterator[Edited]:
    """A number that is another; of small ones, as of eps, other powers of ten."""
    if isinstance(place, ast.Constant) and isinstance(place.value, float):
        small = (0.1, 10.0, 1e-3) if place.value < 1e-2 else ()
        for factor in (0.5, 2.0, *small) if place.value != 1.0 else ():
            new, old = place.value * factor, place.value
            if new != old:
                hint = say("number", new=f"{new:g}", old=f"{old:g}")
                yield ast.Constant(new), hint


def _exponents(place: ast.expr, about: About) -> Iterator[Edited]:
    """The power with the other sign; before a missing minus, which would be another."""
    match place:
        case ast.BinOp(left=base, op=ast.Pow(), right=ast.UnaryOp(operand=positive)):
            facts = {"base": ast.unparse(base), "power": ast.unparse(place.right)}
            hint = say("other power", new=ast.unparse(positive), **facts)
            yield ast.BinOp(base, ast.Pow(), positive), hint


def _powers(place: ast.expr, about: About) -> Iterator[Edited]:
    """A power that is another, or of more than it should be: (1 - h)**2."""
    if not isinstance(place, ast.BinOp):
        return
    if isinstance(place.op, ast.Pow):
        base, power = ast.unparse(place.left), ast.unparse(place.right)
        yield place.left, say("no power", power=power, base=base)
        for by in (-1, 1, 2, -2):
            new = ast.Constant(ast.literal_eval(power) + by)
            hint = say("other power", base=base, new=new.value, power=power)
            yield ast.BinOp(place.left, ast.Pow(), new), hint
        slope = f"{power} * {base}"
        yield parsed(slope), say("number", new=slope, old=ast.unparse(place))
    right = place.right
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Pow):
        base, power = ast.unparse(right.left), ast.unparse(right.right)
        whole = ast.BinOp(place.left, place.op, right.left)
        hint = say("power of all", power=power, base=base, right=ast.unparse(place))
        yield ast.BinOp(whole, ast.Pow(), right.right), hint


def _saved(place: ast.expr, about: About) -> Iterator[Edited]:
    """Another array: the wrong saved value. First those of the same shape."""
    if isinstance(place, ast.BinOp | ast.UnaryOp):
        yield from _for_an_expression(place, about.network)
    if not isinstance(place, ast.Name):
        return
    old = place.id
    name, known = about
    is_gradient = old.startswith("d") and old[1:] in known.node
    node = known.node.get(old[1:] if is_gradient else old)
    if node is None:
        return
    other = node.name if is_gradient else f"d{node.name}"
    mixed = "array for gradient" if is_gradient else "gradient for array"
    if other != f"d{name}":
        yield ast.Name(other, ast.Load()), say(mixed, new=other, old=old)
    code = "upstream" if is_gradient else "saved"
    for other in sorted(known.nodes, key=lambda n: n.shape != node.shape):
        new = f"d{other.name}" if is_gradient else other.name
        if new not in (old, f"d{name}"):
            yield ast.Name(new, ast.Load()), say(code, new=new, old=old)


def _for_an_expression(place: ast.expr, network: Network) -> Iterator[Edited]:
    """An array in place of what is computed from arrays alone, a derivative mostly."""
    names = {n.id for n in ast.walk(place) if isinstance(n, ast.Name)}
    arrays = {node.name: None for node in network.nodes}  # in order
    if not names & arrays.keys() or names & {f"d{name}" for name in arrays}:
        return
    old = ast.unparse(place)
    for new in arrays:
        short = len(old) < 25
        hint = say("value", new=new, old=old) if short else say("slope", new=new)
        yield ast.Name(new, ast.Load()), hint


def in_brackets(text: str) -> str:
    return f"({text})" if any(c in text for c in "+- ") else text


# The plainest first: of two that give the same numbers it is the one that is told.
RULES = (
    *(
        _jacobians,
        _exponents,
        _sums,
        _bessel,
        _sizes,
        _signs,
        _terms,
        _products,
        _brackets,
    ),
    *(_softmax, _masks, _one_hots, _indexed, _reshaped, _powers, _numbers, _saved),
)

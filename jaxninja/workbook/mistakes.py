"""Known mistakes: the worked solution with one slip in it, and a sentence on each.

A wrong gradient is compared with what each slip would give. The slips are made by
editing the solution's syntax tree, so that every line of it has its own: a sum left
out, n for n - 1, a sign, a transpose, `=` for `+=`, one saved value for another.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from jaxninja.workbook.graph import NODE, uses
from jaxninja.workbook.source import Source

TIES = (
    "in a row whose maximum is attained twice each of the two places receives the "
    "whole of dlogit_maxes: divide it among them, or give it to one, as argmax does"
)
Edited = tuple[ast.expr, str]


@dataclass(frozen=True)
class Mistake:
    """The statements of a gradient with one slip, and what to say about it."""

    body: tuple[ast.stmt, ...]
    sentence: str


def mistakes(solution: Source, name: str, gradients: tuple[str, ...]):
    """Every known slip in the solution's lines for one gradient, the plainest first."""
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
    """The expression with one slip at one place."""
    places = list(ast.walk(expression))
    for rule in (
        _sums,
        _bessel,
        _sizes,
        _signs,
        _products,
        _indexed,
        _powers,
        _numbers,
        _saved,
    ):
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


def _call(place: ast.expr, attribute: str) -> bool:
    called = isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute)
    return called and place.func.attr == attribute  # type: ignore[union-attr]


def _sums(place: ast.expr, name: str) -> Iterator[Edited]:
    """sum and keepdims."""
    if not _call(place, "sum"):
        return
    assert isinstance(place, ast.Call)
    method = place.func
    assert isinstance(method, ast.Attribute)
    inner, axis = ast.unparse(method.value), ast.unparse(place.args[0])
    text = f"the sum over axis {axis} of {inner} is missing: what was broadcast forward"
    yield method.value, f"{text} is summed backward"
    if place.keywords:
        bare = ast.Call(method, place.args, [])
        yield bare, f"keepdims=True is missing: d{name} has the shape of {name}"
    else:
        kept = ast.parse(f"({inner}).sum({axis}, keepdims=True)", mode="eval").body
        yield kept, f"keepdims is too much here: d{name} has the shape of {name}"
    mean = ast.Attribute(method.value, "mean", ast.Load())
    yield ast.Call(mean, place.args, place.keywords), "a mean stands where a sum should"
    other = ast.Constant(1 - int(axis))
    yield (
        ast.Call(method, [other], place.keywords),
        f"the sum goes over axis {1 - int(axis)}, it should go over axis {axis}",
    )


def _sizes(place: ast.expr, name: str) -> Iterator[Edited]:
    """n and 1/n."""
    if isinstance(place, ast.Name) and place.id == "n":
        yield ast.parse("n - 1", mode="eval").body, "n - 1 stands where n should"
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Div):
        below = ast.unparse(place.right)
        if below in ("n", "n - 1"):
            yield place.left, f"the factor 1/{_in_brackets(below)} is missing"


def _bessel(place: ast.expr, name: str) -> Iterator[Edited]:
    if ast.unparse(place) == "n - 1":
        text = "n stands where n - 1 should: Bessel's correction"
        yield ast.Name("n", ast.Load()), text


def _signs(place: ast.expr, name: str) -> Iterator[Edited]:
    if isinstance(place, ast.UnaryOp) and isinstance(place.op, ast.USub):
        inner = ast.unparse(place.operand)
        text = f"the minus in front of {inner} is missing: the sign is wrong"
        yield place.operand, text
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Sub):
        plus = ast.BinOp(place.left, ast.Add(), place.right)
        left, right = ast.unparse(place.left), ast.unparse(place.right)
        yield plus, f"{right} is added, it should be subtracted: the sign is wrong"
        if not isinstance(place.left, ast.Constant | ast.Name):
            what = "the one-hot of the targets" if "one_hot" in right else right
            yield place.left, f"{what} is not subtracted: that term is missing"
        minus = ast.UnaryOp(ast.USub(), place.right)
        yield minus, f"the term {left} is missing"


def _products(place: ast.expr, name: str) -> Iterator[Edited]:
    """A factor left out, divided by, transposed, or in the wrong place."""
    if isinstance(place, ast.Attribute) and place.attr == "T":
        yield place.value, f"{ast.unparse(place.value)} should be transposed"
    if not isinstance(place, ast.BinOp):
        return
    left, right = ast.unparse(place.left), ast.unparse(place.right)
    if isinstance(place.op, ast.MatMult):
        swapped = ast.BinOp(place.right, ast.MatMult(), place.left)
        yield swapped, f"the operands of @ are exchanged: {left} comes first"
        a, b = (ast.Attribute(x, "T", ast.Load()) for x in (place.right, place.left))
        yield ast.BinOp(a, ast.MatMult(), b), f"d{name} is transposed"
    if isinstance(place.op, ast.Mult):
        yield place.left, _factor(right)
        yield place.right, _factor(left)
        divided = ast.BinOp(place.left, ast.Div(), place.right)
        yield divided, f"divided by {right}, it should be multiplied by it"
    if isinstance(place.op, ast.Div) and right not in ("n", "n - 1"):
        yield place.left, f"the division by {right} is missing"


def _factor(missing: str) -> str:
    if missing.startswith("d") and missing[1:] in NODE:
        return f"{missing}, the upstream gradient, is not multiplied in"
    return f"the factor {_in_brackets(missing)} is missing"


def _indexed(place: ast.expr, name: str) -> Iterator[Edited]:
    """add for set, and the axis of argmax."""
    if _call(place, "add"):
        assert isinstance(place, ast.Call)
        assert isinstance(place.func, ast.Attribute)
        setter = ast.Attribute(place.func.value, "set", ast.Load())
        text = "set stands where add should: of a row that is read more than once the"
        yield ast.Call(setter, place.args, []), f"{text} last gradient overwrites all"
    if _call(place, "one_hot"):
        assert isinstance(place, ast.Call)
        wrong = {"Yb": "logits.argmax(1)", "logits.argmax(1)": "Yb"}
        given = ast.unparse(place.args[0])
        other = ast.parse(wrong[given], mode="eval").body
        text = f"the one-hot is of {wrong[given]}, it should be of {given}"
        yield ast.Call(place.func, [other, *place.args[1:]], []), text
        if name == "logits" and given != "Yb":
            yield ast.parse("(logits == logit_maxes)", mode="eval").body, TIES


def _numbers(place: ast.expr, name: str) -> Iterator[Edited]:
    """A number that is another; of small ones, as of eps, other powers of ten."""
    if isinstance(place, ast.Constant) and isinstance(place.value, float):
        small = (0.1, 10.0, 1e-3) if place.value < 1e-2 else ()
        for factor in (0.5, 2.0, 0.0, *small):
            new, old = place.value * factor, place.value
            text = f"{new:g} stands where {old:g} should"
            yield ast.Constant(new), text


def _powers(place: ast.expr, name: str) -> Iterator[Edited]:
    """A power that is another, or of more than it should be: (1 - h)**2."""
    if not isinstance(place, ast.BinOp):
        return
    if isinstance(place.op, ast.Pow):
        base, power = ast.unparse(place.left), ast.unparse(place.right)
        yield place.left, f"the power {power} of {base} is missing"
        for by in (-1, 1, 2, -2):
            new = ast.Constant(ast.literal_eval(power) + by)
            text = f"{base} is to the power {new.value}, it should be {power}"
            yield ast.BinOp(place.left, ast.Pow(), new), text
    right = place.right
    if isinstance(right, ast.BinOp) and isinstance(right.op, ast.Pow):
        base, power = ast.unparse(right.left), ast.unparse(right.right)
        whole = ast.BinOp(place.left, place.op, right.left)
        text = f"the power {power} is of {base} alone: {ast.unparse(place)}"
        yield ast.BinOp(whole, ast.Pow(), right.right), text


def _saved(place: ast.expr, name: str) -> Iterator[Edited]:
    """Another array of the same shape: the wrong saved value."""
    if not isinstance(place, ast.Name):
        return
    old = place.id
    is_gradient = old.startswith("d") and old[1:] in NODE
    node = NODE.get(old[1:] if is_gradient else old)
    if node is None:
        return
    for other in NODE.values():
        new = f"d{other.name}" if is_gradient else other.name
        if other.shape == node.shape and new not in (old, f"d{name}"):
            what = "upstream gradient" if is_gradient else "saved value"
            text = f"{new} stands where {old} should: the wrong {what}"
            yield ast.Name(new, ast.Load()), text


def _in_brackets(text: str) -> str:
    return f"({text})" if any(c in text for c in "+- ") else text

"""Mistakes in one place of an expression, and a sentence on each.

A rule takes a place, a node of the expression's syntax tree, and the name of the array
whose gradient it makes. It yields what a learner may have written there instead.
"""

import ast
from collections.abc import Iterator

from jaxninja.workbook.graph import NODE

Edited = tuple[ast.expr, str]
TIES = (
    "in a row whose maximum is attained twice each of the two places receives the "
    "whole of dlogit_maxes: divide it among them, or give it to one, as argmax does"
)


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


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
        kept = _parsed(f"({inner}).sum({axis}, keepdims=True)")
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
        yield _parsed("n - 1"), "n - 1 stands where n should"
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


def _softmax(place: ast.expr, name: str) -> Iterator[Edited]:
    """Over the wrong axis, left out, not normalised, or its logarithm."""
    if not _call(place, "softmax"):
        return
    assert isinstance(place, ast.Call)
    x, axis = map(ast.unparse, place.args)
    other = ast.Constant(1 - int(axis))
    rows = "each row is one example's"
    yield (
        ast.Call(place.func, [place.args[0], other], []),
        f"the softmax goes over axis {other.value}, it should go over axis {axis}: "
        + rows,
    )
    yield place.args[0], f"the softmax is missing: {x} are no probabilities"
    yield (
        _parsed(f"jnp.exp({x})"),
        f"exp({x}) is not normalised: a softmax divides it by the sum of its row",
    )
    yield (
        _parsed(f"jnp.log({ast.unparse(place)})"),
        "a log_softmax stands where a softmax should",
    )


def _indexed(place: ast.expr, name: str) -> Iterator[Edited]:
    """add for set, and other places than those that were read."""
    if _call(place, "add"):
        assert isinstance(place, ast.Call)
        assert isinstance(place.func, ast.Attribute)
        setter = ast.Attribute(place.func.value, "set", ast.Load())
        text = "set stands where add should: of a row that is read more than once the "
        text += "last gradient overwrites all"
        yield ast.Call(setter, place.args, []), text
        yield _parsed("jnp.zeros_like(C).at[Xb.T].set(demb.swapaxes(0, 1))"), text
        first = "only the first symbol of each context is counted"
        yield _parsed("jnp.zeros_like(C).at[Xb[:, 0]].add(demb[:, 0])"), first
    if isinstance(place, ast.Subscript) and ast.unparse(place.slice).endswith(", Yb)"):
        every = ast.Subscript(place.value, _parsed("x[:, Yb]").slice, ast.Load())  # type: ignore
        yield (
            every,
            "[:, Yb] stands where [jnp.arange(n), Yb] should: a row has one target",
        )
    if isinstance(place, ast.Name) and place.id == "Yb":
        text = "argmax(1) stands where Yb should: the loss reads the target's entry"
        yield _parsed("logits.argmax(1)"), text


def _one_hots(place: ast.expr, name: str) -> Iterator[Edited]:
    """The one-hot of something else."""
    if not _call(place, "one_hot"):
        return
    assert isinstance(place, ast.Call)
    given = ast.unparse(place.args[0])
    others = {
        "Yb": ["logits.argmax(1)"],
        "logits.argmax(1)": ["Yb", "logits.argmin(1)"],
    }
    for other in others[given]:
        text = f"the one-hot is of {other}, it should be of {given}"
        yield ast.Call(place.func, [_parsed(other), *place.args[1:]], []), text
    if name == "logits" and given != "Yb":
        yield _parsed("(logits == logit_maxes)"), TIES


def _reshaped(place: ast.expr, name: str) -> Iterator[Edited]:
    """The numbers in another order."""
    if not _call(place, "reshape"):
        return
    x = ast.unparse(place.func.value)  # type: ignore[union-attr]
    text = "the shape is right, the order of the numbers is not: the forward pass used "
    text += f"plain reshape, and .reshape({name}.shape) undoes it"
    yield _parsed(f"{x}.reshape({name}.shape, order='F')"), text
    swapped = f"{x}.reshape({name}.shape[0], {name}.shape[2], {name}.shape[1])"
    yield _parsed(f"{swapped}.swapaxes(1, 2)"), text


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
    """Another array: the wrong saved value. First those of the same shape."""
    if not isinstance(place, ast.Name):
        return
    old = place.id
    is_gradient = old.startswith("d") and old[1:] in NODE
    node = NODE.get(old[1:] if is_gradient else old)
    if node is None:
        return
    what = "upstream gradient" if is_gradient else "saved value"
    for other in sorted(NODE.values(), key=lambda n: n.shape != node.shape):
        new = f"d{other.name}" if is_gradient else other.name
        if new not in (old, f"d{name}"):
            text = f"{new} stands where {old} should: the wrong {what}"
            yield ast.Name(new, ast.Load()), text


def _in_brackets(text: str) -> str:
    return f"({text})" if any(c in text for c in "+- ") else text


# The plainest first: of two that give the same numbers it is the one that is told.
RULES = (
    *(_sums, _bessel, _sizes, _signs, _products, _softmax, _one_hots, _indexed),
    *(_reshaped, _powers, _numbers, _saved),
)

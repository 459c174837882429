"""Mistakes in masks, indices and one-hots, and arrays taken for others."""

import ast
from collections.abc import Iterator
from itertools import permutations

from jaxninja.workbook.diagnosis.expressions.nodes import (
    AXES,
    About,
    Edited,
    call_of,
    parsed,
)
from jaxninja.workbook.hints import say
from jaxninja.workbook.network import Network


def softmax(place: ast.expr, about: About) -> Iterator[Edited]:
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


def masks(place: ast.expr, about: About) -> Iterator[Edited]:
    """No mask, or the other way round."""
    if not call_of(place, "where"):
        return
    assert isinstance(place, ast.Call)
    mask, inner, other = place.args
    texts = {"inner": ast.unparse(inner), "mask": ast.unparse(mask)}
    yield inner, say("no mask", **texts)
    swapped = ast.Call(place.func, [mask, other, inner], [])
    yield swapped, say("number", new=ast.unparse(swapped), old=ast.unparse(place))
    infinite = ast.Call(place.func, [mask, inner, parsed("-jnp.inf")], [])
    yield infinite, say("minus infinity", mask=texts["mask"])
    turned = ast.Call(place.func, [parsed(f"{texts['mask']}.T"), inner, other], [])
    yield turned, say("mask transposed", mask=texts["mask"])


def jacobians(place: ast.expr, about: About) -> Iterator[Edited]:
    """Of p * (d - (p * d).sum(...)) the diagonal alone, p * (1 - p) * d."""
    match place:
        case ast.BinOp(
            left=ast.Name(id=p),
            op=ast.Mult(),
            right=ast.BinOp(left=ast.Name(id=d), op=ast.Sub(), right=ast.Call() as sum),
        ) if ast.unparse(sum).startswith(inner := f"({p} * {d})"):
            hint = say("diagonal", p=p, inner=inner[1:-1], upstream=d)
            yield parsed(f"{p} * (1 - {p}) * {d}"), hint


def indexed(place: ast.expr, about: About) -> Iterator[Edited]:
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


def one_hots(place: ast.expr, about: About) -> Iterator[Edited]:
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


def reshaped(place: ast.expr, about: About) -> Iterator[Edited]:
    """The numbers in another order."""
    match place:
        case ast.Call(func=ast.Attribute(value=x, attr="reshape")):
            text, name = ast.unparse(x), about.name
            yield parsed(f"{text}.reshape({name}.shape, order='F')"), say("order")
            swapped = (
                f"{text}.reshape({name}.shape[0], {name}.shape[2], {name}.shape[1])"
            )
            yield parsed(f"{swapped}.swapaxes(1, 2)"), say("order")
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(
                    func=ast.Attribute(attr="reshape") as method, args=[a, b, c, *more]
                ),
                attr="swapaxes",
            )
        ):  # whose axes are 1 and 2
            yield ast.Call(method, [a, c, b, *more], []), say("other places")


def listed(place: ast.expr, about: About) -> Iterator[Edited]:
    """Parts side by side in another order."""
    if isinstance(place, ast.List):
        for parts in permutations(place.elts):
            if [*parts] != place.elts:
                hint = say("list order", right=ast.unparse(place))
                yield ast.List([*parts], ast.Load()), hint


def saved(place: ast.expr, about: About) -> Iterator[Edited]:
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

"""Calls of PyTorch that need more than a row of the table."""

import ast
from collections.abc import Callable

from jaxninja.workbook.pytorch.errors import NoTranslation
from jaxninja.workbook.pytorch.forms import ALIAS, DTYPES, IGNORED, NEEDED, form
from jaxninja.workbook.texts.languages import sentence

Given = dict[str, ast.expr]


def bound(name: str, parameters: str, call: ast.Call, first: list[ast.expr]) -> Given:
    """The arguments of a call by PyTorch's names of the parameters.

    Args:
        name: of the function.
        parameters: its row's; `*sizes` takes what is left.
        call: its arguments.
        first: the array that it is a method of, if it is one.
    """
    left, given = [*first, *call.args], Given()
    for parameter in parameters.split():
        if parameter.startswith("*"):
            given[parameter[1:]] = _sizes(left)
            left = []
        elif left:
            given[parameter] = left.pop(0)
    if left:
        raise NoTranslation(sentence("arguments", name=name), call)
    for keyword in call.keywords:
        _keyword(name, parameters, keyword, given)
    if (needed := NEEDED.get(name)) and needed not in given:
        raise NoTranslation(sentence(f"needed {needed}", name=name), call)
    return {k: _tuple(v) if k == "dim" else v for k, v in given.items()}


def _keyword(name: str, parameters: str, keyword: ast.keyword, given: Given) -> None:
    called = keyword.arg or "**"
    called = called if called in parameters.split() else ALIAS.get(called, called)
    if called in parameters.split():
        given[called] = keyword.value
    elif called == "dtype":
        if dtype(keyword.value) is None:
            text = ast.unparse(keyword.value)
            raise NoTranslation(sentence("dtype", dtype=text), keyword.value)
    elif called not in IGNORED:
        why = sentence("keyword", name=name, keyword=called)
        raise NoTranslation(why, keyword.value)


def _sizes(left: list[ast.expr]) -> ast.expr:
    """Sizes one by one, as a tuple, or as another array's shape."""
    if len(left) == 1 and isinstance(left[0], ast.Tuple | ast.List):
        left = left[0].elts
    elif len(left) == 1 and getattr(left[0], "attr", "") == "shape":
        return left[0]
    return ast.Tuple(left, ast.Load())


def _tuple(node: ast.expr) -> ast.expr:
    return ast.Tuple(node.elts, node.ctx) if isinstance(node, ast.List) else node


def dtype(node: ast.expr) -> str | None:
    """torch.float32 -> float, and so on; None if it is no type."""
    name = getattr(node, "attr", getattr(node, "id", ""))
    return DTYPES.get(name)


def number(node: ast.expr | None, otherwise: int | None = None) -> int | None:
    """The whole number that is written, a minus included."""
    try:
        value = otherwise if node is None else ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return value if isinstance(value, int) else None


def is_true(node: ast.expr | None, otherwise: bool) -> bool:
    return otherwise if node is None else getattr(node, "value", None) is True


def _variance(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    """PyTorch divides by n - 1 where it is not told otherwise; jnp by n."""
    given = bound(name, "x dim unbiased keepdim correction", call, x)
    degrees = number(given.pop("correction", None), 1)
    if not is_true(given.pop("unbiased", None), True):
        degrees = 0
    given["degrees"] = ast.Constant(degrees)
    return form(f"x.{name}(dim, ddof=degrees, keepdims=keepdim)", given)


def _size(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    given = bound(name, "x dim", call, x)
    return form("x.shape[dim]" if "dim" in given else "x.shape", given)


def _flatten(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    given = bound(name, "x start_dim end_dim", call, x)
    start = number(given.get("start_dim"), 0)
    end = number(given.get("end_dim"), -1)
    if start is None or end is None:
        raise NoTranslation(sentence("flatten"), call)
    before = f"*x.shape[:{start}], " if start else ""
    after = f", *x.shape[{end + 1}:]" if end != -1 else ""
    return form(f"x.reshape({before}-1{after})", given)


def _expand(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    """-1 leaves an axis as it is."""
    given = bound(name, "x *sizes", call, x)
    sizes = given["sizes"]
    if isinstance(sizes, ast.Tuple):
        last = len(sizes.elts)
        kept = [
            form(f"x.shape[{k - last}]", given) if number(size) == -1 else size
            for k, size in enumerate(sizes.elts)
        ]
        given["sizes"] = ast.Tuple(kept, ast.Load())
    return form("jnp.broadcast_to(x, sizes)", given)


def _to(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    """A type is kept, a device is not."""
    given = bound(name, "x *rest", call, x)
    parts = getattr(given["rest"], "elts", [given["rest"]])
    types = [dtype(p) for p in (*parts, *(k.value for k in call.keywords))]
    found = next((t for t in types if t), None)
    return form(f"x.astype({found})", given) if found else given["x"]


def _index_add(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    given = bound(name, "x dim index source alpha", call, x)
    if "alpha" in given:
        given["source"] = form("alpha * source", given)
    place = _along(given, call, "index")
    return form(f"x.at[{place}].add(source)", given)


def _scatter(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    """x[index[i, j], j] = src[i, j] along axis 0, x[i, index[i, j]] along axis 1."""
    given = bound(name, "x dim index src value", call, x)
    given.setdefault("src", given.get("value", ast.Constant(0)))
    dim = number(given["dim"])
    rows, columns = "jnp.arange(index.shape[0])[:, None]", "jnp.arange(index.shape[1])"
    places = {0: f"index, {columns}", 1: f"{rows}, index", -1: f"{rows}, index"}
    if dim not in places:
        raise NoTranslation(sentence("along", name=name), call)
    change = "add" if name == "scatter_add" else "set"
    return form(f"x.at[{places[dim]}].{change}(src)", given)


def _index_put(call: ast.Call, x: list[ast.expr], name: str) -> ast.expr:
    given = bound(name, "x indices values accumulate", call, x)
    given["indices"] = _tuple(given["indices"])
    change = "add" if is_true(given.pop("accumulate", None), False) else "set"
    return form(f"x.at[indices].{change}(values)", given)


def _along(given: Given, call: ast.Call, index: str) -> str:
    """The place in an array whose axis `dim` is indexed."""
    dim = number(given.get("dim"))
    if dim is None or not 0 <= dim <= 2:
        raise NoTranslation(sentence("axis"), call)
    return ":, " * dim + index


SPECIAL: dict[str, Callable[[ast.Call, list[ast.expr], str], ast.expr]] = {
    "var": _variance,
    "std": _variance,
    "size": _size,
    "flatten": _flatten,
    "expand": _expand,
    "to": _to,
    "type": _to,
    "index_add": _index_add,
    "scatter_add": _scatter,
    "scatter": _scatter,
    "index_put": _index_put,
}

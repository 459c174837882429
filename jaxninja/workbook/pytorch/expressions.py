"""An expression of PyTorch as one of JAX."""

import ast
from collections.abc import Mapping

from jaxninja.workbook.pytorch import calls
from jaxninja.workbook.pytorch.errors import NoTranslation
from jaxninja.workbook.pytorch.forms import FORMS, FUNCTIONS, form
from jaxninja.workbook.pytorch.ranks import is_range
from jaxninja.workbook.texts.languages import sentence

PLAIN = {"append", "extend", "items", "keys", "values", "format", "join", "tolist"}
CONSTANTS = {"pi", "inf", "nan", "e"}
USUAL = {"F": "torch.nn.functional", "nn": "torch.nn", "np": "numpy"}
EXTREMES = ("max", "min")


class Names(ast.NodeTransformer):
    """Names as the workbook has them; all else stays PyTorch's."""

    def __init__(self, renamed: Mapping[str, ast.expr]):
        self.renamed = renamed

    def visit_Name(self, node: ast.Name) -> ast.expr:
        new = self.renamed.get(node.id, node)
        if isinstance(new, ast.Name):
            return ast.Name(new.id, node.ctx)
        return new if isinstance(node.ctx, ast.Load) else node


class Expressions(Names):
    """Names of modules are as the notebook imports them.

    Attributes:
        modules: what a name stands for: F for torch.nn.functional.
        renamed: names that are called otherwise here, and sizes that have a name.
        pairs: the names that stand for (values, indices), as of x.max(1).
        changed: the names that methods as `x.mul_(y)` changed.
    """

    def __init__(self, modules: Mapping[str, str], renamed: Mapping[str, ast.expr]):
        super().__init__(renamed)
        self.modules = {**USUAL, **modules}
        self.pairs: set[str] = set()
        self.changed: list[str] = []

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        library = self._library(node)
        if library is not None:
            return _of_library(library, node)
        if node.attr in ("values", "indices") and (pair := self._pair(node.value)):
            return pair[node.attr == "indices"]
        if node.attr == "grad":
            raise NoTranslation(sentence("own gradient"), node)
        inner = self.visit(node.value)
        if node.attr == "data":
            return inner
        return ast.Attribute(inner, node.attr, node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        place = calls.number(node.slice)
        if place in (0, 1) and (pair := self._pair(node.value)):
            return pair[place]
        inner = self.visit(node.value)
        return ast.Subscript(inner, self.index(node.slice), node.ctx)

    def index(self, node: ast.expr) -> ast.expr:
        """An index; a range and a list are arrays for JAX."""
        if isinstance(node, ast.Tuple):
            return ast.Tuple([self.index(part) for part in node.elts], node.ctx)
        found = listed_range(self.visit(node))
        if isinstance(found, ast.Call) and is_range(found):
            sizes = ast.Tuple(found.args, ast.Load())
            return form("jnp.arange(*sizes)", {"sizes": sizes})
        if isinstance(found, ast.List):
            return form("jnp.array(x)", {"x": found})
        return found

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if pair := self._pair(node):
            return ast.Tuple([*pair], ast.Load())
        library = self._library(node.func)
        if library is None and isinstance(node.func, ast.Attribute):
            return self._method(node, node.func)
        node = self._visited(node)
        if library is None or not library.startswith("torch."):
            return node
        name = library.rpartition(".")[2]
        if name in FUNCTIONS:
            spec, text = FUNCTIONS[name]
            return form(text, calls.bound(name, spec, node, []))
        return self._known(name, node, [], f"{ast.unparse(node.func)}(...)")

    def _method(self, node: ast.Call, function: ast.Attribute) -> ast.expr:
        name, whose = function.attr, function.value
        in_place = name.endswith("_") and not name.endswith("__")
        if in_place and (root := root_of(whose)):
            self.changed.append(root)
        x = self.visit(whose)
        node = self._visited(ast.Call(ast.Name("f"), node.args, node.keywords), node)
        if name in PLAIN:
            function = ast.Attribute(x, name, ast.Load())
            return ast.Call(function, node.args, node.keywords)
        bare = name[:-1] if in_place and name not in FORMS else name
        return self._known(bare, node, [x], f".{name}(...)")

    def _known(
        self, name: str, node: ast.Call, x: list[ast.expr], shown: str
    ) -> ast.expr:
        if name in calls.SPECIAL:
            return calls.SPECIAL[name](node, x, name)
        if name in EXTREMES:  # of all of it, or of two
            other = len(node.args) + len(x) > 1
            text = f"jnp.{name}imum(x, other)" if other else f"x.{name}()"
            return form(text, calls.bound(name, "x other", node, x))
        if name not in FORMS:
            raise NoTranslation(sentence("no counterpart", what=shown), node)
        spec, text = FORMS[name]
        return form(text, calls.bound(name, f"x {spec}", node, x))

    def _pair(self, node: ast.expr) -> tuple[ast.expr, ast.expr] | None:
        """(values, indices), if that is what an expression is in PyTorch."""
        if isinstance(node, ast.Name) and node.id in self.pairs:
            return (form("x[0]", {"x": node}), form("x[1]", {"x": node}))
        if not isinstance(node, ast.Call):
            return None
        library = self._library(node.func)
        name = (library or "").rpartition(".")[2] or getattr(node.func, "attr", "")
        if name not in EXTREMES or (library and not library.startswith("torch.")):
            return None
        whose = (
            []
            if library or not isinstance(node.func, ast.Attribute)
            else [node.func.value]
        )
        try:
            given = calls.bound(name, "x dim keepdim", node, whose)
        except NoTranslation:
            return None
        if calls.number(given.get("dim")) is None:
            return None
        given = {k: self.visit(v) for k, v in given.items()}
        values = form(f"x.{name}(dim, keepdims=keepdim)", given)
        return values, form(f"x.arg{name}(dim, keepdims=keepdim)", given)

    def _visited(self, node: ast.Call, at: ast.AST | None = None) -> ast.Call:
        """A call with its arguments in JAX, where the other one stands."""
        arguments = [self.visit(a) for a in node.args]
        keywords = [
            k
            if k.arg in ("dtype", "device")
            else ast.keyword(k.arg, self.visit(k.value))
            for k in node.keywords
        ]
        found = ast.Call(node.func, arguments, keywords)
        return ast.copy_location(found, at or node)

    def _library(self, node: ast.expr) -> str | None:
        """torch.nn.functional.softmax of F.softmax; None of what is no module's."""
        if isinstance(node, ast.Name):
            return self.modules.get(node.id) or (
                node.id if node.id in ("torch", "math", "numpy") else None
            )
        if isinstance(node, ast.Attribute):
            inner = self._library(node.value)
            return inner and f"{inner}.{node.attr}"
        return None


def _of_library(library: str, node: ast.Attribute) -> ast.expr:
    """What is read of a module, and not called: torch.pi, torch.float32."""
    name = library.rpartition(".")[2]
    if not library.startswith("torch."):
        return node
    if name in CONSTANTS:
        return form(f"jnp.{name}", {})
    if kind := calls.dtype(node):
        return ast.Name(kind, ast.Load())
    raise NoTranslation(sentence("no counterpart", what=ast.unparse(node)), node)


def listed_range(node: ast.expr) -> ast.expr:
    """range(n) of list(range(n)); all else as it is."""
    match node:
        case ast.Call(func=ast.Name(id="list"), args=[inner]) if is_range(inner):
            return inner
    return node


def root_of(node: ast.expr) -> str | None:
    """The name of the array that `x`, `x[i]`, `x.data` and `x.mul_(y)` change."""
    while True:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Subscript(value=inner) | ast.Attribute(value=inner, attr="data"):
                node = inner
            case ast.Call(func=ast.Attribute(attr=method, value=inner)):
                if not method.endswith("_"):
                    return None
                node = inner
            case _:
                return None

"""A statement of PyTorch as statements of JAX, whose arrays never change.

`x[i] = y` becomes `x = x.at[i].set(y)`, `x.mul_(y)` becomes `x = x * y`. Of `x[i] += y`
PyTorch keeps one summand where `i` names an entry twice, so that it is `.add` only
where no entry is named twice: a wrong answer stays wrong.
"""

import ast
import copy
from collections.abc import Mapping, Sequence

from jaxninja.workbook.pytorch import ranks
from jaxninja.workbook.pytorch.errors import NoTranslation
from jaxninja.workbook.pytorch.expressions import Expressions, listed_range, root_of
from jaxninja.workbook.pytorch.forms import form
from jaxninja.workbook.texts.languages import sentence

CHANGES: dict[type, str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
CONTEXTS = {"no_grad", "inference_mode", "enable_grad", "set_grad_enabled"}


class Translator:
    """Statements in the order of the notebook: each may lean on those before it."""

    def __init__(self, modules: Mapping[str, str], renamed: Mapping[str, ast.expr]):
        self.expressions = Expressions(modules, renamed)
        self.ranks = dict(ranks.RANKS)
        self.masks: set[str] = set()
        self.rows: set[str] = set()

    def translated(self, node: ast.stmt) -> list[ast.stmt]:
        """The statements that do the same.

        Raises:
            NoTranslation: there are none; it says why.
        """
        self.expressions.changed.clear()
        found = self._statement(node)
        for one in found:
            ast.fix_missing_locations(ast.copy_location(one, node))
        return found

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.Assign(targets=targets, value=value):
                return self._assign(targets, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                return self._assign([target], value)
            case ast.AugAssign(
                target=ast.Attribute(attr="data", value=ast.Name() as whole)
            ):
                return self._statement(ast.AugAssign(whole, node.op, node.value))
            case ast.AugAssign(target=ast.Name(id=name)):
                value, target = self._visit(node.value), self._visit(node.target)
                self._unchanged(name, node)
                assert isinstance(target, ast.Name)
                return [ast.AugAssign(target, node.op, value)]
            case ast.AugAssign(target=ast.Subscript() as target):
                return self._added(target, node.op, self._visit(node.value))
            case ast.Expr(value=ast.Call(func=ast.Attribute()) as call):
                return self._called(call)
            case ast.For():
                return [self._for(node)]
            case ast.If() | ast.While():
                test, body = self._visit(node.test), self._body(node.body)
                return [type(node)(test, body, self._body(node.orelse))]
            case ast.With(items=items) if all(map(_is_context, items)):
                return self._body(node.body)
            case ast.FunctionDef():
                return [self._function(node)]
            case ast.Return(value=ast.expr() as value):
                return [ast.Return(self._visit(value))]
            case ast.Expr() | ast.Assert() | ast.Pass() | ast.Break() | ast.Continue():
                return [self.expressions.visit(node)]
        what = type(node).__name__.lower()
        raise NoTranslation(sentence("statement", kind=what), node)

    def _visit(self, node: ast.expr) -> ast.expr:
        return self.expressions.visit(node)

    def _body(self, nodes: Sequence[ast.stmt]) -> list[ast.stmt]:
        found = [one for node in nodes for one in self._statement(node)]
        return found or ([ast.Pass()] if nodes else [])

    def _assign(self, targets: list[ast.expr], value: ast.expr) -> list[ast.stmt]:
        if len(targets) == 1 and isinstance(targets[0], ast.Subscript):
            return self._set(targets[0], self._visit(value))
        pair = self.expressions._pair(value) is not None
        new = listed_range(self._visit(value))
        for target in targets:
            for part in getattr(target, "elts", [target]):
                if not isinstance(part, ast.Name):
                    what = ast.unparse(part)
                    raise NoTranslation(sentence("together", what=what), part)
            self._learn(target, new, pair)
            self._unchanged(getattr(target, "id", ""), target)
        if ranks.is_range(new):
            new = self.expressions.index(new)
        return [ast.Assign([self._visit(t) for t in targets], new)]

    def _learn(self, target: ast.expr, value: ast.expr, pair: bool) -> None:
        """What is known of a name from now on."""
        if not isinstance(target, ast.Name):
            for part in getattr(target, "elts", ()):
                self._forget(part.id)
            return
        name = target.id
        self._forget(name)
        if (axes := ranks.rank(value, self.ranks)) is not None:
            self.ranks.setdefault(name, axes)
        kinds = (
            (self.expressions.pairs, pair),
            (self.masks, isinstance(value, ast.Compare)),
            (self.rows, ranks.is_range(value)),
        )
        for names, it_is in kinds:
            names.add(name) if it_is else names.discard(name)

    def _forget(self, name: str) -> None:
        if name not in ranks.RANKS:  # these have the rank that they should
            self.ranks.pop(name, None)
        for names in (self.expressions.pairs, self.masks, self.rows):
            names.discard(name)

    def _unchanged(self, target: str, node: ast.AST) -> None:
        """A method as `x.mul_(y)` changes x, which an expression of JAX cannot."""
        for name in self.expressions.changed:
            if name != target:
                raise NoTranslation(sentence("changes besides", name=name), node)
        self.expressions.changed.clear()

    def _set(self, target: ast.Subscript, value: ast.expr) -> list[ast.stmt]:
        root, index = self._place(target)
        given = {"x": root, "index": index, "value": value}
        if self._is_mask(index):
            return [_assigned(root, form("jnp.where(index, value, x)", given))]
        return [_assigned(root, form("x.at[index].set(value)", given))]

    def _added(
        self, target: ast.Subscript, op: ast.operator, value: ast.expr
    ) -> list[ast.stmt]:
        """`x[i] += y` and its like."""
        root, index = self._place(target)
        part = form("x[index]", {"x": root, "index": index})
        new = ast.BinOp(part, op, value)
        given = {"x": root, "index": index, "value": value, "new": new}
        if self._is_mask(index):
            given["new"] = ast.BinOp(root, op, value)
            return [_assigned(root, form("jnp.where(index, new, x)", given))]
        once = ranks.names_once(index, self.ranks, self.rows)
        if once and (change := CHANGES.get(type(op))):
            return [_assigned(root, form(f"x.at[index].{change}(value)", given))]
        return [_assigned(root, form("x.at[index].set(new)", given))]

    def _place(self, target: ast.Subscript) -> tuple[ast.Name, ast.expr]:
        """The array's name and the index, `x[i][j]` being x[i, j] for a single i."""
        inner, parts = target.value, [target.slice]
        while isinstance(inner, ast.Subscript):
            parts.insert(0, inner.slice)
            inner = inner.value
        if isinstance(inner, ast.Attribute) and inner.attr == "data":
            inner = inner.value
        if not isinstance(inner, ast.Name):
            what = ast.unparse(target.value)
            raise NoTranslation(sentence("nameless", what=what), target)
        found = [self.expressions.index(part) for part in parts]
        if any(ranks.rank(part, self.ranks) != 0 for part in found[:-1]):
            what = ast.unparse(target)
            raise NoTranslation(sentence("index of index", what=what), target)
        flat = [p for f in found for p in getattr(f, "elts", [f])]
        index = found[0] if len(found) == 1 else ast.Tuple(flat, ast.Load())
        name = self._visit(inner)
        assert isinstance(name, ast.Name)
        return name, index

    def _is_mask(self, index: ast.expr) -> bool:
        named = getattr(index, "id", "") in self.masks
        return isinstance(index, ast.Compare) or named

    def _called(self, call: ast.Call) -> list[ast.stmt]:
        """`x.mul_(y)` and `x[i].mul_(y)` as statements; others change nothing."""
        new = self._visit(call)
        if not self.expressions.changed:
            return [ast.Expr(new)]
        self.expressions.changed.clear()
        place = call.func.value  # type: ignore[attr-defined]
        while isinstance(place, ast.Call):
            place = place.func.value  # type: ignore[attr-defined]
        if isinstance(place, ast.Subscript):
            index = self._place(place)[1]
            if not ranks.is_single(index, self.ranks):
                what = ast.unparse(place)
                raise NoTranslation(sentence("thrown away", what=what), call)
            return self._set(place, new)
        root = root_of(place)
        assert root is not None
        return [_assigned(self._visit(ast.Name(root, ast.Load())), new)]

    def _for(self, node: ast.For) -> ast.For:
        over = self._visit(node.iter)
        self.ranks.update(ranks.of_loop(node.target, over, self.ranks))
        body = self._body(node.body)
        return ast.For(node.target, over, body, self._body(node.orelse))

    def _function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        """A helper; what it does to its parameters stays inside, in JAX."""
        parameters = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        for name in parameters:
            self._forget(name)
        body = self._body(node.body)
        for inner in ast.walk(ast.Module(node.body, [])):
            if changed_name(inner) in parameters:
                facts = dict(function=node.name, name=changed_name(inner))
                raise NoTranslation(sentence("changes argument", **facts), inner)
        made = copy.copy(node)
        made.body, made.decorator_list, made.returns = body, [], None
        return made


def changed_name(node: ast.AST) -> str | None:
    """The name whose array a part of a statement changes in place, in PyTorch."""
    match node:
        case ast.Subscript(ctx=ast.Store(), value=value):
            return root_of(value)
        case ast.AugAssign(target=ast.Name(id=name)):
            return name
        case ast.Call(func=ast.Attribute(attr=method, value=value)):
            in_place = method.endswith("_") and not method.endswith("__")
            return root_of(value) if in_place else None
    return None


def _assigned(root: ast.expr, value: ast.expr) -> ast.Assign:
    assert isinstance(root, ast.Name)
    return ast.Assign([ast.Name(root.id, ast.Store())], value)


def _is_context(item: ast.withitem) -> bool:
    call = item.context_expr
    function = call.func if isinstance(call, ast.Call) else call
    return getattr(function, "attr", getattr(function, "id", "")) in CONTEXTS

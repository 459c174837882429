"""One statement of a learner's function: the names it reads, and those it changes."""

import ast
from dataclasses import dataclass

COMPOUND = ast.For | ast.While | ast.If | ast.With


@dataclass(frozen=True)
class Statement:
    """One statement of the function's body, and the names it reads and assigns."""

    node: ast.stmt
    reads: frozenset[str]
    assigns: frozenset[str]

    @property
    def line(self) -> int:
        return self.node.lineno

    def is_above(self, other: "Statement") -> bool:
        """Of two in one line, whether it is the first."""
        mine, others = self.node, other.node
        return (mine.lineno, mine.col_offset) < (others.lineno, others.col_offset)


def statement(node: ast.stmt, variables: frozenset[str] = frozenset()) -> Statement:
    """Read a statement.

    Args:
        node: of the syntax tree.
        variables: whose methods may change them, as `rows.append(x)` does; np.sum is a
            function of a module.
    """
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    loaded = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    loaded -= _looped(node)
    stored = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    if isinstance(node, ast.FunctionDef):
        stored = {node.name}  # what it changes is changed where it is called
    elif isinstance(node, ast.Import | ast.ImportFrom):
        stored = {a.asname or a.name.split(".")[0] for a in node.names}
    else:
        stored |= _changed(node) | (_by_method(node) & variables)
    return Statement(node, frozenset(loaded), frozenset(stored))


def variables(tree: ast.AST) -> frozenset[str]:
    """The names that are assigned anywhere; modules and parameters are not."""
    names = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    return frozenset(n.id for n in names if isinstance(n.ctx, ast.Store))


def is_blank(node: ast.AST) -> bool:
    """Whether it assigns None or ..., be it to several names."""
    value = getattr(node, "value", None)
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return all(isinstance(p, ast.Constant) and p.value in (None, ...) for p in parts)


def is_print(node: ast.stmt, variables: frozenset[str]) -> bool:
    """Whether it is there to be seen only, as prints and asserts are, loops of them
    too; a text by itself, `pass` and `return` do nothing."""
    if isinstance(node, COMPOUND):
        inside = [*node.body, *getattr(node, "orelse", ())]
        return all(is_print(n, variables) or does_nothing(n) for n in inside)
    if isinstance(node, ast.Expr):
        return not (does_nothing(node) or _changed(node) | _by_method(node) & variables)
    return isinstance(node, ast.Assert)


def does_nothing(node: ast.stmt) -> bool:
    """Whether there is nothing to run; `return` is run by the function's call."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Return | ast.Pass)


def _changed(node: ast.stmt) -> set[str]:
    """What a statement changes in place, though to Python it reads it: dC of dC[i] = x
    and dC.flat[i] = x, of np.add.at(dC, ...) and of np.add(a, b, out=dC)."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Subscript | ast.Attribute):
            if not isinstance(inner.ctx, ast.Load):
                found |= _root(inner)
        elif isinstance(inner, ast.Call):
            if getattr(inner.func, "attr", "") == "at":
                found |= {name for first in inner.args[:1] for name in _root(first)}
            for keyword in inner.keywords:
                found |= _root(keyword.value) if keyword.arg == "out" else set()
    return found


def _looped(node: ast.stmt) -> set[str]:
    """The variables of its loops: what they read, they have set themselves."""
    loops = (n for n in ast.walk(node) if isinstance(n, ast.For | ast.comprehension))
    return {n.id for k in loops for n in ast.walk(k.target) if isinstance(n, ast.Name)}


def _by_method(node: ast.stmt) -> set[str]:
    """The names whose method is called as a statement: its result is not looked at."""
    statements = (n.value for n in ast.walk(node) if isinstance(n, ast.Expr))
    methods = (s.func for s in statements if isinstance(s, ast.Call))
    return {n for m in methods if isinstance(m, ast.Attribute) for n in _root(m)}


def _root(place: ast.expr) -> set[str]:
    """The name that attributes and subscripts are taken of: g of g["a"].x[0]."""
    while isinstance(place, ast.Subscript | ast.Attribute):
        place = place.value
    return {place.id} if isinstance(place, ast.Name) else set()

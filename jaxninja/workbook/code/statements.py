"""One statement of a learner's function: the names it reads, and those it changes."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

COMPOUND = ast.For | ast.While | ast.If | ast.With
COMPREHENSION = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
SHAPES = {"shape", "dtype", "ndim", "size"}  # of an array, none of its values


@dataclass(frozen=True)
class Statement:
    """One statement of the function's body, and what it does to names.

    Attributes:
        node: of the syntax tree.
        reads: before it binds them itself.
        values: of these, whose values it reads: `x.shape` and `jnp.ones_like(x)` read
            none of x.
        late: what the functions in it read, when they are called.
        assigns: binds or changes.
        binds: whatever happens, so that what was there before is gone.
    """

    node: ast.stmt
    reads: frozenset[str]
    values: frozenset[str]
    late: frozenset[str]
    assigns: frozenset[str]
    binds: frozenset[str]

    @property
    def line(self) -> int:
        return self.node.lineno

    def is_above(self, other: "Statement") -> bool:
        """Of two in one line, whether it is the first."""
        mine, others = self.node, other.node
        return (mine.lineno, mine.col_offset) < (others.lineno, others.col_offset)

    def is_fresh(self, name: str) -> bool:
        """Whether it makes a name without what that was before."""
        return name in self.binds and name not in self.reads


def statement(node: ast.stmt, variables: frozenset[str] = frozenset()) -> Statement:
    """Read a statement.

    Args:
        node: of the syntax tree.
        variables: whose methods may change them, as `rows.append(x)` does; np.sum is a
            function of a module.
    """
    all_of_it, values = _flow(node), _flow(node, shapes=False)
    functions = (n for n in ast.walk(node) if isinstance(n, ast.FunctionDef))
    lambdas = (n for n in ast.walk(node) if isinstance(n, ast.Lambda))
    late = {name for f in functions for name in _free(f.args, f.body)}
    late |= {name for f in lambdas for name in _free(f.args, [ast.Expr(f.body)])}
    assigned = _bound(node)
    if not isinstance(node, ast.FunctionDef):
        assigned |= _changed(node) | (_by_method(node) & variables)
    binds = all_of_it.binds
    sets = map(frozenset, (all_of_it.reads, values.reads, late, assigned, binds))
    return Statement(node, *sets)


class Flow(NamedTuple):
    """The names that lines read before they bind them, and bind whatever happens."""

    reads: set[str]
    binds: set[str]


def _flow(node: ast.stmt, shapes: bool = True) -> Flow:
    """Of one statement; without `shapes` the names whose values are read."""
    loaded = partial(_loaded, shapes=shapes)
    match node:
        case ast.If():
            branches = [_flows(b, shapes) for b in (node.body, node.orelse)]
            reads = loaded(node.test).union(*(b.reads for b in branches))
            return Flow(reads, branches[0].binds & branches[1].binds)
        case ast.For():
            inside = _flows([*node.body, *node.orelse], shapes).reads
            return Flow(loaded(node.iter) | inside - _bound(node.target), set())
        case ast.While():
            inside = _flows([*node.body, *node.orelse], shapes).reads
            return Flow(loaded(node.test) | inside, set())
        case ast.With():
            inside = _flows(node.body, shapes)
            items = [loaded(item) for item in node.items]
            bound = set().union(*(_bound(item) for item in node.items))
            return Flow(set().union(*items, inside.reads - bound), inside.binds | bound)
        case ast.FunctionDef():
            around = (*node.decorator_list, node.args)
            return Flow(set().union(*map(loaded, around)), {node.name})
        case ast.AugAssign(target=ast.Name(id=name)):
            return Flow(loaded(node.value) | {name}, {name})
        case ast.Try() | ast.Match():
            return Flow(loaded(node), set())
    return Flow(loaded(node), _bound(node))


def _flows(body: Sequence[ast.stmt], shapes: bool = True) -> Flow:
    reads, binds = set[str](), set[str]()
    for node in body:
        one = _flow(node, shapes)
        reads |= one.reads - binds
        binds |= one.binds
    return Flow(reads, binds)


def _loaded(node: ast.AST, shapes: bool = True) -> set[str]:
    """The names that an expression reads; those of its own loops and lambdas aside."""
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Load) else set()
    children = [*ast.iter_child_nodes(node)]
    if not shapes:
        children = [c for c in children if not _of_shape(node, c)]
    found = set().union(*(_loaded(child, shapes) for child in children))
    if isinstance(node, COMPREHENSION):
        return found - {n for g in node.generators for n in _bound(g.target)}
    if isinstance(node, ast.Lambda):
        return found - _parameters(node.args)
    return found


def _of_shape(node: ast.AST, child: ast.AST) -> bool:
    """Whether of a name, `child`, no more than its shape or type is read."""
    if not isinstance(child, ast.Name):
        return False
    if isinstance(node, ast.Call) and child in node.args[:1]:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return called.endswith("_like") or called in ("shape", "len")
    return isinstance(node, ast.Attribute) and node.attr in SHAPES


def _free(args: ast.arguments, body: Sequence[ast.stmt]) -> set[str]:
    """What a function reads from outside when it is called."""
    own = set().union(*map(_bound, body)) | _parameters(args)
    return _flows(body).reads - own


def _parameters(args: ast.arguments) -> set[str]:
    return {n.arg for n in ast.walk(args) if isinstance(n, ast.arg)}


def _bound(node: ast.AST) -> set[str]:
    """The names that it binds somewhere; a function's own are its."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.split(".")[0] for a in node.names}
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, COMPREHENSION | ast.Lambda):
        return set()
    return set().union(*map(_bound, ast.iter_child_nodes(node)))


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

"""What the names of a notebook stand for: modules, sizes, arrays called otherwise."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

from jaxninja.workbook.pytorch.ranks import is_range
from jaxninja.workbook.solutions.lecture import NETWORK

KNOWN = {"Xb", "Yb", "n", *NETWORK.node}
SIZES = {  # how the lecture calls them
    "batch_size": "n",
    "n_embd": "C.shape[1]",
    "block_size": "Xb.shape[1]",
    "vocab_size": "C.shape[0]",
    "n_hidden": "W1.shape[1]",
}
AXES = {"C": "V E", "W1": "TE H", "W2": "H V", "b1": "H", "b2": "V"}
OF_AXIS = {"V": "C.shape[0]", "E": "C.shape[1]", "H": "W1.shape[1]", "T": "Xb.shape[1]"}
MAKERS = {"randn", "rand", "zeros", "ones", "empty", "normal"}
GRADIENTS = ("d{}", "d_{}", "grad_{}", "{}_grad", "g_{}")
# what a formula's outermost operation may be written as
SAME = {"mean": "sum", "square": "Pow", "pow": "Pow", "Div": "Mult", "view": "reshape"}
SAME |= {"reciprocal": "Pow", "mul": "Mult", "flatten": "reshape", "amax": "max"}


def modules(nodes: Sequence[ast.stmt]) -> dict[str, str]:
    """Names of modules and of what is imported from them: F, torch.nn.functional."""
    found = {}
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Import):
                for a in part.names:
                    found[a.asname or a.name.split(".")[0]] = (
                        a.name if a.asname else a.name.split(".")[0]
                    )
            elif isinstance(part, ast.ImportFrom) and part.module:
                for a in part.names:
                    found[a.asname or a.name] = f"{part.module}.{a.name}"
    return found


def renamed(nodes: Sequence[ast.stmt]) -> dict[str, ast.expr]:
    """The notebook's own names, and what each is in the workbook."""
    assigned = {name for node in nodes for name in stored(node)}
    found = dict(SIZES)
    for name, size in _sizes(nodes):
        if name not in KNOWN:
            found.setdefault(name, size)  # C comes first, and tells E from T in W1
    found |= dict(_labels(nodes, assigned))
    arrays = _arrays(nodes, assigned, found)
    found |= arrays | dict(_gradients(arrays, assigned))
    return {k: ast.parse(v, mode="eval").body for k, v in found.items()}


def stored(node: ast.AST) -> set[str]:
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}


def _sizes(nodes: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    """By the shapes that the parameters are made in, and the batch is drawn in."""
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id="n")], value=ast.Name(id=other)):
                yield other, "n"
            case ast.Assign(targets=[ast.Name(id=name)]) if name in AXES:
                yield from _axes(node.value, AXES[name].split())
        for call in _calls(node, {"randint"}):
            for size in (*call.args, *(k.value for k in call.keywords)):
                if isinstance(size, ast.Tuple | ast.List) and len(size.elts) == 1:
                    yield from _named(size.elts[0], "n")


def _axes(value: ast.expr, axes: list[str]) -> Iterator[tuple[str, str]]:
    for call in list(_calls(value, MAKERS))[:1]:
        first = call.args[0] if call.args else ast.Tuple([], ast.Load())
        sizes = first.elts if isinstance(first, ast.Tuple | ast.List) else call.args
        for size, axis in zip(sizes, axes, strict=False):
            if axis in OF_AXIS:
                yield from _named(size, OF_AXIS[axis])
            elif isinstance(size, ast.BinOp):  # context times embedding
                for part in (size.left, size.right):
                    if getattr(part, "id", "") not in SIZES:
                        yield from _named(part, OF_AXIS["T"])


def _calls(node: ast.AST, names: set[str]) -> Iterator[ast.Call]:
    for part in ast.walk(node):
        if isinstance(part, ast.Call) and getattr(part.func, "attr", "") in names:
            yield part


def _named(node: ast.expr, size: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Name):
        yield node.id, size


def _labels(nodes: Sequence[ast.stmt], assigned: set[str]) -> Iterator[tuple[str, str]]:
    """What is read first as C[Xb] and as x[range(n), Yb], if it is called otherwise."""
    missing = {"Xb", "Yb"} - assigned
    for node in nodes:
        for part in ast.walk(node):
            match part:
                case ast.Subscript(value=ast.Name(id="C"), slice=ast.Name(id=name)):
                    new = "Xb"
                case ast.Subscript(slice=ast.Tuple(elts=[rows, ast.Name(id=name)])) if (
                    is_range(rows)
                ):
                    new = "Yb"
                case _:
                    continue
            if new in missing and name in assigned - KNOWN:
                missing.discard(new)
                yield name, new


def _arrays(
    nodes: Sequence[ast.stmt], assigned: set[str], others: Mapping[str, str]
) -> dict[str, str]:
    """Arrays of the forward pass under other names, by what they are made of and how.

    No two steps are made of the same arrays, so that this tells which step it is, where
    the notebook has the forward pass: what a step is made of is made there too.
    """
    made = assigned | {n.name for n in NETWORK.nodes if not n.formula}
    free = {n.name: n for n in NETWORK.nodes if n.formula and n.name not in assigned}
    found: dict[str, str] = {}
    for node in _forward(nodes):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case _:
                continue
        if name in {*KNOWN, *found, *others}:
            continue
        parents = {found.get(k, k) for k in _read(node.value)} & {*NETWORK.node}
        for step in [*free.values()]:
            same = parents == {*NETWORK.parents(step.name)} and parents <= made
            if same and _operation(node.value) & _operation(step.formula):
                found[name] = free.pop(step.name).name
                made.add(step.name)
                break
    return found


def _forward(nodes: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements above the first that makes a gradient."""
    gradients = {form.format(name) for name in NETWORK.node for form in GRADIENTS}
    return takewhile(lambda node: not stored(node) & gradients, nodes)


def _read(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _operation(formula: ast.expr | str) -> set[str]:
    """The calls of a formula; without one its operators, or that it is indexed."""
    tree = ast.parse(formula) if isinstance(formula, str) else formula
    parts = [*ast.walk(tree)]
    calls = [getattr(p.func, "attr", "") for p in parts if isinstance(p, ast.Call)]
    operators = [type(p.op).__name__ for p in parts if isinstance(p, ast.BinOp)]
    indexed = ["index"] if any(isinstance(p, ast.Subscript) for p in parts) else []
    names = calls or operators[:1] or indexed
    return {SAME.get(name, name) for name in names}


def _gradients(
    arrays: Mapping[str, str], assigned: set[str]
) -> Iterator[tuple[str, str]]:
    """dx of an array x that is called otherwise, and the other ways to call it."""
    for own, name in {**arrays, **{n: n for n in NETWORK.node}}.items():
        if f"d{name}" in assigned:
            continue
        for form in GRADIENTS:
            if (called := form.format(own)) in assigned and called != f"d{name}":
                yield called, f"d{name}"


def is_blank(value: ast.expr) -> bool:
    """None or ..., as the notebook comes with for what is to be done."""
    return isinstance(value, ast.Constant) and value.value in (None, ...)

"""A learner's `backward`, read as text: which lines make which gradient.

The lines of a function are cut into one piece for each gradient, d<name>. A piece is
all the statements that assign it, second branches (`+=`) included, and those that it
leans on. So each gradient can be computed by itself, from true gradients or from the
learner's own, in the lecture's own style: one straight list of assignments.
"""

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

FUNCTION = "backward"


class SourceError(Exception):
    """What is wrong with a learner's file, in a sentence; `line` is where."""

    def __init__(self, sentence: str, line: int | None = None):
        super().__init__(sentence)
        self.sentence, self.line = sentence, line


@dataclass(frozen=True)
class Statement:
    """One statement of the function's body, and the names it reads and assigns."""

    node: ast.stmt
    reads: frozenset[str]
    assigns: frozenset[str]

    @property
    def line(self) -> int:
        return self.node.lineno


@dataclass(frozen=True)
class Source:
    """A learner's function.

    Attributes:
        text, filename: of the file.
        tree: of the file.
        function: its `backward`.
        statements: of its body, in order.
    """

    text: str
    filename: str
    tree: ast.Module
    function: ast.FunctionDef
    statements: tuple[Statement, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        a = self.function.args
        return tuple(p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))

    def assigning(self, variable: str) -> list[Statement]:
        return [s for s in self.statements if variable in s.assigns]

    def is_gap(self, variable: str) -> bool:
        """Whether a gradient is still None or ..., as the exercise came."""
        nodes = [s.node for s in self.assigning(variable)]
        return bool(nodes) and all(_is_blank(node) for node in nodes)

    @property
    def only_returns(self) -> bool:
        """Whether nothing is left to run but a `return` at the end, once the pieces
        have: no print, no assert."""
        *before, last = self.function.body
        idle = [n for n in before if _is_idle(n) and not _is_text(n)]
        return isinstance(last, ast.Return) and bool(last.value) and not idle

    def piece(self, variable: str, gradients: Sequence[str]) -> list[Statement]:
        """The statements that make one gradient, in order.

        Names that are no gradients are the learner's own helpers: whatever assigns one
        that is needed belongs to the piece.
        """
        wanted, chosen = {variable}, set()
        while True:
            new = {
                k
                for k, s in enumerate(self.statements)
                if s.assigns & wanted and k not in chosen
            }
            if not new:
                return [self.statements[k] for k in sorted(chosen)]
            chosen |= new
            read = {name for k in new for name in self.statements[k].reads}
            wanted |= read - set(gradients)


def read(text: str, filename: str) -> Source:
    """Parse a learner's file.

    Raises:
        SourceError: it is not Python, or has no function `backward`.
    """
    try:
        tree = ast.parse(text, filename)
    except SyntaxError as error:
        what = f"this is not Python yet: {error.msg}"
        raise SourceError(what, error.lineno) from None
    except ValueError as error:  # null bytes
        raise SourceError(f"this is not Python: {error}") from None
    defined = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    functions = [n for n in defined if n.name == FUNCTION]
    if not functions:
        names = ", ".join(n.name for n in defined) or "none"
        raise SourceError(
            f"no function {FUNCTION!r} (functions in it: {names}); keep its name"
        )
    function = functions[-1]
    body = [_statement(node) for node in function.body if not _is_idle(node)]
    return Source(text, filename, tree, function, tuple(body))


def out_of_order(source: Source, gradients: Sequence[str]) -> dict[int, str]:
    """Lines that read a gradient before it is complete, and what is wrong with each.

    A piece by itself would not show it: it is handed complete gradients. But the
    function runs from top to bottom.
    """
    found = {}
    for k, statement in enumerate(source.statements):
        for variable in sorted(statement.reads & set(gradients) - statement.assigns):
            lines = [s.line for s in source.assigning(variable)]
            later = [s for s in source.statements[k + 1 :] if variable in s.assigns]
            if lines and later:
                found[statement.line] = _order(variable, statement.line, lines)
    return found


def _order(variable: str, line: int, lines: list[int]) -> str:
    if lines[0] > line:
        return (
            f"this line reads {variable}, which is made in line {lines[0]} only: go "
            "backwards, from the loss to the embedding"
        )
    return (
        f"this line reads {variable}, and line {lines[-1]} adds to it after that: one "
        "branch of it was used, not both. Complete a gradient before you use it"
    )


def check_parameters(source: Source, known: Sequence[str]) -> None:
    """Whether every parameter is an array that the check can pass.

    Raises:
        SourceError: it takes *args or **kwargs, or a name that is no such array.
    """
    a = source.function.args
    if a.vararg or a.kwarg or a.defaults or any(a.kw_defaults):
        raise SourceError(
            f"{FUNCTION} takes *, ** or a default: list the arrays by their names",
            source.function.lineno,
        )
    for name in source.parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SourceError(
                f"{FUNCTION} asks for {name!r}, which the forward pass does not have"
                f"{hint}",
                source.function.lineno,
            )


def _statement(node: ast.stmt) -> Statement:
    if not isinstance(node, ast.FunctionDef):
        _refuse_return(node)
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    loaded = {n.id for n in names if isinstance(n.ctx, ast.Load)}
    stored = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    if isinstance(node, ast.FunctionDef):
        stored = {node.name}
    elif isinstance(node, ast.Import | ast.ImportFrom):
        stored = {a.asname or a.name.split(".")[0] for a in node.names}
    stored |= set(_subscripted(node))
    return Statement(node, frozenset(loaded), frozenset(stored))


def _refuse_return(node: ast.stmt) -> None:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Return | ast.Yield | ast.Global | ast.Nonlocal):
            word = type(inner).__name__.lower()
            raise SourceError(
                f"{word} inside of another statement: write the gradients one after "
                "the other, and return them at the end",
                getattr(inner, "lineno", node.lineno),
            )


def _subscripted(node: ast.stmt) -> Iterator[str]:
    """dC[i] += ... and np.add.at(dC, ...) change dC, though to Python they read it."""
    for inner in ast.walk(node):
        if _is_at(inner) and isinstance(inner.args[0], ast.Name):
            yield inner.args[0].id
        is_stored = isinstance(inner, ast.Subscript) and isinstance(
            inner.ctx, ast.Store
        )
        if is_stored and isinstance(inner.value, ast.Name):  # type: ignore[union-attr]
            yield inner.value.id  # type: ignore[union-attr]


def _is_idle(node: ast.stmt) -> bool:
    """Docstrings, prints and asserts make no gradient; `return` is run by the call."""
    if isinstance(node, ast.Expr) and _is_at(node.value):
        return False
    return isinstance(node, ast.Expr | ast.Return | ast.Pass | ast.Assert)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_at(node: ast.AST) -> TypeGuard[ast.Call]:
    """np.add.at(array, ...) and its like, which work in place."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return called and node.func.attr == "at" and bool(node.args)  # type: ignore


def _is_blank(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and value.value in (None, ...)

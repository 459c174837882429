"""A learner's `backward`, read as text: which lines make which gradient.

The lines of a function are cut into one piece for each gradient, d<name>. A piece is
all the statements that assign it, second branches (`+=`) included, and those that it
leans on. So each gradient can be computed by itself, from true gradients or from the
learner's own, in the lecture's own style: one straight list of assignments.
"""

import ast
import builtins
import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def environment(source: Source) -> dict[str, Any]:
    """The module's names: its imports and functions, as running the file makes them."""
    scope: dict[str, Any] = {"__name__": "exercise", "__builtins__": builtins}
    scope |= {"jax": jax, "jnp": jnp, "np": np}
    exec(compile(source.tree, source.filename, "exec"), scope)
    return scope


def step(
    source: Source, scope: dict[str, Any], variable: str, gradients: Sequence[str]
) -> Callable[[dict, dict], Any]:
    """`f(values, grads) -> gradient`: the piece of one gradient as a function.

    `values` and `grads` are by the lecture's names; the function's parameters and
    d<name> are what the learner's lines see of them. The piece is compiled by JAX, once
    for as long as its text stays as it is; what cannot be compiled (a loop over numbers
    taken from an array, say) is run line by line.
    """
    body: list[ast.stmt] = [s.node for s in source.piece(variable, gradients)]
    code = compile(ast.Module(body, []), source.filename, "exec")
    used = {name for s in source.piece(variable, gradients) for name in s.reads}

    def run(arrays: dict, numbers: dict) -> Any:
        space = {**scope, **numbers, **arrays}
        exec(code, space)
        return space[variable]

    key = (_outside(source), *map(ast.dump, body))
    return _fast(key, source, used, run, _has_loop(body))


def whole(source: Source, scope: dict[str, Any]) -> Callable[[dict, dict], Any]:
    """`f(values, grads)`: a call of the function itself."""

    def run(arrays: dict, numbers: dict) -> Any:
        return scope[FUNCTION](**arrays, **numbers)

    used, loops = set(source.parameters), _has_loop(source.function.body)
    return _fast((ast.dump(source.tree),), source, used, run, loops)


def _has_loop(body: Sequence[ast.stmt]) -> bool:
    """A loop is unrolled by the compiler, which takes far longer than running it."""
    return any(isinstance(n, ast.For | ast.While) for s in body for n in ast.walk(s))


def _fast(
    key: tuple, source: Source, used: Collection[str], run: Callable, loops: bool
):
    """`run` on what it uses, compiled if that pays: as a function of two dicts."""

    def call(values: dict, grads: dict) -> Any:
        given = {p: values[p] for p in source.parameters if p in values and p in used}
        given |= {f"d{k}": g for k, g in grads.items() if f"d{k}" in used}
        numbers = {k: v for k, v in given.items() if isinstance(v, int)}
        arrays = {k: v for k, v in given.items() if k not in numbers}
        if loops:
            return run(arrays, numbers)
        compiled = _compiled((source.parameters, *key, *numbers.items()), run)
        try:
            return compiled(arrays, numbers)
        except Exception:  # not traceable, or wrong: line by line it will say what
            return run(arrays, numbers)

    return call


_CACHE: dict[tuple, Callable] = {}
_MOST = 1_000  # pieces; a day of edits


def _compiled(key: tuple, run: Callable) -> Callable:
    if len(_CACHE) > _MOST:
        _CACHE.clear()
    if key not in _CACHE:

        def piece(arrays, numbers):
            return run(arrays, dict(numbers))

        compiled = jax.jit(piece, static_argnums=1)
        _CACHE[key] = lambda arrays, numbers: compiled(arrays, tuple(numbers.items()))
    return _CACHE[key]


def _outside(source: Source) -> str:
    """The file without the function: what the function may lean on."""
    return "".join(ast.dump(n) for n in source.tree.body if n is not source.function)


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
    """dC[i] += ... changes dC, though to Python it only reads it."""
    for inner in ast.walk(node):
        is_stored = isinstance(inner, ast.Subscript) and isinstance(
            inner.ctx, ast.Store
        )
        if is_stored and isinstance(inner.value, ast.Name):  # type: ignore[union-attr]
            yield inner.value.id  # type: ignore[union-attr]


def _is_idle(node: ast.stmt) -> bool:
    """Docstrings, prints and asserts make no gradient; `return` is run by the call."""
    return isinstance(node, ast.Expr | ast.Return | ast.Pass | ast.Assert)


def _is_blank(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, ast.Constant) and value.value in (None, ...)

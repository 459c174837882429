"""A learner's lines as functions: one for each gradient, which NumPy runs."""

import ast
import io
import linecache
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxninja.models.by_hand import user_file
from jaxninja.models.by_hand.by_machine import not_by_hand
from jaxninja.workbook.code import refused_names
from jaxninja.workbook.code.parse import FUNCTION, Source
from jaxninja.workbook.code.statements import Statement, statement
from jaxninja.workbook.code.tracing import Traced, traced
from jaxninja.workbook.texts.languages import current


def environment(source: Source) -> dict[str, Any]:
    """The module's names: its imports and functions, as running the file makes them."""
    scope = user_file.scope("exercise")
    exec(compile(source.tree, source.filename, "exec"), scope)
    return scope


def make_quotable(source: Source) -> None:
    """Let its lines be quoted: Python, and the checker, look them up by its name."""
    lines = source.text.removeprefix("\ufeff").splitlines(keepends=True)
    linecache.cache[source.filename] = (len(source.text), None, lines, source.filename)


def step(
    source: Source, scope: dict[str, Any], variable: str, gradients: Sequence[str]
) -> "Piece":
    """`f(values, grads) -> gradient`: the piece of one gradient as a function.

    `values` and `grads` are by the lecture's names; the function's parameters and
    d<name> are what the learner's lines see of them. The piece is traced by JAX, once
    for as long as its text stays as it is; what cannot be traced (a loop over numbers
    taken from an array, say) is run line by line.
    """
    body, used, code = _compiled(source, source.piece(variable, gradients))

    def run(arrays: dict, numbers: dict) -> Any:
        space = {**scope, **numbers, **arrays}
        exec(code, space)
        return space[variable]

    key = (variable, _outside(source), *map(ast.dump, body))
    return Piece(source, used, run, key)


def of_print(
    source: Source, scope: dict[str, Any], one: Statement, gradients: Sequence[str]
) -> "Piece":
    """A print or an assert as such a function, of which only `aloud` makes sense."""
    _, used, code = _compiled(source, source.leading_to(one, gradients))

    def run(arrays: dict, numbers: dict) -> None:
        exec(code, {**scope, **numbers, **arrays})

    return Piece(source, used, run, ())


def _compiled(source: Source, statements: Sequence[Statement]):
    """The statements' nodes, the names that they read, their code."""
    body: list[ast.stmt] = [s.node for s in statements]
    used = frozenset(name for s in statements for name in s.reads | s.late)
    return body, used, compile(ast.Module(body, []), source.filename, "exec")


def whole(source: Source, scope: dict[str, Any]) -> "Piece":
    """`f(values, grads)`: a call of the function itself, which runs only once."""

    def run(arrays: dict, numbers: dict) -> Any:
        return scope[FUNCTION](**arrays, **numbers)

    return Piece(source, frozenset(source.parameters), run, (source.text,))


def returned(source: Source, scope: dict[str, Any], known: Mapping) -> Any:
    """What `return` gives where all variables are known.

    Raises:
        NameError: it asks for one that is not.
    """
    last = source.function.body[-1]
    assert isinstance(last, ast.Return)
    assert last.value is not None
    code = compile(ast.Expression(last.value), source.filename, "eval")
    arrays = {k: v for k, v in known.items() if hasattr(v, "dtype")}
    return eval(code, {**scope, **known, **_touched(arrays)})


def _outside(source: Source) -> str:
    """The file without the function: what the function may lean on."""
    return "".join(ast.dump(n) for n in source.tree.body if n is not source.function)


@dataclass(frozen=True)
class Piece:
    """Lines of a learner as a function of two dicts.

    JAX traces them and NumPy runs what it traced; what cannot be traced is run line by
    line, as a learner would.

    Attributes:
        source: what the lines are of.
        used: the names that they read.
        run: the lines, on what they use: arrays, and numbers that are static.
        key: what tells two texts of them apart.
    """

    source: Source
    used: frozenset[str]
    run: Callable[[dict, dict], Any]
    key: tuple

    def __call__(self, values: Mapping, grads: Mapping) -> Any:
        with silence():  # it runs many times, as tracers too
            return self._run(values, grads)

    def aloud(self, values: Mapping, grads: Mapping) -> None:
        """Run the lines once as they stand, for what they print."""
        arrays, numbers = self._given(values, grads)
        self.run(_touched(arrays), numbers)

    def _run(self, values: Mapping, grads: Mapping) -> Any:
        arrays, numbers = self._given(values, grads)
        try:
            if any(isinstance(a, Tracer) for a in arrays.values()):
                return self.run(arrays, numbers)
            return self._traced(arrays, numbers)(arrays)
        except Exception:  # not traceable, or wrong: line by line it will say what
            return self.run(_touched(arrays), numbers)

    def untraceable(self, values: Mapping, grads: Mapping) -> Exception | None:
        """What the lines raise where JAX traces them."""
        arrays, numbers = self._given(values, grads)
        try:
            self._traced(arrays, numbers)
        except Exception as error:
            return error
        return None

    def is_quick(self, values: Mapping, grads: Mapping) -> bool:
        """Whether NumPy can run them as JAX traced them."""
        arrays, numbers = self._given(values, grads)
        with suppress(Exception):  # not traceable, or thousands of steps
            return bool(self._traced(arrays, numbers).program)
        return False

    def not_by_hand(self, values: Mapping, grads: Mapping) -> str | None:
        """What in these lines is not by hand, as autodiff is; None if all of it is."""
        arrays, numbers = self._given(values, grads)

        def found():
            try:
                what = not_by_hand(self._traced(arrays, numbers).closed)
                written = what and refused_names.written(self.source.tree)
                return what and (written or refused_names.found(what))
            except Exception:  # NumPy does not trace: what is written has to do
                return refused_names.written(self.source.tree)

        return self._once("by hand", numbers, (current(),), found)

    def _given(self, values: Mapping, grads: Mapping) -> tuple[dict, dict]:
        """Of what there is, what the lines see and use: arrays, and numbers."""
        parameters = self.used.intersection(self.source.parameters, values)
        given = {p: values[p] for p in sorted(parameters)}
        given |= {f"d{k}": g for k, g in grads.items() if f"d{k}" in self.used}
        numbers = {k: v for k, v in given.items() if isinstance(v, int)}
        return {k: v for k, v in given.items() if k not in numbers}, numbers

    def _traced(self, arrays: dict, numbers: dict) -> Traced:
        kinds = tuple((k, np.shape(a), str(a.dtype)) for k, a in arrays.items())

        def made():
            with silence():
                return traced(lambda arrays: self.run(arrays, numbers), arrays)

        return self._once("trace", numbers, kinds, made)

    def _once(self, what: str, numbers: dict, kinds: tuple, make: Callable) -> Any:
        """Made once for a text of these lines, however often it is checked."""
        if len(_CACHE) > _MOST:
            _CACHE.clear()
        key = (what, self.source.parameters, self.key, *numbers.items(), *kinds)
        if key not in _CACHE:
            _CACHE[key] = make()
        return _CACHE[key]


def printing(tree: ast.Module) -> frozenset[str]:
    """The functions that print, among those that a file defines and `print` itself."""
    found, functions = {"print"}, [n for n in ast.walk(tree) if _is_helper(n)]
    for _ in functions:
        found |= {f.name for f in functions if found & statement(f).late}
    return frozenset(found)


def _is_helper(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name != FUNCTION


def silence() -> redirect_stdout:
    return redirect_stdout(io.StringIO())


class Labels(np.ndarray):
    """Whole numbers in NumPy: a loop reads them one by one, which JAX is slow at."""

    @property
    def at(self):
        return jnp.asarray(np.asarray(self)).at


def _touched(arrays: dict) -> dict:
    """Arrays that behave as jnp's, wherever the check had them computed."""
    return {k: _as_jax(a) for k, a in arrays.items()}


def _as_jax(array: Any) -> Any:
    if isinstance(array, Tracer):
        return array
    if jnp.issubdtype(array.dtype, jnp.integer):
        return np.asarray(array).view(Labels)
    return jax.device_put(array)


_CACHE: dict[tuple, Any] = {}
_MOST = 5_000  # a day of edits

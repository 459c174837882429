"""A learner's lines as functions: one for each gradient, compiled where that pays."""

import ast
import builtins
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.models import learner
from jaxninja.workbook import byhand
from jaxninja.workbook.source import FUNCTION, Source


def environment(source: Source) -> dict[str, Any]:
    """The module's names: its imports and functions, as running the file makes them."""
    scope: dict[str, Any] = {"__name__": "exercise", "__builtins__": builtins}
    scope |= {"jax": jax, "jnp": jnp, "np": np}
    exec(compile(source.tree, source.filename, "exec"), scope)
    return scope


def step(
    source: Source, scope: dict[str, Any], variable: str, gradients: Sequence[str]
) -> "Piece":
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
    return Piece(source, frozenset(used), run, _has_loop(body), key)


def whole(source: Source, scope: dict[str, Any]) -> "Piece":
    """`f(values, grads)`: a call of the function itself."""

    def run(arrays: dict, numbers: dict) -> Any:
        return scope[FUNCTION](**arrays, **numbers)

    loops, key = _has_loop(source.function.body), (ast.dump(source.tree),)
    return Piece(source, frozenset(source.parameters), run, loops, key)


def _has_loop(body: Sequence[ast.stmt]) -> bool:
    """A loop is unrolled by the compiler, which takes far longer than running it."""
    return any(isinstance(n, ast.For | ast.While) for s in body for n in ast.walk(s))


@dataclass(frozen=True)
class Piece:
    """Lines of a learner as a function of two dicts, compiled if that pays.

    Attributes:
        source: what the lines are of.
        used: the names that they read.
        run: the lines, on what they use: arrays, and numbers that are static.
        loops: whether there is a loop among them.
        key: what tells two texts of them apart.
    """

    source: Source
    used: frozenset[str]
    run: Callable[[dict, dict], Any]
    loops: bool
    key: tuple

    def __call__(self, values: Mapping, grads: Mapping) -> Any:
        arrays, numbers = self._given(values, grads)
        if self.loops:
            return self.run(arrays, numbers)
        try:
            return self._compiled(numbers)(arrays)
        except Exception:  # not traceable, or wrong: line by line it will say what
            return self.run(arrays, numbers)

    def not_by_hand(self, values: Mapping, grads: Mapping) -> str | None:
        """What in these lines is not by hand, as autodiff is; None if all of it is."""
        arrays, numbers = self._given(values, grads)
        key = ("by hand", self.source.parameters, *self.key)
        if key not in _CACHE:
            try:
                traced = self._compiled(numbers).trace(arrays)
                found = learner.not_by_hand(traced.jaxpr)
                _CACHE[key] = found and (byhand.written(self.source.tree) or found)
            except Exception:  # NumPy does not trace: what is written has to do
                _CACHE[key] = byhand.written(self.source.tree)
        return _CACHE[key]

    def _given(self, values: Mapping, grads: Mapping) -> tuple[dict, dict]:
        """Of what there is, what the lines see and use: arrays, and numbers."""
        parameters = self.used.intersection(self.source.parameters, values)
        given = {p: values[p] for p in sorted(parameters)}
        given |= {f"d{k}": g for k, g in grads.items() if f"d{k}" in self.used}
        numbers = {k: v for k, v in given.items() if isinstance(v, int)}
        return {k: v for k, v in given.items() if k not in numbers}, numbers

    def _compiled(self, numbers: dict) -> Any:
        """A jitted function of the arrays, the same as long as the text is."""
        if len(_CACHE) > _MOST:
            _CACHE.clear()
        key = (self.source.parameters, *self.key, *numbers.items())
        if key not in _CACHE:

            def piece(arrays):
                return self.run(arrays, numbers)

            _CACHE[key] = jax.jit(piece)
        return _CACHE[key]


_CACHE: dict[tuple, Any] = {}
_MOST = 2_000  # pieces; a day of edits


def _outside(source: Source) -> str:
    """The file without the function: what the function may lean on."""
    return "".join(ast.dump(n) for n in source.tree.body if n is not source.function)

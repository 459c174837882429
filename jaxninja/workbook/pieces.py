"""A learner's lines as functions: one for each gradient, compiled where that pays."""

import ast
import builtins
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.workbook.source import FUNCTION, Source


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

"""Where a step of a traced function stands in the user's file, and its text there.

A traceback of JAX's holds the place of every frame down to the columns, so a step can
be quoted: `norm.py:31: (g * xhat).mean(-1)`.
"""

import ast
import linecache
import os
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np

from jaxninja.check.hints import Place
from jaxninja.jaxpr import equations, opened

LONGEST = 60  # characters of a quotation


def place(traceback, home: str = "") -> Place | None:
    """The innermost frame in the file `home`, else in a file that is no library's."""
    frames = _users(traceback)
    found = next((f for f in frames if f[0].co_filename == home), None)
    if found is None:
        found = next((f for f in frames if not _library(f[0].co_filename)), None)
    return None if found is None else _place(*found)


def calls(traceback) -> tuple[Place, ...]:
    """The places of the calls that led to a step, innermost first; no library's."""
    frames = _users(traceback)
    return tuple(_place(*f) for f in frames if not _library(f[0].co_filename))


def places(closed) -> frozenset[Place]:
    """The places of all steps of a jaxpr, and of the calls that lead to them."""
    traces = (eqn.source_info.traceback for eqn in equations(closed.jaxpr))
    return frozenset(found for trace in traces for found in calls(trace))


def _users(traceback) -> list[tuple[Any, int]]:
    frames = list(_frames(traceback))
    ours = (k for k, f in enumerate(frames) if f[0].co_filename.startswith(_HERE))
    return frames[: next(ours, None)]  # beyond it is whoever called the checker


@lru_cache(maxsize=4096)
def _place(code, last) -> Place:
    positions = list(code.co_positions())
    top, bottom, left, right = positions[last // 2]
    file = code.co_filename
    if top is None:
        return Place(file, code.co_firstlineno, "")
    return Place(file, top, _quote(file, top, bottom, left, right))


def _quote(file, top, bottom, left, right) -> str:
    if None in (bottom, left, right):
        return ""
    lines = [linecache.getline(file, n).encode() for n in range(top, bottom + 1)]
    if len(lines) == 1:
        text = lines[0][left:right].decode()
    else:
        parts = [lines[0][left:], *lines[1:-1], lines[-1][:right]]
        text = " ".join(p.decode().strip() for p in parts)
    return text if len(text) <= LONGEST else ""


def _frames(traceback) -> Iterator[tuple[Any, int]]:
    """(code, last instruction) of each frame, innermost first."""
    if not hasattr(traceback, "raw_frames"):
        return
    yield from zip(*traceback.raw_frames(), strict=True)


@lru_cache(maxsize=4096)
def _library(file: str) -> bool:
    return file.startswith("<") or file.startswith(_LIBRARIES)


def of_a_library(closed) -> bool:
    """Whether a jaxpr is of a library's function."""
    debug = getattr(closed.jaxpr, "debug_info", None)
    file = getattr(debug, "func_filename", None)
    return file is not None and _library(file)


def kernel_place(eqn, output: int = 0) -> Place | None:
    """Of a Pallas call: the line of its kernel that writes an output."""
    kernel = eqn.params.get("jaxpr") if eqn.primitive.name == "pallas_call" else None
    if kernel is None:
        return None
    inner, _ = opened(kernel)
    first = len(inner.invars) - len(eqn.outvars) - _scratch(eqn)
    written = inner.invars[first + output]
    found = None
    for step in equations(inner):
        writes = step.primitive.name in ("swap", "addupdate", "masked_swap")
        if writes and step.invars[0] is written:
            found = place(step.source_info.traceback) or found
    return found


def _scratch(eqn) -> int:
    """How many arrays of its own a kernel works with."""
    mapping = eqn.params.get("grid_mapping")
    return getattr(mapping, "num_scratch_operands", 0)


def called_rules(f, args: tuple, home: str) -> dict[Place, Place]:
    """The place of each call of a custom_vjp function, and that of its backward."""
    found = {}
    for eqn in equations(jax.make_jaxpr(f)(*args).jaxpr):
        source = getattr(eqn.params.get("bwd"), "debug_info", None)
        call = place(eqn.source_info.traceback, home)
        if call is not None and source is not None and source.func_filename:
            file, line, name = (
                source.func_filename,
                source.func_lineno,
                source.func_name,
            )
            found[call] = Place(file, line or 1, name)
    return found


def _folder(module) -> str:
    return os.path.dirname(module.__file__) + os.sep


_HERE = str(Path(__file__).parents[2]) + os.sep  # jaxninja/check
_STANDARD = sysconfig.get_path("stdlib") + os.sep
_LIBRARIES = (
    *(_folder(module) for module in (jax, jaxlib, np)),
    *(_STANDARD + name for name in ("functools", "contextlib", "threading", "runpy")),
)


def residual_names(source: tuple[str, int] | None, residuals: Any) -> list[str]:
    """A name for each leaf of the residuals.

    Fields of a NamedTuple, keys of a dict, else the names that the backward, which
    begins at `source`, unpacks them into (`xhat, rstd = res`), else `res[0]`.
    """
    node = _definition(*source) if source is not None else None
    variable = _second_last(node) or "res"
    if type(residuals) is tuple and node is not None:
        unpacked = _unpacked(node, variable)
        if len(unpacked) == len(residuals):
            pairs = zip(unpacked, residuals, strict=True)
            return [n for name, part in pairs for n in leaf_names(part, name)]
    return leaf_names(residuals, variable)


def cotangent_name(source: tuple[str, int] | None) -> str:
    """What the backward calls its cotangent; "dy" if unknown."""
    node = _definition(*source) if source is not None else None
    return node.args.args[-1].arg if node is not None and node.args.args else "dy"


def leaf_names(tree: Any, root: str) -> list[str]:
    """`root` followed by the path to each leaf: `params['w']`, `res.xhat`."""
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [_short(root + jax.tree_util.keystr(path), root) for path, _ in paths]


def _short(name: str, root: str) -> str:
    field = name.removeprefix(root + ".")
    return field if field.isidentifier() else name


def return_place(source: tuple[str, int] | None) -> Place | None:
    """The last return statement of a function; a lambda's line."""
    if source is None:
        return None
    node = _definition(*source)
    if node is None:
        return Place(*source, "")
    lines = [n.lineno for n in ast.walk(node) if isinstance(n, ast.Return)]
    return Place(source[0], max(lines), "") if lines else None


@lru_cache(maxsize=256)
def _definition(file: str, line: int) -> ast.FunctionDef | None:
    """The function whose text, decorators included, begins at a line of a file."""
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            top = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if top <= line <= node.lineno:
                return node
    return None


def _second_last(node: ast.FunctionDef | None) -> str:
    names = [a.arg for a in node.args.args] if node is not None else []
    return names[-2] if len(names) > 1 else ""


def _unpacked(node: ast.FunctionDef, variable: str) -> list[str]:
    """The names of `a, b = variable` in a function; [] if it does not say so."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign) and isinstance(part.value, ast.Name):
            target = part.targets[0]
            if part.value.id == variable and isinstance(target, ast.Tuple):
                names = [e.id for e in target.elts if isinstance(e, ast.Name)]
                return names if len(names) == len(target.elts) else []
    return []

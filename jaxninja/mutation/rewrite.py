"""Run a backward pass equation by equation, with some equations changed on the way.

The backward is traced with its residuals and cotangents as inputs; calls such as the
`jit` inside `jnp.where` are opened, so that what is numbered are primitive operations.
A changed run can itself be traced, jitted or batched, and its equations keep the source
lines of the original: to a checker a mutant looks like a rule that was written so.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import source_info_util

from jaxninja.jaxpr import CALLS, bind, body, run


class Available(NamedTuple):
    """What an edit may reach for besides the operands of its own equation."""

    residuals: Sequence[Any]
    cotangents: Sequence[Any]


@dataclass(frozen=True)
class Edit:
    """One change of a rule.

    Attributes:
        operator: its name in the table of operators.
        place: "equation", "residual", "cotangent", "output" or "rule".
        site: (primitive, its occurrence) of an equation, else (leaf number,).
        change: the function that makes the new value; None means it does not apply at
            these shapes, and the value stays as it is.
        lines: source lines that hold the mistake, as far as it has any.
    """

    operator: str
    place: str
    site: tuple
    change: Callable[..., Any]
    lines: frozenset[int] = frozenset()


class Traced(NamedTuple):
    closed: Any  # the jaxpr of the backward
    out_tree: Any


def run_backward(bwd, static, residuals, dy, edits: Sequence[Edit] = ()):
    """bwd(*static, residuals, dy) with `edits` made on the way."""
    traced = trace(bwd, static, residuals, dy)
    res, cot = jax.tree.leaves(residuals), jax.tree.leaves(dy)
    lines = _lines_of_leaves(traced.closed.jaxpr, len(res))
    res = _edit_leaves(res, edits, "residual", lines)
    cot = _edit_leaves(cot, edits, "cotangent", lines)
    by_site = {e.site[:2]: e for e in edits if e.place == "equation"}
    walk = Walk(by_site, Available(res, cot))
    outs = walk(traced.closed, [*res, *cot])
    outs = _edit_leaves(outs, edits, "output", lines)
    return jax.tree.unflatten(traced.out_tree, outs)


def trace(bwd, static, residuals, dy) -> Traced:
    """The jaxpr of a backward at these shapes, remembered."""
    leaves, tree = jax.tree.flatten((residuals, dy))
    shapes = tuple((jnp.shape(a), jnp.result_type(a)) for a in leaves)
    return _trace(bwd, static, tree, shapes, jnp.result_type(float))


@lru_cache(maxsize=4096)
def _trace(bwd, static, tree, shapes, floats) -> Traced:
    del floats  # only a part of the key: constants depend on it
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]

    def flat(*leaves):
        residuals, dy = jax.tree.unflatten(tree, leaves)
        return bwd(*static, residuals, dy)

    closed, shape = jax.make_jaxpr(flat, return_shape=True)(*leaves)
    return Traced(closed, jax.tree.structure(shape))


def _edit_leaves(leaves, edits, place: str, lines: dict):
    for edit in edits:
        if edit.place == place:
            with source_info_util.user_context(lines.get(edit.site[:2])):
                changed = edit.change(list(leaves))
            leaves = leaves if changed is None else changed
    return leaves


def _lines_of_leaves(jaxpr, residuals: int) -> dict[tuple, Any]:
    """(place, number) -> traceback of the first reader of a leaf, or of its maker."""
    found: dict[tuple, Any] = {}
    for eqn in jaxpr.eqns:
        trace = eqn.source_info.traceback
        for i, var in enumerate(jaxpr.invars):
            if any(var is v for v in eqn.invars):
                late = i >= residuals
                key = ("cotangent", i - residuals) if late else ("residual", i)
                found.setdefault(key, trace)
        for i, var in enumerate(jaxpr.outvars):
            if any(var is v for v in eqn.outvars):
                found["output", i] = trace
    return found


class Walk:
    """One evaluation of a jaxpr; it counts each primitive as it meets it."""

    def __init__(self, edits: dict[tuple, Edit], available: Available):
        self.edits, self.available = edits, available
        self.seen: dict[str, int] = {}

    def __call__(self, closed, args, traceback=None):
        def step(eqn, ins):
            where = traceback or eqn.source_info.traceback
            with source_info_util.user_context(where):
                if eqn.primitive in CALLS:
                    return self(body(eqn), ins, where)
                return self.changed(eqn, ins)

        return run(closed.jaxpr, closed.consts, args, step)

    def changed(self, eqn, ins):
        """The results of an equation, or what an edit makes of the first."""
        outs = bind(eqn, ins)
        edit = self.edits.get((eqn.primitive.name, self.count(eqn)))
        if edit is None:
            return outs
        change = edit.change(eqn, ins, outs[0], self.available)
        return outs if change is None else [change]

    def count(self, eqn) -> int:
        name = eqn.primitive.name
        self.seen[name] = self.seen.get(name, -1) + 1
        return self.seen[name]


class Site(NamedTuple):
    eqn: Any
    name: str  # of the primitive
    occurrence: int
    line: int  # in the file of the rule; 0 where unknown


def sites(jaxpr, file: str) -> Iterator[Site]:
    """All primitive equations in the order in which `Walk` meets them."""
    seen: dict[str, int] = {}
    for eqn, traceback in _flat(jaxpr, None):
        name = eqn.primitive.name
        seen[name] = seen.get(name, -1) + 1
        yield Site(eqn, name, seen[name], line_in(traceback, file))


def _flat(jaxpr, traceback):
    for eqn in jaxpr.eqns:
        where = traceback or eqn.source_info.traceback
        if eqn.primitive in CALLS:
            yield from _flat(body(eqn).jaxpr, where)
        else:
            yield eqn, where


def line_in(traceback, file: str) -> int:
    """Line of the innermost frame in `file`, 0 if there is none."""
    frames = traceback.frames if traceback is not None else ()
    return next((f.line_num for f in frames if f.file_name == file), 0)

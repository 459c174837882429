"""Gradients that are wrong in some places only: which places those are.

A few entries or whole rows are listed; a larger region is compared with the predicates
that a forward pass is made of, x > 0 and the like, and with the booleans of the rule.
"""

from collections.abc import Iterator

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import EXACT, Problem, as_leaf
from jaxninja.check.hints import Statement, say

Found = tuple[str, Statement]  # kind of bug, what is wrong


WHERE_NOT = "zero where it should not be"


def wrong_entries(problem: Problem, leaf: int) -> np.ndarray:
    """True where the entry is off by more than rounding of the largest one."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    scale = float(np.abs(truth).max(initial=0))
    return ~(np.abs(mine - truth) <= EXACT * scale + problem.floor)


def few_elements(problem: Problem, leaf: int) -> Found | None:
    """One entry, or one row of an axis, is wrong and all the others are right."""
    wrong, name = wrong_entries(problem, leaf), problem.sample.names[leaf]
    if wrong.all() or wrong.size < 3:
        return None
    zero = not np.any(problem.got[leaf][wrong])
    facts = {"leaf": name, "wrong": f"is {WHERE_NOT if zero else 'wrong'}"}
    if wrong.sum() == 1:
        index = [int(i) for i in np.argwhere(wrong)[0]]
        return "index", say("entry", **facts, index=str(index))
    for axis in range(wrong.ndim):
        rest = tuple(i for i in range(wrong.ndim) if i != axis)
        lines = np.flatnonzero(wrong.any(rest))
        if len(lines) == 1 and wrong.shape[axis] > 2:
            last = " (the last)" if lines[0] == wrong.shape[axis] - 1 else ""
            at = {"index": int(lines[0]), "axis": axis, "last": last}
            return "index", say("line", **facts, **at)
    return None


def region(problem: Problem, leaf: int) -> Found | None:
    """The wrong entries are those where a predicate of the forward holds."""
    wrong, name = wrong_entries(problem, leaf), problem.sample.names[leaf]
    if wrong.all() or wrong.sum() < 2 or (~wrong).sum() < 2:
        return None
    live = problem.expected[leaf] != 0  # where it is zero nothing can be seen
    zero = not np.any(problem.got[leaf][wrong])
    what = "is zero" if zero else "is wrong"
    for text, holds in predicates(problem, wrong.shape):
        for words, mask in ((text, holds), (f"not ({text})", ~holds)):
            exactly = np.array_equal(wrong, mask)
            if np.array_equal(mask & live, live):
                continue  # every entry that could be seen to be wrong
            visible = (wrong <= mask).all() and np.array_equal(wrong, mask & live)
            if exactly or visible:
                return "mask", say("where", leaf=name, wrong=what, holds=words)
    return None


def predicates(problem: Problem, shape: tuple) -> Iterator[tuple[str, np.ndarray]]:
    """Named boolean arrays of a shape."""
    args = zip(problem.subject.argument_names, problem.sample.args, strict=False)
    for name, arg in args:
        for leaf in jax.tree.leaves(arg):
            value = as_leaf(leaf)
            if isinstance(value, np.ndarray):
                yield from _of(name, value, shape)
    if len(shape) == 2 and shape[0] == shape[1]:
        yield "column > row", np.triu(np.ones(shape, bool), 1)
        yield "column < row", np.tril(np.ones(shape, bool), -1)
    yield from _of_program(problem, shape)


def _of(name: str, value: np.ndarray, shape) -> Iterator[tuple[str, np.ndarray]]:
    if value.dtype.kind == "i" and len(shape) == 2 and value.shape == shape[:1]:
        yield f"the column is {name}", np.arange(shape[1]) == value[:, None]
    if value.dtype == bool and _fits(value, shape):
        yield name, np.broadcast_to(value, shape)
    if value.dtype.kind != "f" or not _fits(value, shape) or value.ndim == 0:
        return
    value = np.broadcast_to(value, shape)
    yield f"{name} > 0", value > 0
    yield f"{name} == 0", value == 0
    for c in (1.0, -1.0):
        yield f"{name} > {c:g}", value > c
    yield f"|{name}| > 1", np.abs(value) > 1
    yield f"0 < {name} < 1", (value > 0) & (value < 1)
    for axis in range(len(shape)):
        largest = value == value.max(axis, keepdims=True)
        yield f"{name} is the largest along axis {axis}", largest


def _fits(value: np.ndarray, shape: tuple) -> bool:
    pairs = zip(value.shape[::-1], shape[::-1], strict=False)
    return value.ndim <= len(shape) and all(n in (1, m) for n, m in pairs)


def _of_program(problem: Problem, shape) -> Iterator[tuple[str, np.ndarray]]:
    if problem.program is None:
        return
    for step in problem.program.steps:
        value = problem.values[step.outs[0]]
        fits = isinstance(value, np.ndarray) and value.shape == shape
        if fits and value.dtype == bool and step.outs[0] in problem.names:
            yield problem.names[step.outs[0]], value

"""Gradients that are wrong in some places only: which places those are.

A few entries or whole rows are listed; a larger region is compared with the predicates
that a forward pass is made of, x > 0 and the like, and with the booleans of the rule.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxninja.check.diagnosis.code.problem import EXACT, Problem, as_leaf, close
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
        lines = np.flatnonzero(wrong.any(_but(axis, wrong.ndim)))
        if len(lines) == 1 and wrong.shape[axis] > 2:
            last = " (the last)" if lines[0] == wrong.shape[axis] - 1 else ""
            at = {"index": int(lines[0]), "axis": axis, "last": last}
            return "index", say("line", **facts, **at)
    return None


def dealt(problem: Problem, leaf: int) -> Found | None:
    """The entries of an axis in another order: in turns for one half after the other,
    as a transposition between two reshapes makes it."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axis, n in enumerate(truth.shape):
        for count in range(2, n // 2 + 1 if mine.shape == truth.shape else 0):
            if n % count == 0:
                order = np.arange(n).reshape(count, -1).T.ravel()
                if close(mine, np.take(truth, order, axis), problem.floor):
                    facts = {"leaf": problem.sample.names[leaf], "axis": axis}
                    return "index", say("dealt", **facts, step=n // count)
    return None


def only_there(problem: Problem, samples: Sequence[Problem], leaf: int) -> bool:
    """Whether no ordinary input makes other entries or rows wrong: of a sorted array
    the third is elsewhere every time."""
    there = wrong_entries(problem, leaf)
    if there.sum() > 1:  # a row: wherever in it
        rows = [
            there.any(_but(axis, there.ndim), keepdims=True)
            for axis in range(there.ndim)
        ]
        there = np.broadcast_to(min(rows, key=np.mean), there.shape)
    usual = (p for p in samples if not p.sample.edge)
    return all((wrong_entries(p, leaf) <= there).all() for p in usual)


def _but(axis: int, count: int) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i != axis)


def region(
    problem: Problem, fresh: Problem, samples: Sequence[Problem], leaf: int
) -> Found | None:
    """The wrong entries are those where a predicate of the forward holds.

    It does so on a fresh sample and at all ordinary inputs; of several predicates the
    one that does at most edges. Where no ordinary input is at the bound, it is left
    out: what is right there is a convention.
    """
    first, again = _described(problem, leaf), _described(fresh, leaf)
    found = [(text, what) for text, what in first.items() if again.get(text) == what]
    at = [(p, dict(_all(p, p.expected[leaf].shape))) for p in samples if found]
    fails: dict[str, int] = {}
    for text, _ in found:
        missed = [p for p, said in at if not _holds(p, leaf, said.get(text))]
        if all(p.sample.edge for p in missed):
            fails[text] = len(missed)
    if not fails:
        return None
    best = min(fails, key=lambda text: fails[text])
    strict = best.replace("<=", "<")
    best = strict if strict in fails else best
    name = problem.sample.names[leaf]
    return "mask", say("where", leaf=name, wrong=first[best], holds=best)


def _described(problem: Problem, leaf: int) -> dict[str, str]:
    """The predicates that hold in the wrong entries alone, and how these are wrong."""
    wrong = wrong_entries(problem, leaf)
    if wrong.all() or wrong.sum() < 2 or (~wrong).sum() < 2:
        return {}
    live = problem.expected[leaf] != 0  # where it is zero nothing can be seen
    what = "is zero" if not np.any(problem.got[leaf][wrong]) else "is wrong"
    found = {}
    for text, mask in _all(problem, wrong.shape):
        if np.array_equal(mask & live, live):
            continue  # every entry that could be seen to be wrong
        visible = (wrong <= mask).all() and np.array_equal(wrong, mask & live)
        if visible or np.array_equal(wrong, mask):
            found[text] = what
    return found


def _holds(problem: Problem, leaf: int, mask: np.ndarray | None) -> bool:
    """Whether a leaf is wrong in these entries, as far as it could be seen to be."""
    if mask is None:
        return False
    live = (problem.expected[leaf] != 0) | (problem.got[leaf] != 0)
    return bool((wrong_entries(problem, leaf) == mask)[live].all())


def _all(problem: Problem, shape: tuple) -> Iterator[tuple[str, np.ndarray]]:
    """Each predicate, and what is not the case."""
    for text, mask in predicates(problem, shape):
        yield text, mask
        yield opposite(text), ~mask


OPPOSITES = (
    (" is ", " is not "),
    (" are ", " are not "),
    (" > ", " <= "),
    (" == ", " != "),
    (" occurs ", " does not occur "),
    (" differs ", " does not differ "),
    (" points ", " does not point "),
)


def opposite(text: str) -> str:
    """What holds where a text of ours does not; a text of the user's is quoted."""
    pairs = ((a, b) for a, b in OPPOSITES if text.count(a) == 1)
    one, other = next(pairs, ("", ""))
    return text.replace(one, other) if one else f"not ({text})"


def predicates(problem: Problem, shape: tuple) -> Iterator[tuple[str, np.ndarray]]:
    """Named boolean arrays of a shape."""
    if len(shape) == 2 and shape[0] == shape[1]:
        yield "column == row", np.eye(shape[0], dtype=bool)
        yield "column > row", np.triu(np.ones(shape, bool), 1)
        yield "column < row", np.tril(np.ones(shape, bool), -1)
    args = zip(problem.subject.argument_names, problem.sample.args, strict=False)
    for name, arg in args:
        for leaf in jax.tree.leaves(arg):
            value = as_leaf(leaf)
            if isinstance(value, np.ndarray):
                yield from _of(name, value, shape)
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
    yield f"{name} < 0", value < 0
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

"""Whether the gradients are the true ones for another argument: a key that was split,
positions from zero, a mask that was left out, another value of a static option.

Nothing in such a backward is wrong but what it was told, which no edit of its steps may
show: the forward's own derivation does, run with other values of what has no gradient.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxninja.check.diagnosis.code.constants import follow, number
from jaxninja.check.diagnosis.code.names import argument_leaves
from jaxninja.check.diagnosis.code.problem import (
    Problem,
    alike,
    as_leaf,
    inner,
    is_inexact,
)
from jaxninja.check.hints import Number, Statement, say

Lengths = dict[int, str]
Gradients = Callable[[Problem, dict[int, Any]], list]  # with other leaves of arguments
TURNS = 8  # of a number that is solved for
NEAR = 0.5  # of the error, which the first turn has to explain


class Given(NamedTuple):
    """An argument, and what the backward seems to take for it."""

    argument: str
    instead: str | Statement | Number
    kind: str


def other_leaf(problem: Problem, fresh: Problem, gradients: Gradients) -> Given | None:
    """Of arrays that have no gradient: masks, positions, lengths, random keys."""
    names = argument_leaves(problem.subject, problem.sample)
    ours, theirs = (jax.tree.leaves(p.sample.args) for p in (problem, fresh))
    for i, (name, leaf, other) in enumerate(zip(names, ours, theirs, strict=False)):
        if is_inexact(leaf):
            continue
        pairs = zip(_values(name, leaf), _values(name, other), strict=False)
        for (text, value), (_, again) in pairs:
            both = ((problem, value), (fresh, again))
            if all(_holds(p, gradients, {i: v}) for p, v in both):
                return Given(name, text, "mask" if _is_bool(leaf) else "residual")
    return None


def _holds(problem: Problem, gradients: Gradients, given: dict[int, Any]) -> bool:
    try:
        return _same(problem, gradients(problem, given))
    except Exception:  # an index out of range, say
        return False


def _is_bool(leaf) -> bool:
    return _is_plain(leaf) and as_leaf(leaf).dtype == np.bool_


def _is_plain(leaf) -> bool:
    """No typed key, of which NumPy knows nothing."""
    return isinstance(getattr(leaf, "dtype", np.dtype(int)), np.dtype)


def _same(problem: Problem, gradients: list) -> bool:
    pairs = zip(problem.got, gradients, strict=True)
    return all(alike(mine, g, problem.floor) for mine, g in pairs)


def _values(name: str, leaf) -> Iterator[tuple[str, Any]]:
    """What may stand for an argument by mistake, as code and as a value."""
    raw = _is_plain(leaf) and as_leaf(leaf).dtype == np.uint32
    if not _is_plain(leaf) or (raw and np.shape(leaf)[-1:] == (2,)):
        for k, key in enumerate(jax.random.split(leaf) if _is_one_key(leaf) else ()):
            yield f"jax.random.split({name})[{k}]", np.asarray(key) if raw else key
        return
    a = np.asarray(leaf)
    yield f"zeros_like({name})", np.zeros_like(a)
    yield f"ones_like({name})", np.ones_like(a)
    if a.dtype == np.bool_:
        yield f"~{name}", ~a
        return
    for by in (1, -1):
        yield f"{name} {'+' if by > 0 else '-'} 1", (a + by).astype(a.dtype)
    for axis, n in enumerate(a.shape):
        laid = [1] * a.ndim
        laid[axis] = n
        count = np.arange(n, dtype=a.dtype).reshape(laid)
        yield f"arange({n}) along axis {axis}", np.broadcast_to(count, a.shape)
        yield f"flip({name}, {axis})", np.flip(a, axis)
    if a.size:
        yield f"max({name})", np.full_like(a, a.max())
        yield f"min({name})", np.full_like(a, a.min())


def _is_one_key(leaf) -> bool:
    return np.ndim(leaf) == (1 if _is_plain(leaf) else 0)


def other_option(
    problem: Problem,
    others: tuple[Problem, Problem | None],
    of: Callable[[Problem, tuple], list],
    lengths: Callable[[Problem], Lengths],
) -> Given | None:
    """Of static options: a switch, a neighbour of an integer, a number solved for.

    Args:
        others: a fresh sample, and one of other sizes if there is any.
        of: the true gradients of a problem with other static options.
    """
    fresh, sized = others
    static = problem.subject.static
    names = getattr(problem.subject, "static_names", ())
    for i, (name, value) in enumerate(zip(names, static, strict=False)):

        def made(p: Problem, c, i=i) -> list | None:
            try:
                return of(p, (*static[:i], c, *static[i + 1 :]))
            except Exception:  # the forward does not run with it
                return None

        def holds(p: Problem, c, made=made) -> bool:
            found = made(p, c)
            return found is not None and _same(p, found)

        if isinstance(value, float):
            c = _solved(problem, value, made)
            if c is not None and holds(problem, c) and holds(fresh, c):
                there = _solved(sized, value, made) if sized else None
                ours, theirs = lengths(problem), lengths(sized or problem)
                told = _told(name, value, (c, there), ours, theirs)
                return Given(name, told, "ratio")
            continue
        near = [not value] if isinstance(value, bool) else []
        near += [value - 1, value + 1] if type(value) is int else []
        for c in near:
            if holds(problem, c) and holds(fresh, c):
                return Given(name, repr(c), "option")
    return None


def _solved(problem: Problem, start: float, made: Callable) -> float | None:
    """The number with which the true gradients are the user's, by Newton's method."""
    c = start
    for turn in range(TURNS):
        step = 1e-6 * (abs(c) or 1.0)
        now, ahead = made(problem, c), made(problem, c + step)
        if now is None or ahead is None:
            return None
        error, slope = _gap(problem.got, now), _gap(ahead, now) / step
        size = inner(slope, slope)
        if not np.isfinite(size) or size == 0:
            return None
        move = inner(slope, error) / size
        rest = np.linalg.norm(error - move * slope)
        if turn == 0 and rest > NEAR * np.linalg.norm(error):
            return None
        c += move
        if abs(move) <= 1e-11 * (1 + abs(c)):
            return c
    return c


def _gap(one: list, other: list) -> np.ndarray:
    """All differences of two lists of gradients, in a row."""
    pairs = zip(one, other, strict=True)
    return np.concatenate([np.ravel(np.subtract(a, b)) for a, b in pairs])


def _told(name: str, value: float, both, ours: Lengths, theirs: Lengths):
    """The number itself; or by how much it is off, if that follows the sizes."""
    here, there = both
    if there is None or value == 0 or abs(here - there) <= 1e-6 * abs(here):
        return Number.of(here)
    ratios = number(here / value, ours), number(there / value, theirs)
    factor = follow(*ratios, ours, theirs)
    if factor is None:
        return Number.of(here)
    return say("{argument} * {factor}", argument=name, factor=factor)

"""Where a gradient is wrong, when nothing says why: in the words of the forward.

The wrong entries are compared with everything that can be said of an entry: its place
along an axis, what the arguments are there, which side of the forward's comparisons it
is on. What says it on every sample that was looked at, on a fresh one and at other
sizes is the answer; two of them together, if one is not enough.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np

from jaxninja.check.diagnosis.code.names import argument_leaves, named
from jaxninja.check.diagnosis.code.problem import Problem, as_leaf
from jaxninja.check.diagnosis.forward.slopes import Forward
from jaxninja.check.diagnosis.regions import Found, opposite, wrong_entries
from jaxninja.check.hints import say

Said = dict[str, tuple[str, np.ndarray]]  # text -> kind of bug, where it holds
MOST = 40  # predicates of which pairs are tried
COMPARISONS = 60  # of a forward, written out
SAMPLES = 12


@dataclass
class View:
    """A sample, and the values of the forward there by name."""

    problem: Problem
    forward: Forward
    names: dict[int, str]

    def wrong(self, leaf: int) -> tuple[np.ndarray, np.ndarray]:
        """Where the leaf is wrong, and where it could be seen to be."""
        mine, truth = self.problem.got[leaf], self.problem.expected[leaf]
        return wrong_entries(self.problem, leaf), (truth != 0) | (mine != 0)


def views(problems: Sequence[Problem]) -> list[View]:
    """The samples with the forward's values; the first one's program serves all."""
    found: list[View] = []
    for problem in problems:
        shapes = _shapes(problem)
        same = (v.forward.program for v in found if _shapes(v.problem) == shapes)
        forward = Forward(problem, next(same, None))
        given = argument_leaves(problem.subject, problem.sample)
        found.append(View(problem, forward, named(forward.program, given)))
    return found


def _shapes(problem: Problem) -> list:
    return [np.shape(a) for a in jax.tree.leaves(problem.sample.args)]


def where_wrong(
    problem: Problem, fresh: Problem, samples: Sequence[Problem], leaf: int
) -> Found | None:
    """The smallest description of the wrong entries that holds on all samples.

    Args:
        problem, fresh: a failing sample, and one that was not looked at.
        samples: others, right ones and other sizes among them.
        leaf: number of the gradient.
    """
    looked_at = [problem, fresh, *samples[:SAMPLES]]
    if sum(leaf in p.wrong for p in looked_at) < 2:  # one alone proves nothing
        return None
    seen = views(looked_at)
    first = said_of(seen[0], leaf)
    wrong, live = seen[0].wrong(leaf)
    texts = [t for t, (_, holds) in first.items() if _same(wrong, holds, live)]
    above = [t for t, (_, holds) in first.items() if _above(wrong, holds, live)]
    pairs = list(itertools.combinations(above[:MOST], 2))
    rest = [said_of(view, leaf) for view in seen[1:]]
    for parts in [*((t,) for t in texts), *pairs]:
        if _everywhere(seen, [first, *rest], parts, leaf):
            kind = first[parts[-1]][0]
            zero = not np.any(problem.got[leaf][wrong])
            what = "is zero" if zero else "is wrong"
            name = problem.sample.names[leaf]
            holds = " and ".join(parts)
            return kind, say("where", leaf=name, wrong=what, holds=holds)
    return None


def _everywhere(seen: list[View], said: list[Said], parts, leaf: int) -> bool:
    """Whether the parts together hold where the leaf is wrong, and say something."""
    inside = outside = 0
    for view, known in zip(seen, said, strict=True):
        wrong, live = view.wrong(leaf)
        if any(part not in known for part in parts):
            return False
        holds = np.logical_and.reduce([known[part][1] for part in parts])
        if not _same(wrong, holds, live):
            return False
        inside += int((holds & live).sum())
        outside += int((~holds & live).sum())
    return inside > 1 and outside > 1


def _same(wrong, holds, live) -> bool:
    return bool((wrong == holds)[live].all())


def _above(wrong, holds, live) -> bool:
    return bool((wrong <= holds)[live].all()) and not bool(holds[live].all())


def said_of(view: View, leaf: int) -> Said:
    """All that can be said of the entries of a leaf, and what is not the case."""
    shape = view.problem.expected[leaf].shape
    found: Said = {}
    theirs = {text for text, _, _ in _by_comparison(view, shape)}
    for text, kind, holds in _all(view, shape):
        if text not in found:
            found[text] = kind, holds
            quoted = text in theirs
            found[f"not ({text})" if quoted else opposite(text)] = kind, ~holds
    return found


def _all(view: View, shape) -> Iterator[tuple[str, str, np.ndarray]]:
    for text, holds in _by_index(shape):
        yield text, "index", holds
    leaves = jax.tree.leaves(view.problem.sample.args)
    names = argument_leaves(view.problem.subject, view.problem.sample)
    for name, value in zip(names, map(as_leaf, leaves), strict=True):
        if isinstance(value, np.ndarray):
            for text, holds in _by_value(name, value):
                for laid, where in _laid_out(holds, shape):
                    yield f"{text}{laid}", "mask", where
            for text, holds in _by_pointer(name, value, shape):
                yield text, "duplicates", holds
    yield from _by_comparison(view, shape)


def _by_index(shape) -> Iterator[tuple[str, np.ndarray]]:
    for axis, n in enumerate(shape):
        laid = [1] * len(shape)
        laid[axis] = n
        i = np.broadcast_to(np.arange(n).reshape(laid), shape)
        at = f"the index along axis {axis}"
        yield f"{at} is 0", i == 0
        yield f"{at} is the last", i == n - 1
        yield f"{at} is odd", i % 2 == 1
        yield f"{at} is in the second half", i >= n // 2
        for k in range(2, min(n, 64)):
            yield f"{at} is {k} or more", i >= k
            yield f"{at} is beyond the last full {k}", i >= n - n % k
    for one, two in itertools.combinations(range(len(shape)), 2):
        i, j = np.indices(shape, sparse=True)[one], np.indices(shape, sparse=True)[two]
        if shape[one] == shape[two]:
            at = f"the indices along axes {one} and {two}"
            yield f"{at} are equal", np.broadcast_to(i == j, shape)
            yield f"of {at} the first is less", np.broadcast_to(i < j, shape)


def _by_value(name: str, value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if value.dtype.kind == "b":
        yield name, value
    if value.dtype.kind in "fi":
        for c in (0, 1, -1):
            yield f"{name} > {c}", value > c
            yield f"{name} == {c}", value == c
        yield f"|{name}| > 1", np.abs(value) > 1
        for axis in range(value.ndim):
            if value.shape[axis] > 1:
                largest = value == value.max(axis, keepdims=True)
                yield f"{name} is the largest along axis {axis}", largest
                least = value == value.min(axis, keepdims=True)
                yield f"{name} is the least along axis {axis}", least
    if value.dtype.kind == "i" and value.ndim == 1 and value.size > 1:
        equal = value[:, None] == value
        yield f"{name} occurs twice", equal.sum(1) > 1
        yield f"{name} occurs before", np.tril(equal, -1).any(1)
        yield f"{name} occurs later", np.triu(equal, 1).any(1)
        new = np.r_[True, value[1:] != value[:-1]]
        yield f"{name} differs from the one before", new
        yield f"{name} differs from the next", np.r_[new[1:], True]


def _by_pointer(name: str, value, shape) -> Iterator[tuple[str, np.ndarray]]:
    """Of an array of indices: which entries along an axis it points to."""
    if value.dtype.kind != "i" or value.ndim == 0 or not value.size:
        return
    for axis, n in enumerate(shape):
        if n > int(value.max()) >= 0:
            count = np.bincount(np.maximum(value.ravel(), 0), minlength=n)
            laid = [1] * len(shape)
            laid[axis] = n
            count = np.broadcast_to(count.reshape(laid), shape)
            yield f"{name} points to the index along axis {axis}", count > 0
            yield f"{name} points twice to the index along axis {axis}", count > 1
    if len(shape) == 2 and value.shape == shape[:1]:
        yield f"the column is {name}", np.arange(shape[1]) == value[:, None]


def _by_comparison(view: View, shape) -> Iterator[tuple[str, str, np.ndarray]]:
    """The comparisons that the forward makes, also in any or all entries of an axis."""
    steps = [s for s in view.forward.program.steps if s.outs[0] in view.names]
    flags = [s.outs[0] for s in steps if _is_flag(view.forward.base[s.outs[0]])]
    for slot in flags[:COMPARISONS]:
        value, text = np.asarray(view.forward.base[slot]), view.names[slot]
        for laid, holds in _laid_out(value, shape):
            yield f"{text}{laid}", "mask", holds
        for axis in range(value.ndim):
            for word, f in (("any", np.any), ("all", np.all)):
                for laid, holds in _laid_out(f(value, axis), shape):
                    yield f"{text} for {word} along axis {axis}{laid}", "mask", holds


def _is_flag(value) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "b"


def _laid_out(holds, shape) -> Iterator[tuple[str, np.ndarray]]:
    """A mask over a larger shape: along its last axes, its first, or another one."""
    holds = np.asarray(holds)
    if holds.ndim > len(shape):
        return
    for start in range(len(shape) - holds.ndim, -1, -1):
        laid = [1] * len(shape)
        laid[start : start + holds.ndim] = holds.shape
        fits = all(n in (1, m) for n, m in zip(laid, shape, strict=True))
        if fits:
            trailing = start == len(shape) - holds.ndim
            text = "" if trailing or holds.ndim == 0 else f" (from axis {start})"
            yield text, np.broadcast_to(holds.reshape(laid), shape)
        if holds.ndim == 0:
            return

"""Other sizes for the arguments of a bare function, found by trying.

Nobody says which axes of the arguments belong together. Each size is changed wherever
it occurs; then axes of equal size are changed apart, an axis of size 1 to several, and
what the plain forward still traces at is taken. Nothing is computed.
"""

import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.inputs.axes import (
    SMALL,
    Axes,
    Shapes,
    at,
    candidates,
    changed,
    entries,
    images,
    label,
    least,
)
from jaxninja.check.inputs.columns import broadcast, named
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.inputs.setting import refused_by_rule
from jaxninja.check.subject.option_values import groups_of
from jaxninja.check.subject.pytrees import all_names
from jaxninja.check.subject.subject import Subject

GROWTH, ENTRIES = 4, 4096  # of all arguments: how many times as many, and how many
TRIES = 32  # of axes of one size, apart
LONG, STEEP = 0.1, 20.0  # seconds and growth of tracing: it lists permutations, say


def other_sizes(subject: Subject, arrays: tuple) -> tuple[list[Shapes], list[str]]:
    """Shapes at which the forward runs, and in words what stays as it was given."""
    leaves, tree = jax.tree.flatten(arrays)
    search = Search(subject, tree, tuple(map(_kept, leaves)), _largest(leaves))
    wide = jnp.result_type(float)
    return _found(search, tuple(_axes(leaves)), wide)


def _kept(leaf) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), jax.dtypes.result_type(leaf))


def _largest(leaves: list) -> int:
    """The largest integer among the arguments: a size must not fall below it."""
    whole = [a for a in leaves if kind_of(a) == "int" and np.size(a)]
    return max([int(np.max(a)) for a in whole], default=0)


def _axes(leaves: list) -> Iterator[Axes]:
    """What may change: each axis by itself, both ends of what must stay square."""
    for i, leaf in enumerate(leaves):
        kind, rank = kind_of(leaf), np.ndim(leaf)
        if kind == "key":
            continue
        square = kind in ("definite", "triangular")
        for j in range(rank - 2 * square):
            yield ((i, j),)
        if square:
            yield ((i, rank - 2), (i, rank - 1))


@lru_cache(maxsize=256)
def _found(search: "Search", axes: tuple[Axes, ...], wide) -> tuple[list, list]:
    del wide  # part of the key: shapes are traced in it
    if refused_by_rule(search.subject, search.arguments(search.given)):
        return [], []  # what is wrong as it was given stops the check
    axes = tuple(a for a in axes if search.size(a) > 0)
    apart = search.varied(axes)
    found = [apart] if apart != search.given else []
    sizes = [n for n in search.free(axes) if n > 1]
    if len(sizes) > 1:
        level = max(sizes) if max(sizes) < SMALL else 8 + search.largest
        found += search.renamed(axes, dict.fromkeys(sizes, level))
    if alone := [n for n in sizes if not search.holds(n, axes, apart)]:
        found += search.renamed(axes, {alone[0]: 1})
    return list(dict.fromkeys(found)), search.gaps(axes, apart)


def _fresh_trace(plain, arguments: tuple) -> tuple:
    """A jaxpr and the output's shapes; of a function that JAX does not know yet, since
    a trace that it remembers takes no time, and any other one would look endless."""

    def unknown(*args):
        return plain(*args)

    return jax.make_jaxpr(unknown, return_shape=True)(*arguments)


class Search:
    """Shapes of one subject, and what came of trying them."""

    def __init__(self, subject: Subject, tree, leaves: tuple, largest: int):
        self.key = (subject, tree, leaves, largest)
        self.subject, self.tree, self.leaves, self.largest = self.key
        self.given: Shapes = tuple(a.shape for a in leaves)
        self.known: dict[Shapes, list[int] | None] = {}
        self.refusals: dict[int, str] = {}  # by the size that was changed
        self.ties: set[int] = set()  # sizes of the output that follow an argument's
        self.asks = True  # whether the rule is asked too
        self.least = np.inf  # seconds that tracing took
        self.most = np.inf  # entries, from which on it grows too fast
        self.columns = 0, 0  # as given: slices, and those of one column, broadcast
        self.held = set(filter(None, map(groups_of, subject.static)))

    def __eq__(self, other) -> bool:
        return isinstance(other, Search) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def size(self, axes: Axes) -> int:
        return at(self.given, axes)

    def free(self, axes: tuple[Axes, ...]) -> list[int]:
        """The sizes of axes, but for those that a static option holds."""
        return [n for n in dict.fromkeys(map(self.size, axes)) if n not in self.held]

    def holds(self, n: int, axes: tuple[Axes, ...], apart: Shapes) -> bool:
        """Whether the rule is written for axes of size n and no other: a size of 1 it
        would take all the same, and broadcast."""
        stay = any(self.size(a) == n == at(apart, a) for a in axes)
        return stay and n in self.refusals

    def arguments(self, shapes: Shapes) -> tuple:
        leaves = [
            jax.ShapeDtypeStruct(shape, leaf.dtype)
            for shape, leaf in zip(shapes, self.leaves, strict=True)
        ]
        return jax.tree.unflatten(self.tree, leaves)

    def varied(self, axes: tuple[Axes, ...]) -> Shapes:
        """`apart`; the rule, which takes longer to trace, is asked step by step only
        where it does not take what the forward took."""
        self.asks = False
        apart = self.apart(axes)
        self.asks = True
        if not refused_by_rule(self.subject, self.arguments(apart)):
            return apart
        self.ties.clear()
        return self.apart(axes)

    def apart(self, axes: tuple[Axes, ...]) -> Shapes:
        """Every size another one, equal ones different where the forward allows it."""
        sizes = self.free(axes)
        groups = {n: [a for a in axes if self.size(a) == n] for n in sizes}
        now = self.given
        for loose in (False, True):
            for n, group in groups.items():
                if n > 1 and at(now, group[0]) == n:
                    now = self.together(now, group, loose)
        for group in groups.values():
            now = self.split(now, group)
        return now

    def together(self, now: Shapes, group: list[Axes], loose: bool) -> Shapes:
        """A size changed wherever it occurs, to the first other one that is taken."""
        sizes = candidates(self.given, now, self.size(group[0]), self.largest)
        for size in sizes:
            other = changed(now, group, size)
            if self.takes(now, other, loose, told=size == sizes[0]):
                self.follow(now, other)
                return other
        return now

    def split(self, now: Shapes, group: list[Axes]) -> Shapes:
        """Axes of equal size changed apart: one alone, then several of the rest."""
        rest, one = list(group), self.size(group[0]) == 1
        parts = (
            part
            for count in (1, 2, 3)
            for part in combinations(group, count)
            if len(part) + (not one) <= len(rest)  # the last one differs already
        )
        left = TRIES
        for part in parts:
            if not left or not {*part} <= {*rest}:
                continue
            left -= 1
            for size in self.alone(now, part, one):
                other = changed(now, part, size)
                if self.takes(now, other, told=len(part) == 1):
                    now, rest = other, [a for a in rest if a not in part]
                    break
        return now

    def alone(self, now: Shapes, part: tuple[Axes, ...], one: bool) -> list[int]:
        """Sizes for axes apart from others of their size: any other, then multiples, as
        of heads that share keys."""
        first = candidates(self.given, now, self.size(part[0]), self.largest)[:1]
        n = at(now, part[0])
        several = len(part) == 1 and not one and n < SMALL
        return [*first, 2 * n, 3 * n] if several else first

    def renamed(self, axes: tuple[Axes, ...], sizes: dict[int, int]) -> list[Shapes]:
        """Sizes changed wherever they occur, if the forward runs so."""
        now = self.given
        for old, new in sizes.items():
            now = changed(now, [a for a in axes if self.size(a) == old], new)
        return [now] if now != self.given and self.takes(self.given, now) else []

    def takes(self, now: Shapes, shapes: Shapes, loose=False, told=True) -> bool:
        """Whether the forward runs and the rule does: sizes that nobody asked for fail
        no rule that does not run at them.

        Args:
            now, shapes: from which and to which.
            loose: as `runs` has it.
            told: whether a refusal of the rule is to be told.
        """
        if not self.runs(now, shapes, loose):
            return False
        if not self.asks:
            return True
        refused = refused_by_rule(self.subject, self.arguments(shapes))
        if refused and told:
            where = label(now, shapes, self.names)
            self.refusals.setdefault(least(now, shapes), f"{where}: {refused}")
        return refused is None

    def runs(self, now: Shapes, shapes: Shapes, loose: bool) -> bool:
        """Whether the forward runs, and its output's sizes change as the arguments'.

        Else an array that the forward brings along, a table of positions say, was
        broadcast against arguments that it does not fit.

        Args:
            loose: a size of the output that equals one of the arguments, and was not
                seen to follow it, may be another one by chance.
        """
        before, after = self.outputs(now), self.outputs(shapes)
        if before is None or after is None or len(before) != len(after):
            return False
        if 0 in after and 0 not in before:
            return False  # a window wider than what it slides over
        became = images(now, shapes)
        return entries(shapes) <= max(GROWTH * entries(self.given), ENTRIES) and all(
            new in became[old] or (loose and old in became[old] and i not in self.ties)
            for i, (old, new) in enumerate(zip(before, after, strict=True))
            if old in became
        )

    def follow(self, now: Shapes, shapes: Shapes) -> None:
        """Note which sizes of the output changed as one of the arguments did."""
        became = images(now, shapes)
        pairs = zip(self.outputs(now) or (), self.outputs(shapes) or (), strict=True)
        for i, (old, new) in enumerate(pairs):
            if old != new and new in became.get(old, ()):
                self.ties.add(i)

    def outputs(self, shapes: Shapes) -> list[int] | None:
        """All sizes of the output; None where the forward does not run."""
        if shapes not in self.known and entries(shapes) > self.most:
            return None
        if shapes not in self.known:
            start = time.process_time()
            try:
                arguments = self.arguments(shapes)
                traced, y = _fresh_trace(self.subject.plain, arguments)
                sizes = [n for leaf in jax.tree.leaves(y) for n in leaf.shape]
                if self.overlooks(shapes, traced.jaxpr):
                    sizes = None
            except Exception:
                sizes = None
            self.known[shapes] = sizes
            spent = time.process_time() - start
            self.least = min(self.least, spent)
            if spent > LONG and spent > STEEP * self.least:
                self.most = entries(shapes)
        return self.known[shapes]

    def overlooks(self, shapes: Shapes, jaxpr) -> bool:
        """Whether entries are left that the forward does not look at, where it named
        all of them as they were given, or what was one column of them is several."""
        slices, columns = broadcast(jaxpr)
        if shapes == self.given:
            self.columns = slices, columns
        elif slices == self.columns[0] and columns < self.columns[1]:
            return True
        return any(
            shapes[i][j] != self.given[i][j] == count
            for i, axes in enumerate(named(jaxpr))
            for j, count in axes.items()
        )

    @property
    def names(self) -> list[str]:
        names = self.subject.argument_names
        return all_names(self.arguments(self.given), names)

    def gaps(self, axes: tuple[Axes, ...], apart: Shapes) -> list[str]:
        """What stays as it was given, and what the rule refuses."""
        stay = [a for a in axes if at(apart, a) == self.size(a)]
        found = [f"{t}; give inputs= to vary sizes" for t in self.refusals.values()]
        for held, why in (
            (False, "none found that the forward takes"),
            (True, "labels of a static option fill its groups"),
        ):
            left = [a for a in stay if (self.size(a) in self.held) == held]
            named = [
                f"{self.names[i]} axis {j} ({self.given[i][j]})"
                for i, j in sum(left, ())
            ]
            if named:
                found.append(f"other sizes of {', '.join(named)}: {why}; give inputs=")
        return found

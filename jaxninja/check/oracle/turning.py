"""Inputs at which a comparison turns that went one way at all others.

A backward that says `jnp.where(x == 0, ...)`, or branches where a norm is beyond a
bound, has a side that no ordinary input sees. The margin of the comparison is a
function of the inputs: Newton's method moves the entry that is nearest until it turns.
"""

import itertools
from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.comparisons import answer, compares_inside
from jaxninja.check.oracle.truth import traced_gradients
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.control_flow import noted
from jaxninja.check.subject.plain_forward import evaluate, line_of, opened
from jaxninja.check.subject.pytrees import (
    float_leaves,
    is_float,
    signature,
    with_floats,
)
from jaxninja.check.subject.subject import Subject

MOVABLE = "real", "positive"
STEPS = 12
BEYOND = 1e-3  # of a step more, to be past what is compared with
NOTHING = 1e-12  # of the largest entry: what rounding leaves of an exact zero
NEAR, FAR = 3.0, 1e4  # times the largest entry: how far inputs go, in a narrow domain
NOWHERE = np.inf, 1.0, np.zeros(2, bool)  # margin, bound and sides of what is not run
GUARD = 1e-6  # bounds below it, and beyond one over it, guard a division or mask out


def turned(
    subject: Subject, args: tuple, dy: list, lines: set[str], narrow: bool
) -> list[tuple[str, tuple]]:
    """(line, args) at which a comparison of one of these lines turned.

    Args:
        args, dy: in float64; call it under that.
        narrow: keep to inputs of the size of those given.
    """
    run, places = _margins(subject)
    try:
        with running(f"the rule of {subject.name}"):
            now = run(args, dy, 0)
    except UserCodeError:  # a loop that JAX cannot differentiate, say
        return []
    found: list[tuple[str, tuple]] = []

    def sides(inputs, k: int) -> list:
        return np.asarray(run(inputs, dy, k)[2])[k].tolist()

    for k, (line, exact, whole) in enumerate(places[signature(args)]):
        here = np.asarray(now[2])[k].tolist()
        if line not in lines or all(here):
            continue
        if any(sides(moved, k) != here for known, moved in found if known == line):
            continue
        ways = _shifted if whole else partial(_ways, exact=exact, narrow=narrow)
        found += [(line, moved) for moved in ways(run, args, dy, k)]
    return found


def _shifted(run, args: tuple, dy, k: int) -> list[tuple]:
    """The inputs with integers moved so far that comparison k of integers turns, and
    with all of an array, and every other one, at the integer that turned it."""
    margin, _, sides, _ = run(args, dy, k)
    before, margin = np.asarray(sides)[k], int(margin)
    leaves, tree = jax.tree.flatten(args)
    whole = [i for i, leaf in enumerate(leaves) if _counts(leaf)]

    def turns(moved) -> bool:
        return bool((np.asarray(run(moved, dy, k)[2])[k] != before).any())

    for i, sign, more in itertools.product(whole, (-1, 1), (0, -1, 1)):
        leaf = np.asarray(leaves[i])
        moved = leaf + np.asarray(sign * margin + more, leaf.dtype)
        end = moved.max() if (moved > leaf).all() else moved.min()
        others = np.arange(leaf.size).reshape(leaf.shape) % 2
        values = moved, np.full_like(leaf, end), np.where(others, leaf, end)
        near = [tree.unflatten([*leaves[:i], v, *leaves[i + 1 :]]) for v in values]
        if turns(near[0]):
            return [near[0], *filter(turns, near[1:])]
    return []


def _counts(leaf) -> bool:
    """Whether it holds integers: of answers, 0 and 1, one that is missing may be -1."""
    kind = kind_of(leaf)
    return kind == "int" or (kind == "mask" and not is_float(leaf))


def _ways(run, args: tuple, dy, k: int, exact: bool, narrow: bool) -> list[tuple]:
    """The inputs at which comparison k turns: by the entry that is nearest, by that of
    the inputs with other signs, as an absolute value has two bounds, twice as far as
    each, for at the bound itself both sides may be equal, and where the entries that it
    depends on are zero, as at the point that a guard is for."""
    search = partial(_search, run, dy=dy, k=k, exact=exact, narrow=narrow)
    reversed_ = with_floats(
        args, [-a if kind_of(a) == "real" else a for a in float_leaves(args)]
    )
    emptied = _emptied(run, args, dy, k, exact)
    found = [search(args), search(reversed_)]
    if not exact:
        pairs = zip((args, reversed_), tuple(found), strict=True)
        found += [_beyond(run, a, moved, dy, k, narrow) for a, moved in pairs if moved]
    return [moved for moved in (*found, emptied) if moved is not None]


def _beyond(run, args: tuple, moved: tuple, dy, k: int, narrow: bool) -> tuple | None:
    """The inputs moved twice as far, if they are past the bound there too."""
    before, after = float_leaves(args), float_leaves(moved)
    with np.errstate(all="ignore"):
        floats = [
            np.where(np.isfinite(a), 2 * np.asarray(b) - a, a)
            for a, b in zip(before, after, strict=True)
        ]
    sizes = [float(np.max(np.abs(a), initial=1e-300)) for a in before]
    if not all(map(partial(_stays, narrow=narrow), floats, before, sizes)):
        return None
    far = with_floats(moved, floats)
    sides = [np.asarray(run(inputs, dy, k)[2])[k] for inputs in (moved, far)]
    return far if (sides[0] == sides[1]).all() else None


def _emptied(run, args: tuple, dy, k: int, exact: bool) -> tuple | None:
    """The inputs with zeros for what comparison k depends on, if it turns by that; for
    positive numbers too where it asks for equality, of a sum of them with 0 say."""
    movable = MOVABLE if exact else MOVABLE[:1]
    _, slopes, sides, _ = run(args, dy, k)
    floats = [np.asarray(a) for a in float_leaves(args)]
    zeros = [
        np.where(np.asarray(slope) != 0, 0, a) if kind_of(a) in movable else a
        for a, slope in zip(floats, slopes, strict=True)
    ]
    moved = with_floats(args, zeros)
    before, after = np.asarray(sides)[k], np.asarray(run(moved, dy, k)[2])[k]
    return moved if (before != after).any() else None


def _search(run, args: tuple, dy, k: int, exact: bool, narrow: bool) -> tuple | None:
    """The inputs after as many steps as turn comparison k."""
    floats = [np.asarray(a) for a in float_leaves(args)]
    movable = [kind_of(a) in MOVABLE for a in floats]
    sizes = [float(np.max(np.abs(a), initial=1e-300)) for a in floats]
    before = None
    for _ in range(STEPS):
        near = with_floats(args, floats)
        margin, gradients, sides, bound = run(near, dy, k)
        sides = np.asarray(sides)[k]
        if before is not None and (sides != before).any():
            guards = bound and not GUARD <= bound <= 1 / GUARD
            return None if guards else near
        before = sides if before is None else before
        step = _step(float(margin), gradients, movable, exact)
        if step is None:
            return None
        with np.errstate(all="ignore"):
            floats = [
                np.where(np.abs(b := a + s) < NOTHING * size, 0.0, b)
                for a, s, size in zip(floats, step, sizes, strict=True)
            ]
        given = zip(floats, float_leaves(args), sizes, strict=True)
        if not all(_stays(*leaf, narrow) for leaf in given):
            return None
    return None


def _step(margin: float, gradients: list, movable: list, exact: bool) -> list | None:
    """To the nearest point at which the margin would be zero, or just beyond it."""
    slopes = [np.asarray(g) * can for g, can in zip(gradients, movable, strict=True)]
    square = sum(float((np.abs(g) ** 2).sum()) for g in slopes)
    if not (np.isfinite(margin) and np.isfinite(square) and square > 0):
        return None
    factor = -margin * (1 if exact else 1 + BEYOND) / square
    return [factor * g for g in slopes]


def _stays(now, given, size: float, narrow: bool) -> bool:
    """Whether a leaf is still of its kind."""
    given = np.asarray(given)
    if not np.isfinite(now[np.isfinite(given)]).all():
        return False
    if kind_of(given) == "positive" and (now < 0).any():
        return False
    far = (NEAR if narrow else FAR) * size
    return bool(np.max(np.abs(now), where=np.isfinite(now), initial=0.0) <= far)


@lru_cache(maxsize=128)
def _margins(subject: Subject) -> tuple[Callable, dict]:
    """(args, dy, k) -> the smallest margin of comparison k, its gradient, of each
    comparison whether it was ever true, ever false, and between which size of numbers
    it was closest; and (line, whether it asks for equality) of each."""
    places: dict = {}

    def margins(args, dy):
        found: list = []
        step = _watch(found)
        opened(subject.plain, step)(*args)
        closed = traced_gradients(subject, args, dy)
        evaluate(closed, jax.tree.leaves((args, dy)), step)
        rows, places[signature(args)] = zip(*found, strict=True)
        return tuple(map(jnp.stack, zip(*rows, strict=True)))

    def run(args, dy, k):
        def chosen(floats):
            found, bounds, sides = margins(with_floats(args, floats), dy)
            return found[k], (sides, bounds[k])

        floats = float_leaves(args)
        margin, slope, rest = jax.vjp(chosen, floats, has_aux=True)
        return margin, slope(jnp.ones_like(margin))[0], *rest

    return compiled(run), places


def _watch(found: list):
    def step(eqn, ins):
        if compares_inside(eqn):
            outs, inside = noted(eqn, ins, _watch, NOWHERE)
            found.extend((_nearest_of(*rows), place) for rows, place in inside)
            return outs
        if (asked := answer(eqn, ins)) is None:
            return None
        outs, sides = asked
        place = line_of(eqn), eqn.primitive.name in ("eq", "ne"), not is_float(ins[0])
        found.append(((*_nearest(*ins), sides), place))
        return outs

    return step


def _nearest(a, b):
    """The margin of the entry that is nearest to a change, and the size of what it is
    compared with."""
    a, b = (jnp.asarray(x).astype(float) for x in (a, b))
    margin = jnp.ravel(a - b)
    i = _least(margin)
    both = jnp.broadcast_arrays(jnp.abs(a), jnp.abs(b))
    bound = jnp.ravel(jnp.minimum(*both))[i]
    return margin[i], jax.lax.stop_gradient(bound)


def _nearest_of(margins, bounds, sides):
    """Of all steps of a loop."""
    i = _least(margins)
    return margins[i], bounds[i], sides.any(0)


def _least(margin):
    size = jax.lax.stop_gradient(jnp.abs(margin))
    return jnp.argmin(jnp.where(jnp.isfinite(size), size, jnp.inf))

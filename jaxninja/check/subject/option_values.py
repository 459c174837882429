"""Neighbours of a static option that lists no values: numbers, strings, None, tuples.

They are guesses. Those at which the forward does not run are dropped where they are
used; what is wrong there is a difference between rule and reference, never the guess.
"""

import dis
import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from types import CodeType
from typing import Any

import jax
import numpy as np

from jaxninja.check.subject.pytrees import is_float

Run = Callable[[Any], object]
COMPARISONS = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
SHORT = 24  # characters of a string that may name a way to do it
FEW = 3  # integers below it may be axes, and have two neighbours
COUNTS = "iter", "step", "max", "term", "order", "degree", "bit"  # fewer lose digits
LABELS = 4
OTHER = "another"  # a string for what comes after all that a function asks for


def neighbours(name: str, value, default, arrays: tuple, run: Run, strings) -> Iterator:
    """Other values of an option, the likeliest first.

    Args:
        name: of the option.
        value: as given.
        default: that of the signature, `inspect.Parameter.empty` if it has none.
        arrays: arguments, whose ranks bound an axis and whose integers may be labels.
        run: the forward with another value of the option.
        strings: what the forward's code holds, from `strings_of`.
    """
    guesses = [] if default is inspect.Parameter.empty else [default]
    if value is None:
        guesses += [-1, 0, 0.7, True]
    elif isinstance(value, str):
        guesses += [*compared(run, value), *strings]
    elif isinstance(value, int):
        guesses += [*compared(run, value), *_integers(name, value, arrays, run)]
    elif isinstance(value, float):
        guesses += [*compared(run, value), *_floats(value)]
    elif isinstance(value, tuple):
        guesses += _tuples(value)
    if default is None:
        guesses.append(None)
    seen = [value]
    for guess in guesses:
        if not any(type(guess) is type(s) and guess == s for s in seen):
            seen.append(guess)
            yield guess


def compared(run: Run, value) -> list:
    """What the forward compares the option with in Python: strings, and numbers that
    are a case of their own; the bounds of a range are none."""
    kind, found = type(value), []
    methods = COMPARISONS if kind is str else COMPARISONS[:2]

    def recording(method: str) -> Callable:
        def compare(self, other):
            if type(other) is kind or (kind is float and type(other) is int):
                found.append(kind(other))  # an exponent is compared with 2 as with 2.0
            return getattr(kind, method)(self, other)

        return compare

    changed: dict = {method: recording(method) for method in methods}
    watched = type(kind.__name__, (kind,), {**changed, "__hash__": kind.__hash__})
    with suppress(Exception):  # it may refuse this type; what came before is known
        run(watched(value))
    return list(dict.fromkeys(found))


def after_all(run: Run, rule: Run) -> list[str]:
    """A string that is none of those that the forward compares with, where the rule
    compares with the same ones: then both do what comes after them."""
    asked = {*compared(run, OTHER)}
    return [OTHER] if asked and asked == {*compared(rule, OTHER)} else []


def asks_for_none(function: Callable) -> bool:
    """Whether its code asks `is None`, or that of a function which it closes over or
    finds in its module."""
    function = inspect.unwrap(function)
    if getattr(function, "__code__", None) is None:
        return False
    variables = inspect.getclosurevars(function)
    near = (*variables.nonlocals.values(), *variables.globals.values())
    return any(
        _asks_for_none(f.__code__) for f in (function, *near) if inspect.isfunction(f)
    )


def _asks_for_none(code: CodeType) -> bool:
    steps = list(dis.get_instructions(code))
    if any(step.opname.endswith(("IF_NONE", "IF_NOT_NONE")) for step in steps):
        return True
    for step, then in pairwise(steps):
        none = step.opname == "LOAD_CONST" and step.argval is None
        if none and then.opname == "IS_OP":
            return True
    inner = (c for c in code.co_consts if isinstance(c, CodeType))
    return any(map(_asks_for_none, inner))


def strings_of(function: Callable) -> list[str]:
    """Short strings in a function's code, and the keys of the tables that it reads."""
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    found = [s for s in _constants(code) if s.isidentifier() or s == ""]
    variables = inspect.getclosurevars(function)
    for table in (*variables.nonlocals.values(), *variables.globals.values()):
        if isinstance(table, dict):
            found += [key for key in table if isinstance(key, str)]
    return [s for s in dict.fromkeys(found) if len(s) < SHORT]


def _constants(code: CodeType) -> Iterator[str]:
    """Strings in code and in what is defined within, without docstrings and the names
    of arguments in calls."""
    docstring, names = code.co_consts[:1], _names_in_calls(code)
    for constant in code.co_consts:
        parts = constant if isinstance(constant, tuple | frozenset) else (constant,)
        for part in () if constant in names else parts:
            if isinstance(part, CodeType):
                yield from _constants(part)
            elif isinstance(part, str) and (part,) != docstring:
                yield part


def _names_in_calls(code: CodeType) -> list[tuple]:
    steps = list(dis.get_instructions(code))
    values: Any = code.co_consts
    named = [values[s.arg] for s in steps if s.opname == "KW_NAMES"]
    pairs = pairwise(steps)
    return named + [one.argval for one, then in pairs if then.opname == "CALL_KW"]


def _integers(name: str, value: int, arrays: tuple, run: Run) -> list[int]:
    rank = max((np.ndim(a) for a in jax.tree.leaves(arrays)), default=0)
    labels = _labels(arrays)
    others = axes(value, rank) if -rank <= value < rank else []
    if is_axis(name):
        return others
    if value >= 0 and others and run(others[-1]) != run(value):
        others = []  # no axis, which the same one counted from the end would be
    if value < -rank or (value < 0 and value in labels):  # a label that is ignored, say
        return [*labels, value + 1]
    if value >= FEW:
        more = [value + 1, 2 * value, value // 2]
        counts = any(text in name for text in COUNTS)
        less = _smaller(value)
        fits = not counts and less > _largest(arrays)
        return [less, *more] if fits else more
    if value < 0:
        return [*others, value - 1]
    return [value + 1, *others, 2 * value]


def is_axis(name: str) -> bool:
    return "ax" in name or "dim" in name


def axes(value: int, rank: int) -> list[int]:
    """Other axes, counted from the other end; then the same one, counted so."""
    other = [i for i in range(rank) if i != value % rank]
    if value >= 0:
        return [*(i - rank for i in reversed(other)), value - rank]
    return [*other, value + rank]


def _smaller(value: int) -> int:
    """About half of it and no part: a window below what it slides over, a block that
    leaves a rest."""
    half = value // 2 - (value % 4 == 0)
    return half if half >= FEW and value % half else value - 1


def _labels(arrays: tuple) -> list[int]:
    """The first few integers among the arguments, if these are not all one."""
    leaves = (np.asarray(a) for a in jax.tree.leaves(arrays) if _holds_integers(a))
    values = [int(v) for a in leaves for v in np.unique(a)[:LABELS]]
    return list(dict.fromkeys(values))


def _largest(arrays: tuple) -> int:
    """The largest integer among the arguments: fewer segments than that are too few."""
    whole = [a for a in jax.tree.leaves(arrays) if _holds_integers(a) and np.size(a)]
    return max((int(np.max(a)) for a in whole), default=0)


def _holds_integers(leaf) -> bool:
    is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return not is_key and not is_float(leaf) and leaf.dtype != bool


def _floats(value: float) -> list[float]:
    """Near to what was given: where it converges, it should do so still."""
    if not np.isfinite(value):
        return []
    if value == 0:
        return [0.3]
    return [_part(value, 0.7 if value <= 1 else 1.3)]


def _tuples(value: tuple) -> list[tuple]:
    """Integers, or pairs of them: each one more, the first alone, the order, fewer; of
    a single one, an axis perhaps, that and its neighbour; of equal numbers each another
    one first, for these hide an exchange; of labels the same groups otherwise."""
    if not value:
        return []
    if groups_of(value) or _permutes(value):
        return [value[::-1], (*value[1:], value[0])]
    grown = [_grown(v) for v in value]
    if grown[0] is None or None in grown:
        return [value[::-1], value[:-1]]
    first = (grown[0], *value[1:])
    apart = [_apart(value)] if len({*value}) < len(value) else []
    changed = [*apart, tuple(grown), first, value[::-1], value[:-1]]
    last = value[-1]
    if len(value) > 1 or not isinstance(last, int):
        return changed
    return [(last - 1, last) if last < 0 else (last, last + 1), *changed]


def groups_of(value) -> int:
    """Into how many groups a static option divides what it names, (0, 0, 1) two; 0 for
    what does nothing of the kind. With more, one would be empty."""
    whole = isinstance(value, tuple) and all(type(label) is int for label in value)
    if not whole:
        return 0
    count = len({*value})
    return count if {*range(count)} == {*value} and 1 < count < len(value) else 0


def _permutes(value: tuple) -> bool:
    """(2, 0, 1) names each of three places once, and no others are there."""
    mixed = len(value) > 2 and all(type(v) is int for v in value)
    places = [*range(len(value))]
    return mixed and sorted(value) == places != [*value]


def _apart(value: tuple) -> tuple:
    """Grown entries, equal ones by different amounts."""
    found: list = []
    for v in value:
        while (v := _grown(v)) in found:
            pass
        found.append(v)
    return tuple(found)


def _grown(value):
    if isinstance(value, tuple):
        parts = tuple(map(_grown, value))
        return None if None in parts else parts
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole:
        return value + 1
    # of zero no part is another number
    return (_part(value, 0.7) or 0.3) if isinstance(value, float) else None


def _part(value: float, factor: float) -> float:
    return float(f"{value * factor:.3g}")

"""What the integers of a rule are to each other and to the sizes of its arrays.

Offsets end with the rows that they divide, lengths add up to them, a permutation stands
beside its inverse, a parent before its children. Integers that are drawn anew without
it are none of the function's, and no right rule need know what happens there. A
relation is a position among the arguments, and what its integers are by the others.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from jaxninja.check.inputs.kinds import is_sorted, kind_of
from jaxninja.check.subject.pytrees import is_float

Relation = tuple[int, Callable[[list], np.ndarray]]

POINTERS = "ptr", "offset", "splits", "cu_"
PERMUTATIONS = "perm", "order", "restore", "shuffle"
LENGTHS = "size", "count", "len", "repeat", "num", "split"
PARENTS = ("parent",)


def relations(names: tuple[str, ...], args: tuple) -> tuple[Relation, ...]:
    """Those that hold as given, in the order in which they are to be restored.

    What could be so by chance counts by its name only: labels 0, 1, 2 are offsets as
    well, and a permutation.
    """
    whole = {
        i: np.asarray(a)
        for i, a in enumerate(args)
        if hasattr(a, "dtype") and kind_of(a) == "int" and np.size(a)
    }
    kinds = (_pointers, _permutations, _parents, _lengths, _steps, _inverses)
    return tuple(held for kind in kinds for held in kind(names, args, whole))


def restored(args: list, held: tuple[Relation, ...]) -> list:
    """The arguments with all relations as they were."""
    found = list(args)
    for i, made in held:
        found[i] = made(found).astype(found[i].dtype)
    return found


def _named(name: str, parts: tuple[str, ...]) -> bool:
    return any(part in name.lower() for part in parts)


def _pointers(names, args, whole) -> Iterator[Relation]:
    """Integers that rise from 0 to the number of rows of another argument, or are named
    so."""
    for i, values in whole.items():
        if values.ndim != 1 or values.size < 2 or values[0]:
            continue
        if (np.diff(values) < 0).any():
            continue
        rows, named = _rows(args, i, int(values[-1])), _named(names[i], POINTERS)
        uneven = is_sorted(values)
        first = rows is not None and rows == _first_floats(args)
        if named or (rows is not None and uneven) or (first and values[-1] > 1):
            yield i, partial(_from_0_to_rows, i, rows)


def _from_0_to_rows(i: int, rows: int | None, args: list):
    found = np.maximum(np.sort(args[i]), 0)
    found[0] = 0
    if rows is not None:
        count = np.shape(args[rows])[0]
        found = np.minimum(found, count)
        found[-1] = count
    return found


def _permutations(names, args, whole) -> Iterator[Relation]:
    """Rows that are each a permutation, or one that is named so."""
    for i, values in whole.items():
        several = values.ndim > 1 and values.shape[-1] > 2 and values.shape[0] > 1
        named = values.ndim == 1 and _named(names[i], PERMUTATIONS)
        if (several or named) and _permutes(values):
            yield i, partial(_as_permutation, i)


def _as_permutation(i: int, args: list):
    """The one that its numbers are sorted by."""
    return np.argsort(args[i], kind="stable").argsort()


def _permutes(values: np.ndarray) -> bool:
    return bool((np.sort(values) == np.arange(values.shape[-1])).all())


def _inverses(names, args, whole) -> Iterator[Relation]:
    """The second of two permutations of which each is the other's inverse."""
    several = (i for i, v in whole.items() if v.ndim and v.shape[-1] > 2)
    mixed = [
        i for i in several if _permutes(whole[i]) and (np.diff(whole[i]) < 0).any()
    ]
    for i in mixed:
        for j in mixed:
            if i < j and np.array_equal(np.argsort(whole[i]), whole[j]):
                yield i, partial(_as_permutation, i)
                yield j, partial(_inverse, i, j)


def _inverse(i: int, j: int, args: list):
    alike = np.shape(args[i]) == np.shape(args[j])
    return np.argsort(args[i], kind="stable") if alike else args[j]


def _parents(names, args, whole) -> Iterator[Relation]:
    """Each before its child; the first has none, or is its own."""
    for i, values in whole.items():
        if values.ndim != 1 or values.size < 3 or values[0] not in (-1, 0):
            continue
        known = values[0] < 0 or _named(names[i], PARENTS)
        if known and (values[1:] < np.arange(1, values.size)).all():
            yield i, partial(_before_children, i, values[0])


def _before_children(i: int, root: int, args: list):
    found = np.minimum(args[i], np.arange(len(args[i])) - 1)
    found[0] = root
    return found


def _lengths(names, args, whole) -> Iterator[Relation]:
    """Named so, and adding up to the number of rows of the first array of numbers: of
    those of a batch that is padded some do by chance, to a number of channels."""
    for i, values in whole.items():
        if values.ndim != 1 or values.size < 2 or values.min() < 0:
            continue
        rows = _rows(args, i, int(values.sum()))
        first = rows is not None and rows == _first_floats(args)
        if first and _named(names[i], LENGTHS):
            yield i, partial(_adding_up, i, rows)


def _adding_up(i: int, rows: int, args: list):
    count = np.shape(args[rows])[0]
    ends = np.minimum(np.cumsum(np.maximum(args[i], 0)), count)
    ends[-1] = count
    return np.diff(ends, prepend=0)


def _steps(names, args, whole) -> Iterator[Relation]:
    """Lengths beside their running sums, which may begin with a 0."""
    for i, steps in whole.items():
        for j, sums in whole.items():
            if i == j or steps.ndim != 1 or sums.ndim != 1 or steps.size < 2:
                continue
            leads = sums.size == steps.size + 1 and sums[0] == 0
            taken = sums if leads else np.append(0, sums)
            if taken.size == steps.size + 1 and np.array_equal(np.diff(taken), steps):
                yield j, partial(_running_sums, i, j, leads)


def _running_sums(i: int, j: int, leads: bool, args: list):
    if np.size(args[j]) != np.size(args[i]) + leads:
        return args[j]
    sums = np.cumsum(args[i])
    return np.append(0, sums) if leads else sums


def _rows(args: tuple, i: int, count: int) -> int | None:
    """The first other argument that has so many."""
    for j, arg in enumerate(args):
        if j != i and np.shape(arg)[:1] == (count,) and hasattr(arg, "dtype"):
            return j
    return None


def _first_floats(args: tuple) -> int | None:
    found = (i for i, a in enumerate(args) if hasattr(a, "dtype") and is_float(a))
    return next(found, None)

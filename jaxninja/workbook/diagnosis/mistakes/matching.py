"""Which known mistakes give a learner's numbers on every sample looked at?"""

from functools import cache
from typing import Any

import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.diagnosis.mistakes.known_mistakes import (
    WHOLES,
    Mistake,
    mistakes,
    omitted,
)
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint
from jaxninja.workbook.samples import Sample

# One of many arrays in place of another may give the same numbers by chance.
TOO_MUCH = ("extra factor", "extra division")
SWAPS = frozenset({"saved", "all saved", "upstream", "value", "slope", *TOO_MUCH})
# Said where no edit of a line explains the numbers.
LAST = (*WHOLES, *TOO_MUCH)


def known(exercise, name, piece: Piece, pairs) -> tuple[Hint | None, Hint | None]:
    """The known mistake that gives the learner's numbers everywhere, and one that may
    do so by chance.

    Of several it is the one whose names are the learner's: to multiply by an array may
    be to divide by another.
    """
    if _is_right(name, pairs):
        return None, None
    spaces = _spaces(exercise, name, pairs)
    found = sorted(
        (m for m in _mistakes(exercise, name) if _explains(m, name, spaces)),
        key=lambda m: (
            not _is_written(m, piece.used),
            m.hint.code in LAST,
            _other_names(exercise, m, piece),
            m.hint.code in SWAPS,
        ),
    )
    if not found:
        return None, None
    hint = found[0].hint.of(name)
    sure = any(m.hint.code not in SWAPS for m in found)
    return hint if sure else None, hint


def left_out(exercise: Exercise, name: str, piece: Piece, pairs) -> list[Hint]:
    """What is missing, where it is more than one thing; as little as explains it."""
    if _is_right(name, pairs):
        return []
    spaces = _spaces(exercise, name, pairs)
    found = [m for m in _omitted(exercise, name) if _explains(m, name, spaces)]
    found.sort(key=lambda m: (len(m.hints), _other_names(exercise, m, piece)))
    return [hint.of(name) for one in found[:1] for hint in one.hints]


def _other_names(exercise: Exercise, mistake: Mistake, piece: Piece) -> int:
    """How many arrays either the mistake or the learner reads, and not the other."""
    names = {*exercise.known, *exercise.gradients}
    return len((mistake.reads ^ piece.used) & names)


def _is_right(name: str, pairs) -> bool:
    truths = [np.asarray(wide(example.truth[name])) for example, _ in pairs]
    return all(map(same, [mine for _, mine in pairs], truths))


def _is_written(mistake: Mistake, used) -> bool:
    """Whether an array that stands where another should does stand there."""
    facts, code = mistake.hint.facts, mistake.hint.code
    new = facts.get("extra" if code in TOO_MUCH else "new", "")
    return code not in SWAPS or {*str(new).split(", ")} <= {*used}


@cache
def _mistakes(exercise: Exercise, name: str) -> tuple[Mistake, ...]:
    return tuple(mistakes(exercise, name))


@cache
def _omitted(exercise: Exercise, name: str) -> tuple[Mistake, ...]:
    return tuple(omitted(exercise, name))


def _spaces(exercise, name, pairs) -> list[tuple[dict[str, Any], np.ndarray]]:
    return [(_space(exercise, name, example), mine) for example, mine in pairs]


@cache
def _space(exercise: Exercise, name: str, example: Sample) -> dict[str, Any]:
    """What the solution's lines for a gradient may read, as NumPy's arrays."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, example).items()}
    return {k: numpy_backend.array(a) for k, a in {**example.values, **grads}.items()}


def _explains(mistake: Mistake, name: str, spaces) -> bool:
    return all(_gives(mistake.body, space, name, mine) for space, mine in spaces)


def _gives(body, space: dict, name: str, mine: np.ndarray) -> bool:
    """Whether the mistake gives these numbers."""
    try:
        return same(mine, wide(numpy_backend.run(body, space, f"d{name}")))
    except Exception:  # a mistake whose shapes do not fit here
        return False


def same(mine: np.ndarray, other: np.ndarray) -> bool:
    """Whether they are equal but for rounding, and not finite at the same places."""
    if mine.shape != other.shape:
        return False
    finite = np.isfinite(other)
    if not finite.all():
        same_rest = np.array_equal(mine[~finite], other[~finite], equal_nan=True)
        some = bool(finite.any())
        return same_rest and some and same(mine[finite], other[finite])
    size = float(np.abs(other).max(initial=0.0)) or 1e-12
    return difference(mine, other, 1e-8 * size).ok

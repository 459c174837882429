"""Why a gradient is wrong: known mistakes first, then the checker's own diagnosis.

A mistake is told only if it gives the learner's numbers on every sample looked at.
"""

from functools import cache
from typing import Any

import numpy as np

from jaxninja.check.compare import difference, wide
from jaxninja.workbook import samples
from jaxninja.workbook.code.snippets import Piece
from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.diagnosis.factors import factor
from jaxninja.workbook.diagnosis.known_mistakes import mistakes
from jaxninja.workbook.diagnosis.via_checker import ask
from jaxninja.workbook.exercises import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.graph import frontier
from jaxninja.workbook.samples import Sample


def why(exercise: Exercise, name: str, piece: Piece, mine: Any) -> list[str]:
    """Sentences on a wrong gradient, the likeliest first; empty if nothing fits.

    Args:
        exercise, name: which gradient.
        piece: the learner's lines for it.
        mine: what they gave on the sample where it was found wrong.
    """
    if (narrow := _narrow(mine)) and np.ndim(mine):
        return [narrow]
    pairs = _computed(exercise, name, piece)
    if not pairs:
        return []
    if found := _known(exercise, name, pairs) or factor(name, pairs):
        start = "" if found.startswith(f"d{name} ") else f"d{name}: "
        return [f"{start}{found}."]
    if found := _general(exercise, name, pairs):
        return found
    if not all(np.isfinite(mine).all() for _, mine in pairs):
        return [f"d{name} is NaN or infinite: look for 0 / 0, 1 / 0 and log(0)."]
    return _tiny(name, pairs) or ask(exercise, name, piece)


def contexts(exercise: Exercise, name: str) -> list[Sample]:
    """Samples that tell mistakes apart: a pair, ties, every probe above the array."""
    probes = [
        p for p in exercise.probes if name in samples.before(p) and name != p
    ]  # the probes whose upstream gradient this one is computed from
    tied = [samples.sample(samples.TIED, "float64", p) for p in ("loss", *probes)]
    return [*tied, samples.sample(samples.PAIR)]


def _computed(exercise, name, piece) -> list[tuple[Sample, np.ndarray]]:
    pairs = []
    for example in contexts(exercise, name):
        try:
            mine = piece(dict(example.values), upstream(exercise, name, example))
            pairs.append((example, wide(mine)))
        except Exception:  # told by the check itself, if it is what stopped it
            return []
    return pairs


def _narrow(mine) -> str | None:
    dtype = str(getattr(mine, "dtype", ""))
    if dtype in ("bfloat16", "float16") or dtype.startswith(("int", "uint", "bool")):
        return f"dtype: it is {dtype}, which cannot hold the gradient: use float32."
    return None


def _known(exercise, name, pairs) -> str | None:
    """The first known mistake that gives the learner's numbers everywhere."""
    truths = [_plain(example.truth[name]) for example, _ in pairs]
    if all(map(_same, [mine for _, mine in pairs], truths)):
        return None
    spaces = [_space(exercise, name, example) for example, _ in pairs]
    for mistake in mistakes(exercise.worked, name, exercise.gradients):
        if all(
            _gives(mistake.body, space, name, mine)
            for space, (_, mine) in zip(spaces, pairs, strict=True)
        ):
            return mistake.sentence
    return None


@cache
def _space(exercise: Exercise, name: str, example: Sample) -> dict[str, Any]:
    """What the solution's lines for a gradient may read, as NumPy's arrays."""
    grads = {f"d{k}": a for k, a in upstream(exercise, name, example).items()}
    return {k: numpy_backend.array(a) for k, a in {**example.values, **grads}.items()}


def _gives(body, space: dict, name: str, mine: np.ndarray) -> bool:
    """Whether the mistake gives these numbers."""
    try:
        return _same(mine, wide(numpy_backend.run(body, space, f"d{name}")))
    except Exception:  # a mistake whose shapes do not fit here
        return False


def _plain(array) -> np.ndarray:
    return np.asarray(wide(array))


def _same(mine: np.ndarray, other: np.ndarray) -> bool:
    if mine.shape != other.shape:
        return False
    if not (np.isfinite(mine).all() and np.isfinite(other).all()):
        return np.array_equal(mine, other, equal_nan=True)
    size = float(np.abs(other).max(initial=0.0)) or 1e-12
    return difference(mine, other, 1e-6 * size).ok


def _general(exercise, name, pairs) -> list[str]:
    """What can be said without knowing the mistake."""
    by_loss = [(example, mine) for example, mine in pairs if example.probe == "loss"]
    if not all(_right(example, name, mine) for example, mine in by_loss):
        return []
    names = ", ".join(f"d{k}" for k in sorted(_sources(exercise, name)))
    return [
        f"d{name} is right for the lecture's loss, but it does not follow from {names}:"
        " with another upstream gradient it is wrong. Apply the chain rule to this step"
        " alone (exercises 2 and 3 are for short cuts)."
    ]


def _tiny(name: str, pairs) -> list[str]:
    """An error that float32 would not show."""
    errors = [
        difference(mine, example.truth[name], 0.0).error / example.scale(name)
        for example, mine in pairs
    ]
    if not 0.0 < max(errors) < 1e-5:
        return []
    return [
        f"d{name} is off by {max(errors):.0e} of its largest entry: too little to show "
        "in float32, too much for rounding in float64. Is something small added, a "
        "number cut short, an array cast to float32?"
    ]


def _right(example: Sample, name: str, mine: np.ndarray) -> bool:
    truth = wide(example.truth[name])
    same = mine.shape == truth.shape
    return same and difference(mine, truth, 1e-9 * example.scale(name)).ok


def _sources(exercise, name) -> set[str]:
    known = frozenset((*exercise.given, *exercise.names))
    return frontier(name, known)[0]

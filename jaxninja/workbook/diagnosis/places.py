"""The right numbers in the wrong places: where do they land?

Some gradients, and some branches, are zero but for one place in each row: that of the
target, or of the maximum. Who indexes all columns, or those of another row, has the
right numbers there and elsewhere.
"""

import ast
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxninja.workbook.diagnosis import numpy_backend
from jaxninja.workbook.exercise import Exercise
from jaxninja.workbook.gradient import upstream
from jaxninja.workbook.hints import Hint, say
from jaxninja.workbook.samples import Sample
from jaxninja.workbook.texts.languages import sentence

Pairs = Sequence[tuple[Sample, np.ndarray]]


class Part(NamedTuple):
    """A branch, or the whole, of a gradient on one sample: the learner's, the true."""

    mine: np.ndarray
    truth: np.ndarray
    size: float  # of what counts as zero


def landed(exercise: Exercise, name: str, pairs: Pairs) -> Hint | None:
    """Where numbers land that belong elsewhere, in the first row that shows it."""
    for branch, parts in _branches(exercise, name, pairs):
        found = [_row(part) for part in parts if np.abs(part.truth).max() > part.size]
        if found and all(found):
            row, columns, place = next(f for f in found if f)
            every = len(columns) == parts[0].truth.shape[1]
            text = sentence("its branch" if branch else "its numbers", branch=branch)
            where, place = _columns(columns, every), sentence("column", column=place)
            place = sentence("alone", place=place) if columns else place
            facts = dict(row=row, place=place, where=where, branch=text)
            return say("lands", name=name, **facts)
    return None


def _columns(columns: Sequence[int], every: bool) -> str:
    """Which columns, in words."""
    if len(columns) == 1:
        return sentence("column", column=columns[0])
    some = "columns" if columns else "no column"
    listed = ", ".join(map(str, columns))
    return sentence("all columns" if every else some, columns=listed)


def _branches(exercise: Exercise, name: str, pairs: Pairs) -> Iterator[tuple[str, Any]]:
    """Each branch, by the step that it comes from; "" for the whole of one."""
    body = [s.node for s in exercise.worked.piece(f"d{name}", exercise.gradients)]
    if any(mine.ndim != 2 or mine.shape != _true(s, name).shape for s, mine in pairs):
        return
    if len(body) != 2:
        yield "", [Part(m, _true(s, name), 1e-9 * s.scale(name)) for s, m in pairs]
        return
    read = {n.id for n in ast.walk(body[0]) if isinstance(n, ast.Name)}
    uses = exercise.network.uses(name)
    children = sorted((c.name for c in uses), key=lambda c: f"d{c}" not in read)
    firsts = [_first(exercise, name, body, s) for s, _ in pairs]
    for branch, of_first in zip(children, (True, False), strict=False):
        parts = []
        for (sample, mine), first in zip(pairs, firsts, strict=True):
            truth = _true(sample, name)
            other = truth - first if of_first else first
            size = 1e-9 * sample.scale(name)
            parts.append(Part(mine - other, truth - other, size))
        yield branch, parts


def _true(sample: Sample, name: str) -> np.ndarray:
    """A tied maximum's gradient at its first place, as argmax has it."""
    return np.asarray((*sample.ties.get(name, ()), sample.truth[name])[0])


def _first(exercise, name: str, body: list[ast.stmt], sample: Sample) -> np.ndarray:
    grads = {f"d{k}": a for k, a in upstream(exercise, name, sample).items()}
    space = {**sample.values, **grads}
    arrays = {k: numpy_backend.array(a) for k, a in space.items()}
    return np.asarray(numpy_backend.run(body[:1], arrays, f"d{name}"))


def _row(part: Part) -> tuple[int, list[int], int] | None:
    """A row, the columns that it has numbers in, and the one where it should.

    None unless all numbers are among those that belong somewhere.
    """
    mine, truth = (np.abs(a) > part.size for a in (part.mine, part.truth))
    if (truth.sum(1) > 1).any():
        return None
    values = part.truth[truth]
    gaps = np.abs(part.mine[mine][:, None] - values[None, :])
    if not mine.any() or (gaps.min(1) > 100 * part.size).any():
        return None
    for k in np.flatnonzero(truth.any(1)):
        if (mine[k] != truth[k]).any():
            place = int(np.flatnonzero(truth[k])[0])
            return int(k), np.flatnonzero(mine[k]).tolist(), place
    return None

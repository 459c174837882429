"""Which edits of a backward pass are mutants: they run, and change a gradient."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxninja.check.oracle.truth import gradient_leaves
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.pytrees import cast, cotangent, float_leaves
from jaxninja.check.subject.subject import Subject
from jaxninja.errors import ArgumentError
from jaxninja.mutation.enumeration import Change, changes, with_edits

MARGIN = 1e-6  # of the largest entry of a gradient; less is called equivalent


class Mutant(NamedTuple):
    """A backward pass with one mistake.

    Attributes:
        number: in the list of all edits of this backward pass, equivalent ones too.
        change: what was done.
        bwd: the wrong backward pass, called like the right one.
    """

    number: int
    change: Change
    bwd: Any

    def __str__(self) -> str:
        lines = sorted(self.change.edit.lines)
        at = f" (line {', '.join(map(str, lines))})" if lines else ""
        edit = self.change.edit
        place = " ".join(str(part) for part in edit.site[:2])
        several = edit.place == "equation" and isinstance(edit.change, partial)
        which = f" {edit.site[2] + 1}" if several else ""  # of the operands
        return f"{edit.operator}{which} at {place}{at}"


class Traced(NamedTuple):
    """A backward pass at float64 arguments, and all edits of it."""

    args: tuple
    residuals: Any
    dy: Any
    changes: list[Change]


def traced(subject: Subject, args: tuple, seed: int = 0) -> Traced:
    """Residuals, a random cotangent, and the edits that they allow."""
    with jax.enable_x64(True):
        args = cast(args, "float64")
        y, residuals = compiled(lambda a: subject.fwd(a))(args)
        dy = cotangent(y, _cotangents(y, seed))
        found = changes(subject.bwd_function, subject.static, residuals, dy)
        return Traced(args, residuals, dy, list(found))


def mutants(
    subject: Subject, args: tuple, count: int = 0, seed: int = 0
) -> list[Mutant]:
    """First-order mutants of the subject's backward pass, told at these arguments.

    An edit is one if, in float64 and under a random cotangent, a gradient is off by
    more than MARGIN of its largest entry; what raises or returns other shapes is none.

    Args:
        count: how many, the operators taking turns: no more edits than that takes are
            tried. 0 is all.

    Raises:
        ValueError: the count is negative.
    """
    expect_count(count)
    at = traced(subject, args, seed)
    with jax.enable_x64(True):
        truth = _gradients(subject, subject.bwd_function, at)
    kinds: dict[str, list[tuple[int, Change]]] = {}
    for number, change in enumerate(at.changes):
        kinds.setdefault(change.edit.operator, []).append((number, change))
    queues = [_of_kind(subject, at, truth, kind) for kind in kinds.values()]
    return list(islice(_by_turns(queues), count or None))


def expect_count(count: int) -> None:
    """Refuse a number of mutants that is none."""
    if count < 0:
        raise ArgumentError(f"{count} mutants, expected a count, or 0 for all")


def _of_kind(subject: Subject, at: Traced, truth, numbered) -> Iterator[Mutant]:
    for number, change in numbered:
        wrong = with_edits(subject.bwd_function, (change.edit,))
        if change.order == 1 and _differs(subject, wrong, at, truth):
            yield Mutant(number, change, wrong)


def _by_turns(queues: list[Iterator]) -> Iterator:
    while queues:
        for queue in list(queues):
            try:
                yield next(queue)
            except StopIteration:
                queues.remove(queue)


def _cotangents(y, seed: int) -> list:
    rng = np.random.default_rng([seed, 0xD1])
    return [rng.normal(0.1, 1.0, a.shape).astype(a.dtype) for a in float_leaves(y)]


def _gradients(subject: Subject, bwd, at: Traced) -> list[np.ndarray]:
    run = compiled(lambda res, dy: bwd(*subject.static, res, dy))
    return [np.asarray(g) for g in gradient_leaves(run(at.residuals, at.dy), at.args)]


def _differs(subject: Subject, wrong, at: Traced, truth) -> bool:
    try:
        with jax.enable_x64(True):
            mine = _gradients(subject, wrong, at)
    except Exception:  # whatever a wrong backward pass raises: it tells of itself
        return False
    return any(map(_apart, mine, truth))


def _apart(mine: np.ndarray, truth: np.ndarray) -> bool:
    if mine.shape != truth.shape:
        return False  # JAX refuses it
    scale = float(np.abs(truth).max(initial=0.0)) or 1.0
    return not float(np.abs(mine - truth).max(initial=0.0)) <= MARGIN * scale

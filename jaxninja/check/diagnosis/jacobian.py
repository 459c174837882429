"""Two last looks at a wrong gradient: a diagonal taken for all, an edge not handled."""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.problem import Problem, is_inexact
from jaxninja.check.diagnosis.reference import Reference
from jaxninja.check.evidence import Sample

ENTRIES = 64  # of an output, to build its Jacobian from


def diagonal(
    problem: Problem, fresh: Problem, reference: Reference, budget: Budget
) -> int | None:
    """The leaf whose gradient is the diagonal of the Jacobian times dy, if one is.

    That is what comes of an elementwise derivative where outputs share their inputs:
    p (1 - p) dy for softmax.
    """
    for leaf in budget.during(sorted(problem.wrong), "diagonals"):
        if all(_is_diagonal(p, reference, leaf) for p in (problem, fresh)):
            return leaf
    return None


def _is_diagonal(problem: Problem, reference: Reference, leaf: int) -> bool:
    cotangents = jax.tree.leaves(problem.sample.dy)
    shape = problem.expected[leaf].shape
    if len(cotangents) != 1 or np.shape(cotangents[0]) != shape or len(shape) == 0:
        return False
    dy = np.asarray(cotangents[0])
    if dy.size > ENTRIES:
        return False
    model = np.zeros(shape, np.result_type(dy, problem.expected[leaf]))
    for index in np.ndindex(*shape):
        one = np.zeros(shape, dy.dtype)
        one[index] = 1
        model[index] = reference.gradients(problem, [one])[leaf][index] * dy[index]
    return problem.right(leaf) is False and _close(problem.got[leaf], model)


def _close(got, model) -> bool:
    scale = float(np.abs(model).max(initial=0.0))
    return bool(np.abs(np.asarray(got) - model).max(initial=0.0) <= 1e-9 * scale)


def at_zero(samples: Sequence[Sample]) -> tuple[str, str] | None:
    """(leaf, argument): the gradient is wrong only where that argument is 0.

    In every sample, and in one of them at least some entries are not 0.
    """
    pairs, partly_right = None, set()
    for sample in samples:
        found = dict(_at_zero(sample))
        pairs = set(found) if pairs is None else pairs & set(found)
        partly_right |= {pair for pair, partly in found.items() if partly}
    return min(pairs & partly_right, default=None) if pairs else None


def _at_zero(sample: Sample) -> Iterator[tuple[tuple[str, str], bool]]:
    floats = [np.asarray(a) for a in jax.tree.leaves(sample.args) if is_inexact(a)]
    for name, got, truth in zip(sample.names, sample.got, sample.expected, strict=True):
        scale = float(np.abs(truth).max(initial=0.0, where=np.isfinite(truth)))
        wrong = ~(np.abs(got - truth) <= 1e-9 * scale)
        for other, value in zip(sample.names, floats, strict=True):
            zero = value == 0
            if wrong.any() and zero.shape == wrong.shape and not (wrong & ~zero).any():
                yield (name, other), not zero.all()

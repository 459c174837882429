"""A trial that is off, with what roundings on the way may do to it allowed for.

How far they move the reference at this very sample is measured (`condition`), and where
the rule takes a road of its own, how far they move the rule.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxninja.check.oracle.roundings.condition import (
    DRAWS,
    MORE,
    largest_step,
    moved_by_residuals,
    moved_by_roundings,
    moved_in_rule,
)
from jaxninja.check.oracle.roundings.constants import MASKED
from jaxninja.check.oracle.setup import Setup
from jaxninja.check.oracle.tolerances import MOVED, OWN, PROVED, Trial
from jaxninja.check.oracle.trial import (
    Evaluation,
    is_of_usual_size,
    is_off,
    is_off_anywhere,
    size_of,
    top,
    wide_array,
)
from jaxninja.check.oracle.truth import gradients_as_used
from jaxninja.check.subject.pytrees import cast, unit

FAR = 100.0  # times a tolerance by a few draws of roundings: more is no bad luck
SLIGHT = 1e-6  # of what flows: what numbers of usual size may lose in float64


class Condition(NamedTuple):
    """What roundings do to each gradient and output.

    Attributes:
        gradients, y: by how much they move.
        still: of each gradient, the entries that are zero whatever moves: masked out,
            they have no terms; what a rule makes of masks alone is no rounding.
        margin: how many times that a right rule may be off.
    """

    gradients: list[np.ndarray]
    y: list[np.ndarray]
    still: list[np.ndarray]
    margin: float


def widened(setup: Setup, evaluation: Evaluation) -> Evaluation:
    """The same trials, their tolerances widened by the condition at this sample.

    It is measured where it may matter: where the rule is outside of what roundings of
    the last sums would explain. The rule may take another road, of another condition,
    if it still is; in float64 where that may explain it. Where that leaves it not far
    off, a few draws of roundings are not enough.
    """
    loose = _widened(setup, evaluation, DRAWS)
    close = is_off_anywhere(loose) and not any(map(_is_far, loose.all))
    return _widened(setup, evaluation, MORE) if close else loose


def _widened(setup: Setup, evaluation: Evaluation, draws: int) -> Evaluation:
    dtype = evaluation.all[0].dtype
    args, dy = evaluation.args, evaluation.dy
    terms = [size * top(dy) for size in setup.ordinary]
    found = condition_of(setup, args, dy, dtype, draws)
    loose = _all_looser(evaluation, found, terms)
    known = setup.differences or setup.subject.is_numpy
    if not known and any(map(is_off, loose.forward)):
        loose = _as_formed(setup, loose)
    if known or not is_off_anywhere(loose):
        return loose
    small = dtype == "float64" and is_of_usual_size(args)
    if small and not _is_near(loose, SLIGHT, terms):
        return loose
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), cast(dy, "float64")
        step = max(1.0, largest_step(setup, args), top(evaluation.truth.y))
        most, absorbed = step * unit(dtype), top(evaluation.truth.y) * unit(dtype) > 1
        if dtype == "float64" and not _is_near(loose, OWN * most, terms):
            return loose
        own = moved_in_rule(setup, args, dy, unit(dtype), most, terms, absorbed, draws)
    y, gradients = own
    moving = list(map(np.zeros_like, found.still))
    found = Condition(gradients, y, moving, OWN)
    loose = _all_looser(loose, found, terms)
    if not any(map(is_off, loose.trials)):
        return loose
    again = gradients_as_used(setup.subject, evaluation.args, evaluation.dy)
    return replace(loose, trials=list(map(better_of, loose.trials, again)))


def _is_far(trial: Trial) -> bool:
    """Whether it is off by more than luck with the draws would explain."""
    if np.shape(trial.got) != np.shape(trial.expected):
        return True
    gap = np.abs(trial.got - trial.expected)
    return not bool((gap <= FAR * trial.tolerance).all())


def _is_near(evaluation: Evaluation, part: float, terms: list[float]) -> bool:
    """Whether what is off is off by no more than this part of what flows there."""
    flow = top([*evaluation.dy, *evaluation.outcome.gradients])
    off = [t for t in evaluation.trials if is_off(t)]
    off = [t for t in off if np.shape(t.got) == np.shape(t.expected)]
    gaps = [np.abs(t.got - t.expected) for t in off]
    with np.errstate(invalid="ignore"):
        return bool(off) and top(gaps) <= part * max(flow, *terms)


def _as_formed(setup: Setup, evaluation: Evaluation) -> Evaluation:
    """The value need be right within a rounding of the largest number that the plain
    forward forms on its way to it: 1 - x is good to no more of a small x."""
    with jax.enable_x64(True):
        steps = largest_step(setup, cast(evaluation.args, "float64"))
    least = steps * unit(evaluation.forward[0].dtype)
    looser = [
        replace(t, tolerance=np.maximum(t.tolerance, least)) for t in evaluation.forward
    ]
    return replace(evaluation, forward=looser)


def better_of(trial: Trial, got) -> Trial:
    """The trial with a gradient that another program made, if that is right: where XLA
    joins a product and a sum in one step, one of them rounds and one does not."""
    other = replace(trial, got=wide_array(got))
    return other if is_off(trial) and not is_off(other) else trial


def condition_of(
    setup: Setup, args: tuple, dy: list, dtype: str, draws: int = DRAWS
) -> Condition:
    """What roundings in `dtype` do to each gradient and output at this sample."""
    u, margin = unit(dtype), MOVED
    if dtype == "float64":
        u = max(setup.coarse, 2 * unit("float64"))  # 1 + u is another number
        margin = MOVED if setup.coarse > unit("float64") else PROVED
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), cast(dy, "float64")
        truth = setup.truth(args, dy)[0]
        moved = moved_by_roundings(setup, args, dy, truth, u, draws)
        lost = moved_by_residuals(setup, args, dy, u, moved.y, draws)
    both = [np.maximum(*pair) for pair in zip(moved.gradients, lost, strict=True)]
    rows = zip(truth.scales, moved.gradients, strict=True)
    masked = top(truth.y) >= MASKED  # nothing is left to say anything of
    still = [(size == 0) & (change == 0) & (not masked) for size, change in rows]
    return Condition(both, moved.y, still, margin)


def _all_looser(evaluation: Evaluation, by: Condition, terms: list[float]):
    rows = zip(evaluation.trials, by.gradients, by.still, terms, strict=True)
    pairs = zip(evaluation.forward, by.y, strict=True)
    return replace(
        evaluation,
        trials=[_looser(trial, by.margin, *row) for trial, *row in rows],
        forward=[_looser(trial, by.margin, moved) for trial, moved in pairs],
    )


def _looser(trial: Trial, margin: float, moved, still: Any = False, terms: Any = 0.0):
    """With the condition added to the tolerance, and to what autodiff loses."""
    errors = trial.errors
    if errors is not None and (size := size_of(trial.expected, terms)):
        condition = float(np.linalg.norm(moved.ravel())) / size
        errors = errors._replace(autodiff=max(errors.autodiff, condition))
    tolerance = trial.tolerance + np.where(still, 0.0, margin * top([moved]))
    return replace(trial, tolerance=tolerance, errors=errors)

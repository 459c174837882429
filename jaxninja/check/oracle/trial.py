"""One input and one cotangent: the rule against the truth, leaf by leaf.

The float64 trial proves identity; the trial in the run dtype compares rounding with
that of autodiff at the same bits. Where the rule is off, how far roundings on the way
move the reference at this very sample is measured and allowed for.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.oracle.condition import (
    DRAWS,
    MASKED,
    MORE,
    error,
    largest_step,
    moved_by_residuals,
    moved_by_roundings,
    moved_in_rule,
)
from jaxninja.check.oracle.holes import filled, is_pole
from jaxninja.check.oracle.setup import Setup
from jaxninja.check.oracle.tolerances import (
    MOVED,
    OWN,
    PROVED,
    Trial,
    proof_tolerance,
    run_tolerance,
)
from jaxninja.check.oracle.truth import (
    Outcome,
    Truth,
    autodiff_of,
    gradients_as_used,
    rule_of,
)
from jaxninja.check.subject.pytrees import cast, float_leaves, largest, unit

USUAL = 20.0  # arguments beyond make numbers that may hide others
FAR = 100.0  # times a tolerance by a few draws of roundings: more is no bad luck
SLIGHT = 1e-6  # of what flows: what numbers of usual size may lose in float64
NEARLY = 0.5  # of the exponents of a dtype: from here on a factor may overflow


@dataclass(frozen=True)
class Evaluation:
    """What a trial saw.

    Attributes:
        trials: one a float leaf.
        forward: the trial of the output, one a float output.
        args, dy: in the dtype of the trial; outcome and truth belong to them.
        leaves_range: whether the plain forward, finite itself, is none in this dtype.
    """

    trials: list[Trial]
    forward: list[Trial]
    args: tuple
    dy: list
    outcome: Outcome
    truth: Truth
    leaves_range: bool = False


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


def prove(setup: Setup, args: tuple, dy: list, sample: str) -> Evaluation | None:
    """The rule in float64; None where the forward says nothing."""
    with jax.enable_x64(True):
        args = cast(setup.hold(args), "float64")
        dy = [g.astype(_wide(g)) for g in dy]
        truth, doubt = setup.truth(args, dy)
        if not _finite(truth.y) and (
            not _infinite_on_purpose(truth)
            or is_pole(truth, args, lambda near: setup.truth(near, dy)[0])
        ):
            return None
        outcome = rule_of(setup.subject, args, dy)
        truth, doubt = _at_holes(setup, args, dy, truth, doubt, outcome)
    reached = truth.gradients, truth.gradients, outcome.gradients
    truth = truth._replace(gradients=_all_reachable(*reached, "float64"))
    setup.remember(setup.ordinary or _ordinary(truth, dy), args)
    tolerances = [
        proof_tolerance(scale, size * _top(dy), setup.coarse) + unsure
        for scale, size, unsure in zip(truth.scales, setup.ordinary, doubt, strict=True)
    ]
    trials = _trials(setup, sample, "float64", outcome, truth, tolerances)
    known = [np.where(np.isfinite(y), np.abs(y), 0) for y in truth.y]
    forward = [proof_tolerance(y, _top([y]), setup.coarse) for y in known]
    outputs = _outputs(setup, sample, "float64", outcome, truth, forward)
    return Evaluation(trials, outputs, args, dy, outcome, truth)


def _at_holes(setup: Setup, args, dy, truth: Truth, doubt: list, outcome: Outcome):
    """Where the reference's gradient is not finite and the rule's is, its limit."""
    if setup.differences or setup.opaque or setup.surrogate is not None:
        return truth, doubt
    gradients, unsure = filled(
        truth, outcome.gradients, args, lambda near: setup.truth(near, dy)[0]
    )
    doubt = [a + b for a, b in zip(doubt, unsure, strict=True)]
    return truth._replace(gradients=gradients), doubt


def compare_rounding(
    setup: Setup, args: tuple, dy: list, sample: str, dtype: str
) -> Evaluation | None:
    """The rule in the run dtype, against the truth and against autodiff's error."""
    args, dy = cast(setup.hold(args), dtype), cast(dy, dtype)
    rival = None
    if not setup.differences:
        rival = autodiff_of(setup.subject, args, dy, setup.surrogate)
    outcome = rule_of(setup.subject, args, dy)
    with jax.enable_x64(True):
        wide_dy = cast(dy, "float64")
        truth, doubt = setup.truth(cast(args, "float64"), wide_dy)
    if not _finite(truth.y, dtype):
        return None
    plain_y, rivals = rival or (truth.y, truth.gradients)
    expected = _all_reachable(truth.gradients, rivals, outcome.gradients, dtype)
    errors = [error(r, e) for r, e in zip(rivals, expected, strict=True)]
    ordinary = setup.ordinary or _ordinary(truth, wide_dy)
    tolerances = [
        run_tolerance(scale, size * _top(wide_dy), e, dtype) + unsure
        for scale, size, e, unsure in zip(
            truth.scales, ordinary, errors, doubt, strict=True
        )
    ]
    sizes = None  # a pair held against finite differences has no autodiff beside it
    if not setup.differences:
        sizes = [
            _errors(a, e, rival_error, size * _top(wide_dy))
            for a, e, rival_error, size in zip(
                outcome.gradients, expected, errors, ordinary, strict=True
            )
        ]
    shown = truth._replace(
        gradients=expected, y=_all_reachable(truth.y, plain_y, outcome.y, dtype)
    )
    trials = _trials(setup, sample, dtype, outcome, shown, tolerances, sizes)
    forward = [
        run_tolerance(np.abs(y), _top([y]), error(r, y), dtype)
        for y, r in zip(shown.y, plain_y, strict=True)
    ]
    outputs = _outputs(setup, sample, dtype, outcome, shown, forward)
    setup.remember(ordinary, args)
    lost = not _finite(plain_y, dtype)
    return Evaluation(trials, outputs, args, dy, outcome, shown, lost)


def widened(setup: Setup, evaluation: Evaluation) -> Evaluation:
    """The same trials, their tolerances widened by the condition at this sample.

    It is measured where it may matter: where the rule is outside of what roundings of
    the last sums would explain. The rule may take another road, of another condition,
    if it still is; in float64 where that may explain it. Where that leaves it not far
    off, a few draws of roundings are not enough.
    """
    loose = _widened(setup, evaluation, DRAWS)
    close = is_off_anywhere(loose) and not any(map(_is_far, _all_of(loose)))
    return _widened(setup, evaluation, MORE) if close else loose


def _is_far(trial: Trial) -> bool:
    """Whether it is off by more than luck with the draws would explain."""
    if np.shape(trial.got) != np.shape(trial.expected):
        return True
    gap = np.abs(trial.got - trial.expected)
    return not bool((gap <= FAR * trial.tolerance).all())


def _widened(setup: Setup, evaluation: Evaluation, draws: int) -> Evaluation:
    dtype = (*evaluation.trials, *evaluation.forward)[0].dtype
    args, dy = evaluation.args, evaluation.dy
    terms = [size * _top(dy) for size in setup.ordinary]
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
        step = max(1.0, largest_step(setup, args), _top(evaluation.truth.y))
        most, absorbed = step * unit(dtype), _top(evaluation.truth.y) * unit(dtype) > 1
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


def is_off_anywhere(evaluation: Evaluation) -> bool:
    """Whether any gradient is off at a sample, or the value is."""
    return any(map(is_off, _all_of(evaluation)))


def _all_of(evaluation: Evaluation) -> tuple[Trial, ...]:
    return *evaluation.trials, *evaluation.forward


def is_of_usual_size(args: tuple) -> bool:
    """Whether what is made of them is rarely near the end of a range."""
    return max(map(largest, float_leaves(args)), default=0.0) < USUAL


def _is_near(evaluation: Evaluation, part: float, terms: list[float]) -> bool:
    """Whether what is off is off by no more than this part of what flows there."""
    flow = _top([*evaluation.dy, *evaluation.outcome.gradients])
    off = [t for t in evaluation.trials if is_off(t)]
    off = [t for t in off if np.shape(t.got) == np.shape(t.expected)]
    gaps = [np.abs(t.got - t.expected) for t in off]
    with np.errstate(invalid="ignore"):
        return bool(off) and _top(gaps) <= part * max(flow, *terms)


def better_of(trial: Trial, got) -> Trial:
    """The trial with a gradient that another program made, if that is right: where XLA
    joins a product and a sum in one step, one of them rounds and one does not."""
    other = replace(trial, got=_wide_array(got))
    return other if is_off(trial) and not is_off(other) else trial


def _all_looser(evaluation: Evaluation, by: Condition, terms: list[float]):
    rows = zip(evaluation.trials, by.gradients, by.still, terms, strict=True)
    pairs = zip(evaluation.forward, by.y, strict=True)
    return replace(
        evaluation,
        trials=[_looser(trial, by.margin, *row) for trial, *row in rows],
        forward=[_looser(trial, by.margin, moved) for trial, moved in pairs],
    )


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
    masked = _top(truth.y) >= MASKED  # nothing is left to say anything of
    still = [(size == 0) & (change == 0) & (not masked) for size, change in rows]
    return Condition(both, moved.y, still, margin)


def _looser(trial: Trial, margin: float, moved, still: Any = False, terms: Any = 0.0):
    """With the condition added to the tolerance, and to what autodiff loses."""
    errors = trial.errors
    if errors is not None and (size := _size(trial.expected, terms)):
        condition = float(np.linalg.norm(moved.ravel())) / size
        errors = errors[0], max(errors[1], condition)
    tolerance = trial.tolerance + np.where(still, 0.0, margin * _top([moved]))
    return replace(trial, tolerance=tolerance, errors=errors)


def is_off(trial: Trial) -> bool:
    """Whether the rule is further from the truth than it may be."""
    return not difference(trial.got, trial.expected, trial.tolerance).ok


def _all_reachable(truth: list, rivals: list, found: list, dtype: str) -> list:
    far = _top([np.nan_to_num(t, posinf=0.0, neginf=0.0) for t in truth])
    rows = zip(truth, rivals, found, strict=True)
    return [_reachable(*row, far, dtype) for row in rows]


def _trials(setup, sample, dtype, outcome, truth, tolerances, sizes=None):
    leaf_names = setup.leaf_names
    sizes = sizes or [None] * len(leaf_names)
    return [
        Trial(name, sample, _wide_array(got), expected, tol, dtype, setup.label, e)
        for name, got, expected, tol, e in zip(
            leaf_names,
            outcome.gradients,
            truth.gradients,
            tolerances,
            sizes,
            strict=True,
        )
    ]


def _outputs(setup, sample, dtype, outcome, truth, tolerances):
    return [
        Trial("output", sample, _wide_array(got), y, tol, dtype, setup.label)
        for got, y, tol in zip(outcome.y, truth.y, tolerances, strict=True)
    ]


def _ordinary(truth: Truth, dy: list) -> list[float]:
    return [_top([s]) / max(_top(dy), 1e-300) for s in truth.scales]


def _reachable(expected, rival, got, far: float, dtype: str):
    """NaN where the dtype, or autodiff in it, does not reach the true value; where the
    largest of all of them is within sight of its end, a factor of another order, or a
    sum in which such terms cancel, may not, either."""
    lost, largest = ~np.isfinite(_wide_array(rival)), float(jnp.finfo(dtype).max)
    lost |= np.abs(expected) > largest / 4
    if np.shape(got) == np.shape(expected):
        lost |= ~np.isfinite(_wide_array(got)) & (far > largest**NEARLY)
    return np.where(lost, np.nan, expected)


def _errors(got, expected, autodiff_error, terms: float) -> tuple[float, float]:
    """The rule's error and autodiff's over the gradient's size."""
    size = _size(expected, terms)
    if got.shape != expected.shape or not size:
        return 0.0, 0.0
    mine = float(np.linalg.norm(error(got, expected).ravel()))
    return mine / size, float(np.linalg.norm(autodiff_error.ravel())) / size


def _size(expected, terms: float) -> float:
    """Of a gradient, or of ordinary terms where saturation leaves little of it."""
    return max(float(np.linalg.norm(np.nan_to_num(np.abs(expected)).ravel())), terms)


def _finite(y: list, dtype: str = "float64") -> bool:
    largest = float(jnp.finfo(dtype).max)
    with np.errstate(over="ignore"):  # where the limit itself overflows a's dtype
        return all(bool((np.abs(a) <= largest).all()) for a in y)


def _infinite_on_purpose(truth: Truth) -> bool:
    """As a log-density is outside of its support: the gradients are finite, all of
    them, which they are not where a number overflows or a logarithm is of 0."""
    known = not any(np.isnan(a).any() for a in truth.y)
    return known and _finite(truth.gradients)


def _top(arrays: list) -> float:
    return max([float(np.max(np.abs(a), initial=0.0)) for a in arrays] + [0.0])


def _wide(array) -> str:
    return "complex128" if np.iscomplexobj(array) else "float64"


def _wide_array(array) -> np.ndarray:
    array = np.asarray(array)
    return array.astype("complex128" if np.iscomplexobj(array) else "float64")

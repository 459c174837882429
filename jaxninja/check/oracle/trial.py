"""One input and one cotangent: the rule against the truth, leaf by leaf.

The float64 trial proves identity; the trial in the run dtype compares rounding with
that of autodiff at the same bits. What roundings on the way may do to a rule that is
off is allowed for afterwards (`widening`).
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.oracle.holes import filled, is_pole
from jaxninja.check.oracle.roundings.condition import error
from jaxninja.check.oracle.setup import Setup
from jaxninja.check.oracle.tolerances import (
    Errors,
    Trial,
    proof_tolerance,
    run_tolerance,
)
from jaxninja.check.oracle.truth import Outcome, Truth, autodiff_of, rule_of
from jaxninja.check.subject.pytrees import cast, float_leaves, largest, unit

USUAL = 20.0  # arguments beyond make numbers that may hide others
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

    @property
    def all(self) -> tuple[Trial, ...]:
        """The gradients' trials and the outputs'."""
        return *self.trials, *self.forward


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
    setup.remember(setup.ordinary or _ordinary(truth, dy), truth.y, args)
    tolerances = [
        proof_tolerance(scale, size * top(dy), setup.coarse) + unsure
        for scale, size, unsure in zip(truth.scales, setup.ordinary, doubt, strict=True)
    ]
    trials = _trials(setup, sample, "float64", outcome, truth, tolerances)
    known = [np.where(np.isfinite(y), np.abs(y), 0) for y in truth.y]
    forward = [proof_tolerance(y, top([y]), setup.coarse) for y in known]
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
    unit_off = max(unit(dtype), setup.narrowed)
    tolerances = [
        run_tolerance(scale, size * top(wide_dy), e, unit_off) + unsure
        for scale, size, e, unsure in zip(
            truth.scales, ordinary, errors, doubt, strict=True
        )
    ]
    sizes = None  # a pair held against finite differences has no autodiff beside it
    if not setup.differences:
        sizes = [
            _errors(a, e, rival_error, size * top(wide_dy))
            for a, e, rival_error, size in zip(
                outcome.gradients, expected, errors, ordinary, strict=True
            )
        ]
    shown = truth._replace(
        gradients=expected, y=_all_reachable(truth.y, plain_y, outcome.y, dtype)
    )
    trials = _trials(setup, sample, dtype, outcome, shown, tolerances, sizes)
    forward = [
        run_tolerance(np.abs(y), top([y]), error(r, y), unit_off)
        for y, r in zip(shown.y, plain_y, strict=True)
    ]
    outputs = _outputs(setup, sample, dtype, outcome, shown, forward)
    setup.remember(ordinary, truth.y, args)
    lost = not _finite(plain_y, dtype)
    return Evaluation(trials, outputs, args, dy, outcome, shown, lost)


def is_off_anywhere(evaluation: Evaluation) -> bool:
    """Whether any gradient is off at a sample, or the value is."""
    return any(map(is_off, evaluation.all))


def is_of_usual_size(args: tuple) -> bool:
    """Whether what is made of them is rarely near the end of a range."""
    return max(map(largest, float_leaves(args)), default=0.0) < USUAL


def is_off(trial: Trial) -> bool:
    """Whether the rule is further from the truth than it may be."""
    return not difference(trial.got, trial.expected, trial.tolerance).ok


def _all_reachable(truth: list, rivals: list, found: list, dtype: str) -> list:
    far = top([np.nan_to_num(t, posinf=0.0, neginf=0.0) for t in truth])
    rows = zip(truth, rivals, found, strict=True)
    return [_reachable(*row, far, dtype) for row in rows]


def _trials(setup, sample, dtype, outcome, truth, tolerances, sizes=None):
    leaf_names = setup.leaf_names
    sizes = sizes or [None] * len(leaf_names)
    return [
        Trial(name, sample, wide_array(got), expected, tol, dtype, setup.label, e)
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
        Trial("output", sample, wide_array(got), y, tol, dtype, setup.label)
        for got, y, tol in zip(outcome.y, truth.y, tolerances, strict=True)
    ]


def _ordinary(truth: Truth, dy: list) -> list[float]:
    return [top([s]) / max(top(dy), 1e-300) for s in truth.scales]


def _reachable(expected, rival, got, far: float, dtype: str):
    """NaN where the dtype, or autodiff in it, does not reach the true value; where the
    largest of all of them is within sight of its end, a factor of another order, or a
    sum in which such terms cancel, may not, either."""
    lost, largest = ~np.isfinite(wide_array(rival)), float(jnp.finfo(dtype).max)
    lost |= np.abs(expected) > largest / 4
    if np.shape(got) == np.shape(expected):
        lost |= ~np.isfinite(wide_array(got)) & (far > largest**NEARLY)
    return np.where(lost, np.nan, expected)


def _errors(got, expected, autodiff_error, terms: float) -> Errors:
    size = size_of(expected, terms)
    if got.shape != expected.shape or not size:
        return Errors(0.0, 0.0, 0.0)
    found = error(got, expected), autodiff_error, np.nan_to_num(np.abs(expected))
    return Errors(*(float(np.linalg.norm(a.ravel())) / size for a in found))


def size_of(expected, terms: float) -> float:
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


def top(arrays: list) -> float:
    """The largest entry of all of them by size."""
    return max([float(np.max(np.abs(a), initial=0.0)) for a in arrays] + [0.0])


def _wide(array) -> str:
    return "complex128" if np.iscomplexobj(array) else "float64"


def wide_array(array) -> np.ndarray:
    """In float64 or complex128."""
    array = np.asarray(array)
    return array.astype("complex128" if np.iscomplexobj(array) else "float64")

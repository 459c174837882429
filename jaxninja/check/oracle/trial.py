"""One input and one cotangent: the rule against the truth, leaf by leaf.

The float64 trial proves identity; the trial in the run dtype compares rounding with
that of autodiff at the same bits. Both know how far rounding of the inputs alone would
move the true gradient, which is what a correct rule of another form may lose.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.oracle.condition import (
    error,
    moved_by_inputs,
    moved_by_residuals,
    moved_by_steps,
)
from jaxninja.check.oracle.finite_differences import truth_by_differences
from jaxninja.check.oracle.tolerances import (
    MOVED,
    Trial,
    proof_tolerance,
    run_tolerance,
)
from jaxninja.check.oracle.truth import (
    Outcome,
    Truth,
    autodiff_of,
    gradient_leaves,
    rule_of,
    truth_of,
)
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import cast, unit, with_floats
from jaxninja.check.subject.subject import Subject


@dataclass
class Setup:
    """A setting at work: its subject and what its trials have in common.

    Attributes:
        subject, label: of the setting.
        differences: the truth is by finite differences (no jaxpr to be had).
        surrogate: declared vector-Jacobian product that replaces the reference's.
        coarse: unit round-off of the rule in its float64 run, larger if it casts down.
        ordinary: per leaf, largest terms a unit of cotangent at an ordinary input.
        leaf_names: of the float leaves of the arguments.
    """

    subject: Subject
    label: str
    differences: bool = False
    surrogate: object = None
    coarse: float = unit("float64")
    ordinary: list[float] = field(default_factory=list)
    leaf_names: tuple[str, ...] = ()

    def truth(self, args: tuple, dy: list) -> tuple[Truth, list]:
        """The truth and its own uncertainty, at float64 arguments."""
        if self.differences:
            return truth_by_differences(self.subject.plain, args, dy)
        truth = truth_of(self.subject, args, dy)
        if self.surrogate is not None:
            declared = self._declared(args, truth.y, dy)
            terms = [np.abs(g) for g in declared]
            scales = [
                np.maximum(*pair) for pair in zip(truth.scales, terms, strict=True)
            ]
            truth = truth._replace(gradients=declared, scales=scales)
        return truth, [0.0] * len(truth.gradients)

    @property
    def opened(self):
        """The plain forward, every custom_vjp call in it replaced by its body."""
        return opened(self.subject.plain)

    def _declared(self, args, y, dy) -> list:
        shaped = jax.eval_shape(self.subject.plain, *args)
        given = self.surrogate(args, with_floats(shaped, dy))  # type: ignore[operator]
        missing = (None,) * (len(args) - len(given))  # of arguments left at defaults
        return [np.asarray(g) for g in gradient_leaves((*given, *missing), args)]


@dataclass(frozen=True)
class Evaluation:
    """What a trial saw.

    Attributes:
        trials: one a float leaf.
        forward: the trial of the output, one a float output.
        args, dy: in the dtype of the trial; outcome and truth belong to them.
    """

    trials: list[Trial]
    forward: list[Trial]
    args: tuple
    dy: list
    outcome: Outcome
    truth: Truth


def prove(setup: Setup, args: tuple, dy: list, sample: str) -> Evaluation | None:
    """The rule in float64; None where the forward itself is not finite."""
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), [g.astype(_wide(g)) for g in dy]
        truth, doubt = setup.truth(args, dy)
        if not _finite(truth.y):
            return None
        moved = moved_by_inputs(setup, args, dy, truth, unit("float32"))
        outcome = rule_of(setup.subject, args, dy)
    if not setup.ordinary:
        setup.ordinary.extend(_ordinary(truth, dy))
    tolerances = [
        proof_tolerance(scale, size * _top(dy), shift, setup.coarse) + unsure
        for scale, size, shift, unsure in zip(
            truth.scales, setup.ordinary, moved.gradients, doubt, strict=True
        )
    ]
    trials = _trials(setup, sample, "float64", outcome, truth, tolerances)
    forward = [
        proof_tolerance(np.abs(y), _top([y]), shift, setup.coarse)
        for y, shift in zip(truth.y, moved.y, strict=True)
    ]
    outputs = _outputs(setup, sample, "float64", outcome, truth, forward)
    return Evaluation(trials, outputs, args, dy, outcome, truth)


def compare_rounding(
    setup: Setup, args: tuple, dy: list, sample: str, dtype: str
) -> Evaluation | None:
    """The rule in the run dtype, against the truth and against autodiff's error."""
    args, dy = cast(args, dtype), cast(dy, dtype)
    rival = None if setup.differences else autodiff_of(setup.subject, args, dy)
    outcome = rule_of(setup.subject, args, dy)
    with jax.enable_x64(True):
        wide, wide_dy = cast(args, "float64"), cast(dy, "float64")
        truth, doubt = setup.truth(wide, wide_dy)
        if not _finite(truth.y, dtype):
            return None
        moved = moved_by_inputs(setup, wide, wide_dy, truth, unit(dtype))
    plain_y = truth.y if rival is None else rival[0]
    rivals = truth.gradients if rival is None or setup.surrogate else rival[1]
    expected = _all_reachable(truth.gradients, rivals, dtype)
    errors = [error(r, e) for r, e in zip(rivals, expected, strict=True)]
    ordinary = setup.ordinary or _ordinary(truth, wide_dy)
    tolerances = [
        run_tolerance(scale, size * _top(wide_dy), shift, e, dtype) + unsure
        for scale, size, shift, e, unsure in zip(
            truth.scales, ordinary, moved.gradients, errors, doubt, strict=True
        )
    ]
    if not all(map(_within, outcome.gradients, expected, tolerances)):
        with jax.enable_x64(True):
            lost = moved_by_residuals(setup, wide, wide_dy, unit(dtype))
        tolerances = [
            t + MOVED * _top([m]) for t, m in zip(tolerances, lost, strict=True)
        ]
    sizes = None  # a pair held against finite differences has no autodiff beside it
    if not setup.differences:
        sizes = [
            _errors(a, e, rival_error, size * _top(wide_dy))
            for a, e, rival_error, size in zip(
                outcome.gradients, expected, errors, ordinary, strict=True
            )
        ]
    shown = truth._replace(gradients=expected)
    trials = _trials(setup, sample, dtype, outcome, shown, tolerances, sizes)
    reached = truth._replace(y=_all_reachable(truth.y, plain_y, dtype))
    forward = [
        run_tolerance(np.abs(y), _top([y]), shift, error(r, y), dtype)
        for y, shift, r in zip(reached.y, moved.y, plain_y, strict=True)
    ]
    if not all(map(_within, outcome.y, reached.y, forward)):
        with jax.enable_x64(True):
            lost = moved_by_steps(setup, wide, truth.y, unit(dtype))
        forward = [t + MOVED * m for t, m in zip(forward, lost, strict=True)]
    outputs = _outputs(setup, sample, dtype, outcome, reached, forward)
    return Evaluation(trials, outputs, args, dy, outcome, shown)


def _within(got, expected, tolerance) -> bool:
    return difference(got, expected, tolerance).ok


def _all_reachable(truth: list, rivals: list, dtype: str) -> list:
    return [_reachable(e, r, dtype) for e, r in zip(truth, rivals, strict=True)]


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


def _reachable(expected, rival, dtype: str):
    """NaN where the dtype, or autodiff in it, does not reach the true value."""
    lost = ~np.isfinite(_wide_array(rival))
    lost |= np.abs(expected) > float(jnp.finfo(dtype).max) / 4
    return np.where(lost, np.nan, expected)


def _errors(got, expected, autodiff_error, terms: float) -> tuple[float, float]:
    """The rule's error and autodiff's over the gradient's size, or over that of
    ordinary terms where saturation leaves little of it."""
    size = max(float(np.linalg.norm(np.nan_to_num(np.abs(expected)).ravel())), terms)
    if got.shape != expected.shape or not size:
        return 0.0, 0.0
    mine = float(np.linalg.norm(error(got, expected).ravel()))
    return mine / size, float(np.linalg.norm(autodiff_error.ravel())) / size


def _finite(y: list, dtype: str = "float64") -> bool:
    largest = float(jnp.finfo(dtype).max)
    with np.errstate(over="ignore"):  # where the limit itself overflows a's dtype
        return all(bool((np.abs(a) <= largest).all()) for a in y)


def _top(arrays: list) -> float:
    return max([float(np.max(np.abs(a), initial=0.0)) for a in arrays] + [0.0])


def _wide(array) -> str:
    return "complex128" if np.iscomplexobj(array) else "float64"


def _wide_array(array) -> np.ndarray:
    array = np.asarray(array)
    return array.astype("complex128" if np.iscomplexobj(array) else "float64")

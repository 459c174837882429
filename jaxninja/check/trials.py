"""One input and one cotangent: the rule against the truth, leaf by leaf.

The float64 trial proves identity; the trial in the run dtype compares rounding with
that of autodiff at the same bits. Both know how far rounding of the inputs alone would
move the true gradient, which is what a correct rule of another form may lose.
"""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check import judge
from jaxninja.check.domain import kind_of
from jaxninja.check.finite import truth_by_differences
from jaxninja.check.interpret import opened
from jaxninja.check.leaves import cast, unit, with_floats
from jaxninja.check.programs import (
    Outcome,
    Truth,
    autodiff_of,
    gradient_leaves,
    rule_of,
    truth_of,
)
from jaxninja.check.subject import Subject

DRAWS = 2  # of the rounding of inputs


@dataclass
class Scene:
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
            truth = truth._replace(gradients=self._declared(args, truth.y, dy))
        return truth, [0.0] * len(truth.gradients)

    @property
    def opened(self):
        """The plain forward, every custom_vjp call in it replaced by its body."""
        return opened(self.subject.plain)

    def _declared(self, args, y, dy) -> list:
        shaped = jax.eval_shape(self.subject.plain, *args)
        given = self.surrogate(args, with_floats(shaped, dy))  # type: ignore[operator]
        return [np.asarray(g) for g in gradient_leaves(given, args)]


@dataclass(frozen=True)
class Tried:
    """What a trial saw.

    Attributes:
        trials: one a float leaf.
        forward: the trial of the output, one a float output.
        args, dy: in the dtype of the trial; outcome and truth belong to them.
    """

    trials: list[judge.Trial]
    forward: list[judge.Trial]
    args: tuple
    dy: list
    outcome: Outcome
    truth: Truth


def prove(scene: Scene, args: tuple, dy: list, sample: str) -> Tried | None:
    """The rule in float64; None where the forward itself is not finite."""
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), [g.astype(_wide(g)) for g in dy]
        truth, doubt = scene.truth(args, dy)
        if not _finite(truth.y):
            return None
        moved = _moved(scene, args, dy, truth, unit("float32"))
        outcome = rule_of(scene.subject, args, dy)
    if not scene.ordinary:
        scene.ordinary.extend(_ordinary(truth, dy))
    tolerances = [
        judge.proof_tolerance(scale, size * _top(dy), shift, scene.coarse) + unsure
        for scale, size, shift, unsure in zip(
            truth.scales, scene.ordinary, moved.gradients, doubt, strict=True
        )
    ]
    trials = _trials(scene, sample, "float64", outcome, truth, tolerances)
    forward = [
        judge.proof_tolerance(np.abs(y), _top([y]), shift, scene.coarse)
        for y, shift in zip(truth.y, moved.y, strict=True)
    ]
    outputs = _outputs(scene, sample, "float64", outcome, truth, forward)
    return Tried(trials, outputs, args, dy, outcome, truth)


def compare_rounding(
    scene: Scene, args: tuple, dy: list, sample: str, dtype: str
) -> Tried | None:
    """The rule in the run dtype, against the truth and against autodiff's error."""
    args, dy = cast(args, dtype), cast(dy, dtype)
    outcome = rule_of(scene.subject, args, dy)
    rival = None if scene.differences else autodiff_of(scene.subject, args, dy)
    with jax.enable_x64(True):
        wide, wide_dy = cast(args, "float64"), cast(dy, "float64")
        truth, doubt = scene.truth(wide, wide_dy)
        if not _finite(truth.y, dtype):
            return None
        moved = _moved(scene, wide, wide_dy, truth, unit(dtype))
    rival = truth.gradients if rival is None or scene.surrogate else rival
    expected = [
        _reachable(e, r, dtype) for e, r in zip(truth.gradients, rival, strict=True)
    ]
    errors = [_error(r, e) for r, e in zip(rival, expected, strict=True)]
    ordinary = scene.ordinary or _ordinary(truth, wide_dy)
    tolerances = [
        judge.run_tolerance(scale, size * _top(wide_dy), shift, error, dtype) + unsure
        for scale, size, shift, error, unsure in zip(
            truth.scales, ordinary, moved.gradients, errors, doubt, strict=True
        )
    ]
    ratios = None  # a pair held against finite differences has no autodiff beside it
    if not scene.differences:
        ratios = [
            _ratio(a, e, error, dtype)
            for a, e, error in zip(outcome.gradients, expected, errors, strict=True)
        ]
    shown = truth._replace(gradients=expected)
    trials = _trials(scene, sample, dtype, outcome, shown, tolerances, ratios)
    forward = [
        judge.run_tolerance(np.abs(y), _top([y]), shift, 0.0, dtype)
        for y, shift in zip(truth.y, moved.y, strict=True)
    ]
    outputs = _outputs(scene, sample, dtype, outcome, truth, forward)
    return Tried(trials, outputs, args, dy, outcome, shown)


def _moved(scene: Scene, args, dy, truth: Truth, u: float) -> Truth:
    """Largest change of output and gradient when inputs move by a rounding."""
    rng = np.random.default_rng(0x5EED)
    gradients = [np.zeros(e.shape) for e in truth.gradients]
    y = [np.zeros(a.shape) for a in truth.y]
    for _ in range(0 if scene.differences or scene.surrogate else DRAWS):
        near = truth_of(scene.subject, _rounded(args, u, rng), dy)
        gradients = _larger(gradients, near.gradients, truth.gradients)
        y = _larger(y, near.y, truth.y)
    return Truth(y, gradients, [], [])


def _larger(before: list, near: list, here: list) -> list:
    return [
        np.maximum(b, _error(n, h)) for b, n, h in zip(before, near, here, strict=True)
    ]


def _rounded(args: tuple, u: float, rng) -> tuple:
    def move(leaf):
        if not np.size(leaf) or kind_of(leaf) not in ("real", "positive", "definite"):
            return leaf
        return leaf * (1 + u * rng.choice([-1.0, 1.0], np.shape(leaf)))

    return jax.tree.map(move, args)


def _trials(scene, sample, dtype, outcome, truth, tolerances, ratios=None):
    leaf_names = scene.leaf_names
    ratios = ratios or [None] * len(leaf_names)
    return [
        judge.Trial(
            name, sample, _wide_array(got), expected, tol, dtype, scene.label, r
        )
        for name, got, expected, tol, r in zip(
            leaf_names,
            outcome.gradients,
            truth.gradients,
            tolerances,
            ratios,
            strict=True,
        )
    ]


def _outputs(scene, sample, dtype, outcome, truth, tolerances):
    return [
        judge.Trial("output", sample, _wide_array(got), y, tol, dtype, scene.label)
        for got, y, tol in zip(outcome.y, truth.y, tolerances, strict=True)
    ]


def _ordinary(truth: Truth, dy: list) -> list[float]:
    return [_top([s]) / max(_top(dy), 1e-300) for s in truth.scales]


def _reachable(expected, rival, dtype: str):
    """NaN where the dtype, or autodiff in it, does not reach the true value."""
    lost = ~np.isfinite(_wide_array(rival))
    lost |= np.abs(expected) > float(jnp.finfo(dtype).max) / 4
    return np.where(lost, np.nan, expected)


def _error(a, b) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.nan_to_num(
            np.abs(_wide_array(a) - _wide_array(b)), nan=0.0, posinf=0.0, neginf=0.0
        )


def _ratio(got, expected, autodiff_error, dtype: str) -> float:
    least = unit(dtype) / 4 * np.linalg.norm(np.nan_to_num(np.abs(expected)).ravel())
    rival = max(float(np.linalg.norm(autodiff_error.ravel())), float(least))
    if got.shape != expected.shape or not rival:
        return 1.0
    return float(np.linalg.norm(_error(got, expected).ravel())) / rival


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

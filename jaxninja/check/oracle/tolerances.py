"""From arrays to verdicts: tolerances that know the condition, and a tally of leaves.

In float64 a rule is right if |A - E| is rounding against the terms the gradient is
summed from. In the run dtype it may lose what autodiff loses, and a few units of those
terms. Where it is off by more, the condition of the sample is measured and added: what
roundings on the way do to the reference. No tolerance grows with the size of the array.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from jaxninja.check.compare import Difference, difference
from jaxninja.check.records import SHADES, Leaf
from jaxninja.check.subject.pytrees import is_wide, largest, unit

PROOF = 1e-10  # float64: relative to the terms of the entry itself
FLOOR = 1e-13  # and to the largest terms of the leaf, for entries that are tiny
AUTODIFF = 2.0  # run dtype: multiple of autodiff's largest error
TERMS = 32.0  # run dtype: units of the terms, one a rounding of a sum or product
WORSE = 16.0  # times autodiff's error in one trial: not wrong, but said
ZERO = 1e-6  # of the largest gradient of all: a gradient that is declared zero
MOVED = 8.0  # run dtype: multiple of what roundings on the way do, where measured
OWN = 32.0  # and of what they do on a road of the rule's own, which is bounded
PROVED = 1e4  # the same in float64, where identity is judged and no rounding


class Errors(NamedTuple):
    """Of one leaf, over its size, or that of ordinary terms where it is larger.

    Attributes:
        rule, autodiff: how far each is from the truth.
        gradient: the size of the leaf itself, at most 1: little where terms cancel.
    """

    rule: float
    autodiff: float
    gradient: float = 1.0


@dataclass(frozen=True)
class Trial:
    """One leaf at one input and cotangent: arrays, and how far they may differ.

    Attributes:
        name, sample: of the leaf, and of the input and cotangent.
        got, expected, tolerance: arrays of one shape.
        dtype: in which the rule ran.
        setting: which shapes it was, for counting entries.
        errors: of the rule and of autodiff in the same dtype, if known.
    """

    name: str
    sample: str
    got: np.ndarray
    expected: np.ndarray
    tolerance: np.ndarray
    dtype: str
    setting: str
    errors: Errors | None = None


def proof_tolerance(scale, ordinary: float, unit_off: float) -> np.ndarray:
    """In float64; `unit_off` is larger where the rule itself computes in less.

    Args:
        scale: sum of the magnitudes of the terms, per entry.
        ordinary: such a scale at ordinary inputs under the same cotangent; a rounding
            of that size is none of an error where saturation makes all terms tiny.
        unit_off: unit round-off of the rule's own arithmetic.
    """
    scale = _finite_scale(scale)
    coarser = unit_off / unit("float64")
    floor = FLOOR * coarser * max(largest(scale), ordinary)
    relative = PROOF if coarser == 1 else TERMS * unit_off
    return relative * scale + floor


def run_tolerance(scale, ordinary: float, autodiff_error, unit_off) -> np.ndarray:
    """In the run dtype: autodiff's error, and a few units of the terms."""
    scale = _finite_scale(scale)
    terms = TERMS * unit_off * (scale + max(largest(scale), ordinary) / 8)
    return terms + AUTODIFF * largest(autodiff_error)


def _finite_scale(scale) -> np.ndarray:
    """0 inf among the terms says nothing; the largest known scale stands in."""
    return np.where(np.isfinite(scale), scale, largest(scale))


@dataclass
class Tally:
    """What all trials of one leaf add up to."""

    name: str
    worst: tuple[Trial, Difference] | None = None
    largest: float = 0.0
    powered: bool = False
    squares: dict[str, np.ndarray] = field(default_factory=dict)
    highest: float = 0.0
    better: int = 0
    undecided: int = 0
    always_zero: bool = True
    trials: int = 0
    shape: tuple[int, ...] = ()
    nonzero: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, trial: Trial) -> Difference:
        found = difference(trial.got, trial.expected, trial.tolerance)
        self.trials += 1
        if self.trials == 1:
            self.shape = np.shape(trial.expected)
        self.better += found.better
        self.undecided += found.undecided
        if not found.ok and self.worst is None:
            self.worst = (trial, found)
        power = has_power(trial)
        self.powered |= power
        wide = is_wide(trial.dtype)
        if found.ok and power and wide and np.isfinite(found.relative):
            self.largest = max(self.largest, found.relative)
        if trial.errors is not None:
            self.highest = max(self.highest, worse_by(trial))
            before = self.squares.get(trial.dtype, np.zeros(3))
            self.squares[trial.dtype] = before + np.square(trial.errors)
        self._count(trial)
        return found

    def _count(self, trial: Trial) -> None:
        expected = np.nan_to_num(trial.expected, nan=0.0, posinf=0.0, neginf=0.0)
        seen = np.abs(expected) > trial.tolerance
        before = self.nonzero.get(trial.setting)
        self.nonzero[trial.setting] = seen if before is None else before | seen
        self.always_zero &= not seen.any()

    @property
    def ratios(self) -> dict[str, float]:
        """Per run dtype, the rule's error over autodiff's, both the root mean square of
        all trials; over half a rounding of the gradients where autodiff's is below
        that, by luck. No ratio where there is no gradient in any trial."""
        return {
            dtype: float(np.sqrt(mine / max(theirs, size * (unit(dtype) / 2) ** 2)))
            for dtype, (mine, theirs, size) in self.squares.items()
            if size
        }

    @property
    def entries(self) -> tuple[int, int]:
        reached = sum(int(seen.sum()) for seen in self.nonzero.values())
        return reached, sum(seen.size for seen in self.nonzero.values())

    def leaf(self, zero: bool, ignored: bool) -> Leaf:
        """The verdict; `zero` and `ignored` are what the user declared."""
        notes = [f"finite at {self.better} entries where autodiff is not"]
        note = notes[0] if self.better else ""
        common = {"ratios": self.ratios, "note": note}
        if ignored:
            return Leaf(self.name, self.shape, "", "declared", note="nondiff")
        if self.worst is not None:
            trial, found = self.worst
            return _failing(trial, found, common)
        if zero and not self.always_zero:
            common["note"] = "declared zero, but the true gradient is not"
            return Leaf(self.name, self.shape, "", "fail", **common)
        if zero:
            common["note"] = "zero, as declared"
            return Leaf(self.name, self.shape, "", "declared", **common)
        verdict = "ok" if self.powered else "not tested"
        if not self.powered:
            why = "the true gradient is zero in every sample; declare zero="
            why = why if np.prod(self.shape) else "it has no entries"
            common["note"] = why if self.trials else "no sample could be compared"
        elif not note and self.highest > WORSE:
            common["note"] = "right, but a residual or a sum loses digits"
        return Leaf(self.name, self.shape, "", verdict, self.largest, **common)


def worse_by(trial: Trial) -> float:
    """How many times the error of autodiff that of the rule is, in this trial."""
    if trial.errors is None:
        return 0.0
    return trial.errors.rule / max(trial.errors.autodiff, unit(trial.dtype) / 4)


def as_zero(trial: Trial, others: list[Trial]) -> Trial:
    """Of a gradient declared zero: what is left of it where an iteration has nearly
    converged, say, is small beside the largest gradient of all arguments."""
    floor = ZERO * max(largest(other.expected) for other in others)
    return replace(trial, tolerance=np.maximum(trial.tolerance, floor))


def has_power(trial: Trial) -> bool:
    """Whether this trial rejects the sign-flipped and the halved true gradient."""
    expected = np.where(np.isfinite(trial.expected), trial.expected, 0.0)
    if not expected.size:
        return False
    flipped = difference(-expected, expected, trial.tolerance)
    halved = difference(expected / 2, expected, trial.tolerance)
    return not flipped.ok and not halved.ok


def _failing(trial: Trial, found: Difference, common) -> Leaf:
    if found.reason == "nan":
        common = {**common, "note": "not finite where the true gradient is"}
    return Leaf(
        trial.name,
        np.shape(trial.expected),
        trial.dtype,
        "fail",
        found.relative,
        found.worst,
        found.got,
        found.expected,
        sample=_place(trial),
        heat=heat(trial),
        **common,
    )


def _place(trial: Trial) -> str:
    plain = trial.setting in ("as given", "as drawn")
    return trial.sample if plain else f"{trial.sample}; {trial.setting}"


def heat(trial: Trial, limit: int = 24) -> tuple[str, ...]:
    """Where the error lies: a character an entry, darker on a logarithmic scale."""
    if trial.got.shape != trial.expected.shape or not 1 <= trial.got.ndim <= 2:
        return ()
    with np.errstate(all="ignore"):
        excess = np.abs(trial.got - trial.expected) / np.maximum(
            trial.tolerance, 1e-300
        )
        worst = np.nanmax(np.where(np.isfinite(excess), excess, np.nan), initial=1.0)
        depth = np.where(excess <= 1, 0, 4 * np.log(excess) / max(np.log(worst), 1e-9))
    depth = np.nan_to_num(np.atleast_2d(depth), nan=4, posinf=4, neginf=0)
    rows = np.clip(np.ceil(depth), 0, 4).astype(int)[:limit, :limit]
    return tuple("".join(SHADES[v] for v in row) for row in rows)

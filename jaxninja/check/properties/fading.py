"""Where the forward is an approximation that has lost its digits at larger inputs.

A quadrature of twenty nodes, or a series, is exact to all digits at the inputs that it
is made for, and to none at inputs thirty times as large. A rule that knows the integral
itself is right at both, and the derivative of the forward is not. What tells it from a
mistake is how the two part: on the way to large inputs the difference grows out of the
rounding through all magnitudes, and faster than any power that a wrong term has. A
branch that is wrong beyond a bound jumps.
"""

import itertools

import jax
import numpy as np

from jaxninja.check.inputs.kinds import scaled
from jaxninja.check.oracle.roundings.condition import error
from jaxninja.check.oracle.tolerances import Trial
from jaxninja.check.oracle.trial import Evaluation, Setup, is_off, prove

STEPS = 16  # on the way to large inputs
BETWEEN = 1e-10, 1e-2  # of a gradient: what is neither rounding nor plainly another
SEEN = 2  # steps between, at least
FINER = 10  # ends of smaller steps, where one is too large


def fades(setup: Setup, evaluation: Evaluation, factor: float) -> bool:
    """Whether the rule parts from the reference by and by, in all that is off.

    Args:
        evaluation: at inputs that were made `factor` times as large.
    """
    off = [i for i, trial in enumerate(_all(evaluation)) if is_off(trial)]
    if not off or factor <= 1 or setup.differences or setup.opaque:
        return False

    def along(parts) -> list[list[Trial]]:
        inputs = (
            jax.tree.map(lambda a, f=factor**-part: scaled(a, f), evaluation.args)
            for part in parts
        )
        found = (prove(setup, args, evaluation.dy, "on the way") for args in inputs)
        return [_all(near) if near else [] for near in found]

    def within_a_step(i: int) -> bool:
        """A series of many terms parts in one: that step in smaller ones."""
        last = sum(gap <= BETWEEN[0] for gap in _gaps(path, i))
        between = np.linspace(parts[last - 1], parts[last - 1] - 1 / STEPS, FINER)
        nearer = along(between[1:-1])
        return all(nearer) and _grows(_gaps(nearer, i))

    parts = np.linspace(1, 0, STEPS, endpoint=False)
    path = along(parts)
    if not all(path) or any(is_off(path[0][i]) for i in off):
        return False
    return all(_grows(_gaps(path, i)) or within_a_step(i) for i in off)


def _gaps(path: list[list[Trial]], i: int) -> list[float]:
    """On the way, of one trial."""
    return [_parted(trials[i]) for trials in path]


def _all(evaluation: Evaluation) -> list[Trial]:
    return [*evaluation.trials, *evaluation.forward]


def _parted(trial: Trial) -> float:
    """By how much, relative to the gradient."""
    size = float(np.max(np.abs(trial.expected), initial=0.0))
    apart = error(trial.got, trial.expected)
    return float(np.max(apart, initial=0.0)) / size if size else 0.0


def _grows(parted: list[float]) -> bool:
    """Whether it does so through all magnitudes, and hardly shrinks on the way: what
    is left of a quadrature has a sign that turns."""
    least, most = BETWEEN
    end = next((i for i, gap in enumerate(parted) if gap > most), len(parted))
    between = [gap for gap in parted[:end] if gap > least]
    steady = all(2 * b > a for a, b in itertools.pairwise(between))
    return steady and len(between) >= SEEN

"""At a kink several gradients are right: is the rule's one of them?

The gradients at points next to the kink span the (generalised, Clarke) subdifferential.
A rule's gradient is held against their range, entry by entry and in sums over axes: at
a tie of two numbers max may send (1, 0), (0, 1) or (1/2, 1/2), but not (1, 1).
"""

import jax
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.domain import kind_of
from jaxninja.check.leaves import cast, float_leaves, unit, with_floats
from jaxninja.check.programs import truth_of
from jaxninja.check.trials import Scene, Tried

NEIGHBOURS = 24
DISTANCE = 1e-6


def is_subgradient(scene: Scene, tried: Tried, index: int) -> bool:
    """Whether leaf `index` is wrong by JAX's convention and right by another one."""
    trial = tried.trials[index]
    if difference(trial.got, trial.expected, trial.tolerance).ok:
        return False
    if not np.isfinite(trial.got).all():
        return False
    near = np.stack([gradients[index] for gradients in _neighbours(scene, tried)])
    near = np.concatenate([near, trial.expected[None]])
    if not np.isfinite(near).all():
        return False
    slack = max(1e-4, 64 * unit(trial.dtype)) * max(float(np.abs(near).max()), 1e-300)
    return all(
        _within(total(trial.got), np.stack([total(g) for g in near]), slack)
        for total in _totals(trial.got.ndim)
    )


def _neighbours(scene: Scene, tried: Tried):
    """Gradients at neighbours: random ones, and those at which sums are extreme."""
    rng = np.random.default_rng(0xC1A2)
    got = [trial.got for trial in tried.trials]
    ways = [[s * np.ones_like(g) for g in got] for s in (1, -1)]
    ways += [[s * np.sign(np.real(g)) for g in got] for s in (1, -1)]
    ways += [[rng.standard_normal(g.shape) for g in got] for _ in range(NEIGHBOURS)]
    for way in ways:
        with jax.enable_x64(True):
            wide = cast(tried.args, "float64")
            moved = list(map(_moved, float_leaves(wide), way))
            args = with_floats(wide, moved)
            dy = cast(tried.dy, "float64")
            yield truth_of(scene.subject, args, dy).gradients


def _moved(leaf, way):
    if not np.size(leaf) or kind_of(leaf) not in ("real", "positive"):
        return leaf
    return leaf + DISTANCE * max(1.0, float(np.max(np.abs(leaf)))) * way


def _totals(ndim: int):
    """The entries, their sums over one axis, and over all."""
    sums = [lambda g, axis=axis: g.sum(axis) for axis in range(ndim)]
    return [lambda g: g, *sums, lambda g: g.sum()]


def _within(value, near, slack: float) -> bool:
    low, high = near.min(0), near.max(0)
    room = slack + 0.02 * (high - low)  # random neighbours do not reach the very ends
    return bool(((value >= low - room) & (value <= high + room)).all())

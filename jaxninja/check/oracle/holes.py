"""The true gradient at a removable hole, where the reference's own is not finite.

`jnp.where(x == 0, 1, jnp.sin(x) / x)` has a value at 0, and autodiff says NaN of its
slope. The gradients at neighbours tell what it is, if they come together: nearer to a
kink or a pole they do not. Where the value jumps to that of the hole there is none.

A hole may have a slope of its own as well: `jnp.where(abs(p) < 1e-6, jnp.log(x), ...)`
says 0 of the slope by p, and an iteration that has not ended says anything.
"""

from collections.abc import Callable

import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.tolerances import Trial
from jaxninja.check.oracle.truth import Truth
from jaxninja.check.subject.pytrees import float_leaves, with_floats

NEAR, FAR = 1e-4, 1e-3  # distances, of the largest entry
NEIGHBOURS = 6
CLOSE = 1e-2  # of the gradient's size: how far neighbours may lie apart
SHRINKS = 0.3  # how much less they do at a tenth of the distance
CLEAR = 3  # times the doubt about a limit: what is another value
APART = 10  # times the doubt about a limit: what is another slope
NEARS = 0.5  # how much less far values are from that of the hole, of a root too


def filled(here: Truth, got: list, args: tuple, truth: Callable) -> tuple:
    """Gradients whose entries that are not finite are limits, where these exist, and by
    how much each entry is uncertain.

    Args:
        here: what the reference says, at `args`.
        got: gradients of the rule; a hole is filled where it says something of it.
        args: in float64; call it under that.
        truth: args -> Truth.
    """
    gradients = here.gradients
    doubts = [np.zeros(np.shape(e)) for e in gradients]
    holes = [
        ~np.isfinite(e) & np.isfinite(g) if np.shape(e) == np.shape(g) else None
        for e, g in zip(gradients, got, strict=True)
    ]
    if not any(hole is not None and hole.any() for hole in holes):
        return gradients, doubts
    near, far = (_around(args, distance, truth) for distance in (NEAR, FAR))
    if not all(map(_nears, here.y, near.y, far.y)):
        return gradients, doubts
    found = []
    for i, hole in enumerate(holes):
        middle, doubt, known = _limit(near.gradients[i], far.gradients[i])
        known = known & hole if hole is not None else np.zeros_like(known)
        found.append(np.where(known, middle, gradients[i]))
        doubts[i] = np.where(known, doubt, 0.0)
    return found, doubts


def is_limit(
    trial: Trial, index: int, here: Truth, args: tuple, truth: Callable, kinds: list
) -> bool:
    """Whether the rule's gradient is that of the neighbours wherever it is off, and the
    reference's at this very point is plainly not.

    Args:
        trial, index: of the gradient.
        here, args, truth: as `filled` has them.
        kinds: of the arguments; a positive one at 0 has neighbours on one side.
    """
    near, far = (_around(args, distance, truth, kinds) for distance in (NEAR, FAR))
    if not all(map(_nears, here.y, near.y, far.y)):
        return False
    two = near.gradients[index], far.gradients[index]
    middle, doubt, known = _limit(*two, close=1 / APART)
    gap = np.abs(trial.got - trial.expected)
    off = ~(gap <= trial.tolerance)
    close = np.abs(trial.got - middle) <= 2 * doubt
    apart = np.abs(trial.expected - middle) > APART * doubt
    return bool((known & close)[off].all() and apart[off].any())


def is_pole(here: Truth, args: tuple, truth: Callable) -> bool:
    """Whether a value that is infinite is finite at neighbours, as a quantile is but at
    0, and not the log-density outside of a support."""
    near = _around(args, NEAR, truth)
    pairs = zip(here.y, near.y, strict=True)
    return any(np.isfinite(a[:, ~np.isfinite(y)]).any() for y, a in pairs)


def _limit(near: np.ndarray, far: np.ndarray, close: float = CLOSE) -> tuple:
    """Mean of the neighbours, what it may be off by, and where there is a limit."""
    with np.errstate(all="ignore"):
        middle, apart, wider = near.mean(0), np.ptp(near, 0), np.ptp(far, 0)
        size = np.max(np.abs(far), where=np.isfinite(far), initial=0.0)
        still = wider <= 1e-9 * size
        known = (wider <= close * size) & ((apart <= SHRINKS * wider) | still)
        drift = np.abs(far.mean(0) - middle)  # of a root, which comes from one side
    return middle, np.maximum(wider, drift) + 1e-6 * size, known & np.isfinite(middle)


def is_isolated(here: Truth, args: tuple, truth: Callable) -> bool:
    """Whether a value is not the limit that those of its neighbours have: IEEE's 1^inf
    is 1, say, and the mean of the power p, (mean of x^p)^(1/p), then 1 at p = 0."""
    near, far = (_around(args, distance, truth) for distance in (NEAR, FAR))
    for y, close, wide in zip(here.y, near.y, far.y, strict=True):
        middle, doubt, known = _limit(close, wide)
        if (known & (np.abs(y - middle) > CLEAR * doubt)).any():
            return True
    return False


def _nears(here: np.ndarray, near: np.ndarray, far: np.ndarray) -> bool:
    """Whether the values at neighbours come nearer to that at the hole."""
    with np.errstate(all="ignore"):
        gaps = (float(np.max(np.abs(a - here), initial=0.0)) for a in (near, far))
        size = float(np.max(np.abs(here), initial=0.0))
        close, wide = gaps
    return close <= NEARS * wide + 1e-9 * size


def _around(
    args: tuple, distance: float, truth: Callable, kinds: list | None = None
) -> Truth:
    """Values and gradients at random neighbours: [K, *shape] an output and a leaf."""
    rng = np.random.default_rng(0x401E)
    found, given = [], float_leaves(args)
    kinds = kinds or list(map(kind_of, given))
    for _ in range(NEIGHBOURS):
        rows = zip(given, kinds, strict=True)
        floats = [_moved(a, kind, distance, rng) for a, kind in rows]
        found.append(truth(with_floats(args, floats)))
    y, gradients = (
        [np.stack(leaf) for leaf in zip(*part, strict=True)]
        for part in ([t.y for t in found], [t.gradients for t in found])
    )
    return Truth(y, gradients, [], [])


def _moved(leaf, kind: str, distance: float, rng):
    if kind not in ("real", "positive") or np.iscomplexobj(leaf):
        return leaf
    finite = np.isfinite(leaf)
    largest = float(np.max(np.abs(leaf), where=finite, initial=0.0)) or 1.0
    signs = rng.choice([-1.0, 1.0], np.shape(leaf))
    way = distance * largest * signs * rng.uniform(0.5, 1.5, np.shape(leaf))
    one_sided = (kind == "positive") & (leaf == 0)
    return leaf + np.where(finite, np.where(one_sided, np.abs(way), way), 0.0)

"""At a kink several gradients are right: is the rule's one of them?

The gradients at points next to the kink span the (generalised, Clarke) subdifferential.
A rule's gradient is held against their range, entry by entry and in sums over axes: at
a tie of two numbers max may send (1, 0), (0, 1) or (1/2, 1/2), but not (1, 1).

Next to a kink that range is the same however near one looks; where a function is
smooth it shrinks with the distance, and there a gradient has one value alone.

Kinks within the function may be decided each by itself, as a rule does that takes
relu'(0) = 0 in all entries of a product (`selections`).
"""

import math
from collections.abc import Sequence

import jax
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.oracle.kink_sides import selections
from jaxninja.check.oracle.tolerances import Trial
from jaxninja.check.oracle.trial import Evaluation, Setup
from jaxninja.check.subject.pytrees import cast, float_leaves, unit, with_floats

NEIGHBOURS, FEW = 24, 4
MOVABLE = ("real", "positive", "probability")  # by next to nothing
STEEP = 1e4  # times what gradients make of the distance: more is a jump of the value
LEAST = 1e-3  # of the largest deviation: noise is no jump
DISTANCE, ROUGH = 1e-10, 1e-6  # rough in low precision: what rounds alike ties there
FARTHER, GROWTH = 10, 4  # a range that grows so much ten times as far is a smooth one's


def is_subgradient(
    setup: Setup, evaluation: Evaluation, index: int, ignored: Sequence[str] = ()
) -> bool:
    """Whether leaf `index` is wrong by JAX's convention and right by another one.

    Args:
        ignored: names of the leaves that have no share in what is right there.
    """
    trial = evaluation.trials[index]
    if not np.isfinite(trial.got).all() or trial.got.shape != trial.expected.shape:
        return False
    distances = (DISTANCE,) if trial.dtype == "float64" else (DISTANCE, ROUGH)
    return any(_is_near(setup, evaluation, index, d, ignored) for d in distances)


def _is_near(
    setup: Setup, evaluation: Evaluation, index: int, distance: float, ignored
) -> bool:
    """Whether it is among the gradients at this distance."""
    trial = evaluation.trials[index]
    if not _jumps_anywhere(setup, evaluation, index, distance):
        return False
    around = _selected(setup, evaluation, distance)
    near = around[index]
    if not np.isfinite(near).all():
        return False
    slack = max(1e-4, 64 * unit(trial.dtype)) * max(float(np.abs(near).max()), 1e-300)
    inside = all(
        _within(total(trial.got), np.stack([total(g) for g in near]), slack)
        for total in _totals(trial.got.ndim)
    )
    # what two arguments share, as the larger of both does, is not counted twice
    inside = inside and all(
        _within(trial.got + other.got, near + theirs, slack)
        for other, theirs in zip(evaluation.trials, around, strict=True)
        if other is not trial and other.name not in ignored
        if _alike(trial, other) and _is_off(other)
    )
    return inside and _jumps(
        trial, near, _selected(setup, evaluation, FARTHER * distance)[index]
    )


def jumps_where_off(
    setup: Setup, evaluation: Evaluation, ignored: Sequence[str] = ()
) -> bool:
    """Whether the reference's gradients jump in every entry in which the rule is off.

    Where all entries of an argument are equal, all maxima over them tie at once: which
    of so many subgradients are right together is more than neighbours can tell.
    """
    asked = [trial.name not in ignored for trial in evaluation.trials]
    wrong = [i for i, t in enumerate(evaluation.trials) if asked[i] and _is_off(t)]
    if not wrong:
        return False
    near, far = (_near(setup, evaluation, d) for d in (DISTANCE, FARTHER * DISTANCE))
    return all(_jumps(evaluation.trials[i], near[i], far[i]) for i in wrong)


def _jumps_anywhere(setup, evaluation, index: int, distance: float) -> bool:
    """A first look, at few neighbours: most rules that are off are plainly wrong. What
    stays where it is has none, and yet the sum of a mask is compared with 1."""
    trial = evaluation.trials[index]
    if setup.kinds[index] not in MOVABLE:
        return True
    few = _neighbours(setup, evaluation, distance, random=FEW)
    near = np.stack([*(leaves[index] for leaves in few), trial.expected])
    gap = np.abs(trial.got - trial.expected)
    # two that read the same tie may move against each other, and nearly in balance
    least = np.maximum(gap / 32, LEAST * gap.max())
    jumps = np.nan_to_num(_spread(near)) >= least
    return bool(jumps[gap > 0].any())


def _is_off(trial: Trial) -> bool:
    return not difference(trial.got, trial.expected, trial.tolerance).ok


def _alike(one: Trial, other: Trial) -> bool:
    return one.got.shape == other.got.shape and bool(np.isfinite(other.got).all())


def _jumps(trial: Trial, near: np.ndarray, far: np.ndarray) -> bool:
    """Whether the gradient jumps in each entry that is off, by about as much as it is;
    a rule that is not finite where the gradient is says nothing of a jump.

    Args:
        near, far: gradients at neighbours, and at ones further away: [K, *shape].
    """
    gap = np.abs(trial.got - trial.expected)
    off = ~(gap <= trial.tolerance) & np.isfinite(trial.expected)
    spread, wider = _spread(near), _spread(far)
    jumps = (spread >= gap / 4) & (wider <= GROWTH * spread)
    return bool(jumps[off].all())


def _spread(gradients: np.ndarray) -> np.ndarray:
    parts = (np.real(gradients), np.imag(gradients))
    return np.hypot(*(np.ptp(part, axis=0) for part in parts))


def _near(setup: Setup, evaluation: Evaluation, distance: float) -> list[np.ndarray]:
    """[K, *shape] a leaf: gradients around the point, and the one at it.

    An argument whose gradient is zero wherever one looks moves nothing but jumps of the
    value, and across these there is no other gradient of this one: it is held.
    """
    here = [trial.expected for trial in evaluation.trials]

    def around(held: Sequence[bool] = ()) -> list[np.ndarray]:
        near = _neighbours(setup, evaluation, distance, held=held)
        near = [*(grads for grads in near if _as_finite(grads, here)), here]
        return [np.stack(leaf) for leaf in zip(*near, strict=True)]

    found = around()
    idle = [not leaf.any() for leaf in found]
    return around(idle) if any(idle) and not all(idle) else found


def _as_finite(gradients: list, here: list) -> bool:
    """JAX's gradient of a minimum divides by how many are equal to it, by none of them
    in a program that rounds what is compared twice."""
    pairs = zip(gradients, here, strict=True)
    return all(np.isfinite(g).all() or not np.isfinite(h).all() for g, h in pairs)


def _selected(setup: Setup, evaluation: Evaluation, distance: float) -> list:
    """The same, and those where each kink within the function is decided by itself, if
    none of them is a jump of the value. A declared gradient has its own kinks."""
    near = _near(setup, evaluation, distance)
    if setup.surrogate is not None:
        return near
    with jax.enable_x64(True):
        args, dy = cast(evaluation.args, "float64"), cast(evaluation.dy, "float64")
        chosen = list(selections(setup.subject.plain, args, dy, distance))
    here = evaluation.truth.y, [trial.expected for trial in evaluation.trials]
    finite = [
        gradients
        for y, gradients in chosen
        if all(np.isfinite(g).all() for g in gradients)
        and _continuous((y, gradients), here, args, dy, distance)
    ]
    return [np.stack([*a, *(one[i] for one in finite)]) for i, a in enumerate(near)]


def _continuous(near, here, args: tuple, dy: list, distance: float) -> bool:
    """Whether the value differs by no more than gradients and distance may explain."""
    flow = sum(
        float(np.sum(np.abs(g * (a - b))))
        for g, a, b in zip(dy, near[0], here[0], strict=True)
    )
    sizes = [
        max(1.0, float(np.max(np.abs(a), where=np.isfinite(a), initial=0)))
        for a in float_leaves(args)
    ]
    terms = [
        float(np.nansum(np.abs(g))) * size
        for grads in (near[1], here[1])
        for g, size in zip(grads, sizes, strict=True)
    ]
    terms += [float(np.sum(np.abs(g * y))) for g, y in zip(dy, here[0], strict=True)]
    return not flow > STEEP * distance * sum(terms)


def _neighbours(
    setup: Setup,
    evaluation,
    distance: float,
    random: int = NEIGHBOURS,
    held: Sequence[bool] = (),
):
    """Gradients at neighbours: random ones, those at which sums are extreme, those that
    break ties by the index, and those nearer to 0, within a clip to both sides. Each
    has one on the other side."""
    held = held or [False] * len(evaluation.trials)
    rng = np.random.default_rng(0xC1A2)
    got = [trial.got for trial in evaluation.trials]
    ways = [[np.ones_like(g) for g in got], [np.sign(np.real(g)) for g in got]]
    ways += [[_in_order(g.shape) for g in got]]
    ways += [[np.sign(np.real(leaf)) for leaf in float_leaves(evaluation.args)]]
    ways += [[rng.standard_normal(g.shape) for g in got] for _ in range(random // 2)]
    for way in (w for one in ways for w in (one, [-part for part in one])):
        with jax.enable_x64(True):
            wide = cast(evaluation.args, "float64")
            rows = zip(float_leaves(wide), way, setup.kinds, held, strict=True)
            moved = [
                leaf if still else _moved(leaf, w, distance, kind)
                for leaf, w, kind, still in rows
            ]
            args = with_floats(wide, moved)
            dy = cast(evaluation.dy, "float64")
            yield setup.truth(args, dy)[0].gradients


def _in_order(shape: tuple) -> np.ndarray:
    """Ways that rank ties by their index, as a stable sort does."""
    count = max(math.prod(shape), 1)
    return (np.arange(count).reshape(shape) + 1) / count


def _moved(leaf, way, distance: float, kind: str):
    """Entries that are infinite, masked out say, stay where they are."""
    finite = np.isfinite(leaf)
    if not finite.any() or (finite.all() and kind not in MOVABLE):
        return leaf
    largest = float(np.max(np.abs(leaf), where=finite, initial=1.0))
    return np.where(finite, leaf + distance * largest * np.where(finite, way, 0), leaf)


def _totals(ndim: int):
    """The entries, their sums over one axis, and over all."""
    sums = [lambda g, axis=axis: g.sum(axis) for axis in range(ndim)]
    return [lambda g: g, *sums, lambda g: g.sum()]


def _within(value, near, slack: float) -> bool:
    if np.iscomplexobj(value) or np.iscomplexobj(near):
        parts = [(part(value), part(near)) for part in (np.real, np.imag)]
        return all(_within(of, among, slack) for of, among in parts)
    low, high = near.min(0), near.max(0)
    room = slack + 0.02 * (high - low)  # random neighbours do not reach the very ends
    return bool(((value >= low - room) & (value <= high + room)).all())

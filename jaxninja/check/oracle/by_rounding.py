"""Does a rounding decide, at this very sample, on which side of a bound the rule is?

Where a constraint cannot be met, a projection stops at a corner: whether an entry is
at its bound or a last bit inside is chance, and a right rule that sees it inside says
another gradient there than the reference, which does not. A rounding away it is right.
Numbers that are equal exactly, ties, are no chance, unless they are probabilities that
are 0 far away, whose order is lost. Nor is a forward one thing or
another where it goes by the direction of a vector that is nothing but roundings.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import wide
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.comparisons import compares_inside, tells
from jaxninja.check.oracle.roundings.condition import error
from jaxninja.check.oracle.trial import is_of_usual_size, is_off
from jaxninja.check.oracle.truth import (
    rule_of,
    traced_gradients,
    value_of,
)
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.control_flow import noted
from jaxninja.check.subject.plain_forward import evaluate, opened
from jaxninja.check.subject.pytrees import (
    cast,
    float_leaves,
    is_float,
    is_wide,
    largest,
    unit,
)
from jaxninja.jaxpr import bind

DRAWS, STEP = 12, 8.0  # of moves, and their size in roundings
CHOOSING = frozenset(("argmin", "argmax", "sort", "top_k"))
CLOSE = 64.0  # roundings of what is compared
LEAP, FURTHER = 1e-3, 64.0  # of values and inputs; as far, where it is as large


def decided_by_rounding(setup, evaluation) -> bool:
    """Whether the rule, off at a sample, jumps there by about as much as it is off when
    its inputs move by roundings, and has a comparison that these turn."""
    trials = evaluation.trials
    if setup.subject.is_numpy:
        return False
    u = unit(trials[0].dtype)
    if not all(np.isfinite(t.got).all() for t in trials):
        return _is_finite_nearby(setup, evaluation, u)
    near = zip(*(_moved(setup, evaluation, u, k) for k in range(DRAWS)), strict=True)
    jumps = all(
        _jumps(trial, np.stack([trial.got, *moved]))
        for trial, moved in zip(trials, near, strict=True)
    )
    return jumps and _in_doubt(setup, evaluation, u)


def _is_finite_nearby(setup, evaluation, u: float) -> bool:
    """Whether a rule that is not finite is right where all inputs are larger by the
    same few roundings. What vanishes since numbers are equal does so there too; not so
    what a last bit makes vanish, as the sum of two unit vectors."""
    trials, dtype = evaluation.trials, evaluation.trials[0].dtype
    for k in range(1, DRAWS + 1):
        with jax.enable_x64(is_wide(dtype)):
            near = jax.tree.map(partial(_grown, part=k * u), evaluation.args)
            near = cast(near, dtype)
            found = rule_of(setup.subject, near, evaluation.dy).gradients
        pairs = zip(trials, map(wide, found), strict=True)
        if not any(is_off(replace(trial, got=got)) for trial, got in pairs):
            return True
    return False


def _grown(leaf, part: float):
    return leaf * (1 + part) if kind_of(leaf) in ("real", "positive") else leaf


def value_decided_by_rounding(setup, evaluation) -> bool:
    """Whether fwd says another value than the plain forward, which jumps by about as
    much at inputs a few roundings away, in the direction of a vector that vanishes say;
    or whether it jumps at all where gradients are not finite."""
    off = [i for i, trial in enumerate(evaluation.forward) if is_off(trial)]
    lost = [t for t in evaluation.trials if is_off(t) and not _is_known(t)]
    if setup.subject.is_numpy or not (off or lost):
        return False
    near, far = (_values(setup, evaluation, times) for times in (1, FURTHER))
    leaps = [_spread(z) < 4 * _spread(y) for y, z in zip(near, far, strict=True)]
    if off:
        return all(leaps[i] and _jumps(evaluation.forward[i], near[i]) for i in off)
    # a length that is 0, and a rounding nearby, does not leap
    size = max(map(largest, float_leaves(evaluation.args)), default=0.0)
    large = [_spread(y) > LEAP * max(size, largest(y[0])) for y in near]
    return any(a and b for a, b in zip(leaps, large, strict=True))


@lru_cache(maxsize=128)
def _choosing_the_last(plain) -> Callable:
    """The plain forward, with the last of the largest where it takes the first."""

    def step(eqn, ins):
        name = eqn.primitive.name
        if name not in ("argmax", "argmin", "top_k") or not is_float(ins[0]):
            return None
        axis = eqn.params["axes"][0] if "axes" in eqn.params else -1
        outs = bind(eqn, [jnp.flip(ins[0], axis)])
        last = jnp.asarray(np.shape(ins[0])[axis] - 1, outs[-1].dtype)
        return [*outs[:-1], last - outs[-1]]

    return compiled(opened(plain, step))


def _is_known(trial) -> bool:
    return bool(np.isfinite(trial.got).all() and np.isfinite(trial.expected).all())


def _values(setup, evaluation, times: float) -> list[np.ndarray]:
    """Of each output: what it is, and what it is at inputs some roundings away."""
    dtype, value = evaluation.forward[0].dtype, value_of(setup.subject)
    hole = not all(np.isfinite(t.expected).all() for t in evaluation.trials)
    with jax.enable_x64(is_wide(dtype)):
        u = times * unit(dtype)
        moves = (_nearby(evaluation, u, k, hole) for k in range(DRAWS))
        found = [float_leaves(value(*args)) for args in (evaluation.args, *moves)]
        if not is_of_usual_size(evaluation.args):
            last = _choosing_the_last(setup.subject.plain)
            found.append(float_leaves(last(*evaluation.args)))
    return [wide(np.stack(ys)) for ys in zip(*found, strict=True)]


def _spread(near: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # infinite less infinite is no jump
        return float(np.max(np.abs(near - near[:1]), initial=0.0))


def _jumps(trial, near: np.ndarray) -> bool:
    gap = error(trial.got, trial.expected)
    spread = np.abs(near - near[:1]).max(0)
    return bool((spread >= gap / 4)[gap > trial.tolerance].all())


def _moved(setup, evaluation, u: float, seed: int) -> list[np.ndarray]:
    """The rule's gradients at inputs a few roundings away."""
    with jax.enable_x64(is_wide(evaluation.trials[0].dtype)):
        near = _nearby(evaluation, u, seed)
        return rule_of(setup.subject, near, evaluation.dy).gradients


def _nearby(evaluation, u: float, seed: int, zeros: bool = False) -> tuple:
    """Inputs a few roundings away; zeros too, where these may be what has no slope."""
    rng = np.random.default_rng([seed, 0xB17])

    def move(leaf):
        if kind_of(leaf) not in ("real", "positive"):
            return leaf
        ways = STEP * u * rng.uniform(-1, 1, np.shape(leaf))
        fixed = largest(leaf) * ways if zeros else 0.0
        moved = np.where(leaf == 0, fixed, leaf * (1 + ways))
        return moved.astype(leaf.dtype)

    return jax.tree.map(move, evaluation.args)


def _in_doubt(setup, evaluation, u: float) -> bool:
    """Whether numbers that the rule compares differ by a few roundings only, or a
    comparison goes the other way in float64: with a variance that should be 0, say."""
    args, dy = evaluation.args, evaluation.dy
    in_float64 = is_wide(evaluation.trials[0].dtype)
    with jax.enable_x64(in_float64):
        found = _margins(setup.subject)(args, dy)
    close = any(float(margin) <= CLOSE * u for margin in found)
    if in_float64 or close:
        return close
    here = _sides(setup.subject)(args, dy)
    with jax.enable_x64(True):
        there = _sides(setup.subject)(cast(args, "float64"), cast(dy, "float64"))
    return any(map(np.any, map(np.not_equal, here, there)))


@lru_cache(maxsize=128)
def _sides(subject) -> Callable:
    """What comes of each comparison of floats in the rule, those of loops aside."""

    def run(args, dy):
        found: list = []

        def step(eqn, ins):
            if not (tells(eqn, ins) and is_float(ins[0])):
                return None
            found.extend(out := bind(eqn, ins))
            return out

        closed = traced_gradients(subject, args, dy)
        evaluate(closed, jax.tree.leaves((args, dy)), step)
        return found

    return compiled(run)


@lru_cache(maxsize=128)
def _margins(subject) -> Callable:
    """Of each comparison of floats in the rule, and of each choice among them, the
    least relative distance of numbers that are not equal."""

    def run(args, dy):
        found: list = []
        closed = traced_gradients(subject, args, dy)
        evaluate(closed, jax.tree.leaves((args, dy)), _watch(found))
        return [margin for margin, _ in found]

    return compiled(run)


def _watch(found: list):
    def step(eqn, ins):
        if compares_inside(eqn):
            outs, inside = noted(eqn, ins, _watch, jnp.inf)
            found.extend((jnp.min(margins), None) for margins, _ in inside)
            return outs
        if tells(eqn, ins) and is_float(ins[0]):
            found.append((_least(*map(jnp.asarray, ins)), None))
        if eqn.primitive.name in CHOOSING and is_float(ins[0]):
            axis = eqn.params.get("dimension", eqn.params.get("axes", (-1,))[0])
            ranks = jnp.moveaxis(jnp.sort(jnp.asarray(ins[0]), axis), axis, 0)
            found.append((_least(ranks[1:], ranks[:-1]), None))
        return None

    return step


def _least(a, b):
    size = jnp.maximum(jnp.abs(a), jnp.abs(b)).astype(float)
    gap = jnp.abs(a - b).astype(float)
    return jnp.min(jnp.where(gap > 0, gap / size, jnp.inf), initial=jnp.inf)

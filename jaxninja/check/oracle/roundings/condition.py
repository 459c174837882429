"""The condition of value and gradient: how far roundings on the way move them.

It is measured at the very sample, on the reference: forward and gradient are computed
again with the inputs and each intermediate value moved by one rounding. What that does
to them a correct rule of another form may do, too. Scores of size 1e6 are right to
their last bits only, and a softmax makes of these whatever it likes.

In this the reference decides as it does at the sample, and equal numbers move alike. A
rule that decides otherwise, by the singular values of a matrix of which the reference
knows that it is singular, is as right as the reference a rounding away. What changes
there and does not grow with the distance is a jump, and none of a condition.

A rule may also keep what the reference never computes, probabilities as scores and a
log-sum-exp: what a rounding of its residuals changes in its own gradient it may lose.
In the run dtype that holds for all its steps, as far as its numbers are no larger.
"""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.roundings.constants import MASKED
from jaxninja.check.oracle.roundings.perturbation import draw_of_signs, perturbed
from jaxninja.check.oracle.truth import (
    Outcome,
    Truth,
    backward_of,
    outcome,
    reference_of,
    rule_of,
)
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import OPENED, opened
from jaxninja.check.subject.pytrees import is_float, largest
from jaxninja.jaxpr import bind

DRAWS = 4  # of the roundings; four of a single number may all be small by chance
MORE = 24  # where a verdict hangs on them
FURTHER = 1024.0  # as far, where a change has grown and a jump has not


def moved_by_roundings(
    setup, args, dy, truth: Truth, u: float, draws: int = DRAWS
) -> Truth:
    """Largest change of value and gradient when inputs and steps move by `u`.

    Where the truth is by differences, it is the rule itself that tells, whose gradient
    may be wrong and is of the right size all the same. Call it under float64, as the
    next one.
    """
    rng = np.random.default_rng(0x5EED)
    gradients = [np.zeros(e.shape) for e in truth.gradients]
    y = [np.zeros(a.shape) for a in truth.y]
    here = rule_of(setup.subject, args, dy) if setup.differences else truth
    for _ in range(draws):
        if setup.differences:
            near = rule_of(setup.subject, _rounded(args, u, rng), dy)
            near = near.y, near.gradients
        else:
            near = _perturbed(setup)(args, dy, u, draw_of_signs(rng))
        y = _larger(y, near[0], here.y)
        gradients = _larger(gradients, near[1], here.gradients)
    if not setup.differences:
        nearby = _moved_nearby(setup, args, dy, truth, u, draws)
        gradients = [np.maximum(*pair) for pair in zip(gradients, nearby, strict=True)]
    return Truth(y, gradients, [], [])


def _moved_nearby(
    setup, args, dy, truth: Truth, u: float, draws: int
) -> list[np.ndarray]:
    """Largest change of the reference's gradients at inputs a rounding away."""
    moved = [np.zeros(e.shape) for e in truth.gradients]
    run = _reference(setup.subject.plain, setup.surrogate)
    for seed in range(draws):
        near, far = (
            run(_rounded(args, size, np.random.default_rng(seed)), dy)[1]
            for size in (u, FURTHER * u)
        )
        for m, here, *two in zip(moved, truth.gradients, near, far, strict=True):
            change, further = (error(there, here) for there in two)
            grown = further > FURTHER / 32 * change
            np.maximum(m, np.where(grown, change, 0), out=m)
    return moved


def moved_by_residuals(
    setup, args, dy, u: float, moved_y: list, draws: int = DRAWS
) -> list[np.ndarray]:
    """Largest change of the rule's own gradients when its residuals move by `u`, and
    those that are its value by as much as that may be off."""
    rng = np.random.default_rng(0x5EED)
    here = rule_of(setup.subject, args, dy)
    moved = [np.zeros(np.shape(g)) for g in here.gradients]
    for _ in range(0 if setup.subject.is_numpy else draws):
        run = _perturbed_backward(setup.subject)
        kept = _value_moved(here, moved_y, rng)
        near = run(args, kept, dy, u, draw_of_signs(rng))
        moved = _larger(moved, near, here.gradients)
    return moved


def _value_moved(here: Outcome, moved_y: list, rng):
    """The residuals; what is a copy of the value in them is moved as the value is."""

    def move(leaf):
        if not is_float(jnp.asarray(leaf)):  # an index may equal the value by chance
            return leaf
        for y, change in zip(here.y, moved_y, strict=True):
            if np.shape(y) == np.shape(leaf) and np.array_equal(y, leaf):
                return leaf + rng.choice([-1.0, 1.0], np.shape(y)) * change
        return leaf

    return jax.tree.map(move, here.residuals)


def moved_in_rule(
    setup,
    args,
    dy,
    u: float,
    most: float,
    terms: list[float],
    absorbed: bool,
    draws: int = DRAWS,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Largest change of the rule's own value and gradients when its inputs and steps
    move by `u`.

    It may take another road than the reference, by a log-sum-exp say, but over no
    larger numbers: what it loses by numbers that the reference never forms is its own
    fault.

    Args:
        most: the part of a value's or gradient's size that it may lose, or of the one
            at ordinary inputs, where little is left of it.
        terms: of each gradient, the size that it has at ordinary inputs.
        absorbed: the value is so large that what is added to it may be lost; numbers
            that are equal only since it was lost do not move alike.
    """
    rng = np.random.default_rng(0x5EED)
    y, gradients, _ = rule_of(setup.subject, args, dy)
    moved = [np.zeros(np.shape(a)) for a in (*y, *gradients)]
    for _ in range(draws):
        run = _perturbed_rule(setup.subject, not absorbed)
        near = run(args, dy, u, draw_of_signs(rng))
        moved = _larger(moved, near, [*y, *gradients])
    flow = max(map(largest, (*dy, *gradients)))
    values = setup.values or [0.0] * len(y)
    sizes = [max(largest(a), value) for a, value in zip(y, values, strict=True)]
    sizes += [max(flow, size) for size in terms]
    moved = [np.minimum(m, most * size) for m, size in zip(moved, sizes, strict=True)]
    return moved[: len(y)], moved[len(y) :]


def _perturbed(setup):
    return _program(setup.subject.plain, setup.surrogate)


@lru_cache(maxsize=128)
def _reference(plain, surrogate):
    return compiled(reference_of(plain, surrogate))


@lru_cache(maxsize=128)
def _program(plain, surrogate):
    def run(args, dy, u, draw):
        return perturbed(reference_of(plain, surrogate), u, draw)(args, dy)

    return compiled(run)


@lru_cache(maxsize=128)
def _perturbed_backward(subject):
    def run(args, residuals, dy, u, draw):
        f = backward_of(subject, args)
        return perturbed(f, u, draw, steps=False)(residuals, dy)

    return compiled(run)


@lru_cache(maxsize=128)
def _perturbed_rule(subject, alike: bool):
    def rule(args, dy):
        found = outcome(subject, args, dy)
        return [*found.y, *found.gradients]

    def run(args, dy, u, draw):
        return perturbed(rule, u, draw, alike=alike)(args, dy)

    return compiled(run)


def largest_step(setup, args) -> float:
    """The largest number that the plain forward forms on its way, but for masks."""
    return float(np.asarray(_largest_step(setup.subject.plain)(*args)))


@lru_cache(maxsize=128)
def _largest_step(plain):
    def run(*args):
        found = [jnp.zeros(())]

        def step(eqn, ins):
            if eqn.primitive in OPENED:
                return None
            outs = bind(eqn, ins)
            found.extend(_largest(a) for a in outs if is_float(a))
            return outs

        opened(plain, step)(*args)
        return jnp.max(jnp.stack([a.astype(found[0].dtype) for a in found]))

    return compiled(run)


def _largest(a):
    size = jnp.abs(a)
    return jnp.max(size, initial=0, where=size < MASKED)


def error(a, b) -> np.ndarray:
    """|a - b| where both are finite, else 0."""
    with np.errstate(all="ignore"):
        gap = np.abs(np.asarray(a, _wide(a)) - np.asarray(b, _wide(b)))
        return np.nan_to_num(gap, nan=0.0, posinf=0.0, neginf=0.0)


def _wide(array) -> str:
    return "complex128" if np.iscomplexobj(array) else "float64"


def _larger(before: list, near: list, here: list) -> list:
    return [
        np.maximum(b, error(n, h)) for b, n, h in zip(before, near, here, strict=True)
    ]


def _rounded(args: tuple, u: float, rng) -> tuple:
    def move(leaf):
        if not np.size(leaf) or kind_of(leaf) not in ("real", "positive", "definite"):
            return leaf
        return leaf * (1 + u * rng.choice([-1.0, 1.0], np.shape(leaf)))

    return jax.tree.map(move, args)

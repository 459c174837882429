"""The condition of value and gradient: how far roundings on the way move them.

It is measured at the very sample, on the reference: forward and gradient are computed
again with the inputs and each intermediate value moved by one rounding. What that does
to them a correct rule of another form may do, too. Scores of size 1e6 are right to
their last bits only, and a softmax makes of these whatever it likes.

A rule may also keep what the reference never computes, probabilities as scores and a
log-sum-exp: what a rounding of its residuals changes in its own gradient it may lose.
"""

from functools import lru_cache

import jax
import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.perturbation import draw_of_signs, perturbed
from jaxninja.check.oracle.truth import (
    Truth,
    backward_of,
    reference_of,
    rule_of,
)
from jaxninja.check.subject.compilation import compiled

DRAWS = 4  # of the roundings


def moved_by_roundings(setup, args, dy, truth: Truth, u: float) -> Truth:
    """Largest change of value and gradient when inputs and steps move by `u`.

    Where the truth is by differences, it is the rule itself that tells, whose gradient
    may be wrong and is of the right size all the same. Call it under float64, as the
    next one.
    """
    rng = np.random.default_rng(0x5EED)
    gradients = [np.zeros(e.shape) for e in truth.gradients]
    y = [np.zeros(a.shape) for a in truth.y]
    here = rule_of(setup.subject, args, dy) if setup.differences else truth
    for _ in range(DRAWS):
        if setup.differences:
            near = rule_of(setup.subject, _rounded(args, u, rng), dy)
            near = near.y, near.gradients
        else:
            near = _perturbed(setup)(args, dy, u, draw_of_signs(rng))
        y = _larger(y, near[0], here.y)
        gradients = _larger(gradients, near[1], here.gradients)
    return Truth(y, gradients, [], [])


def moved_by_residuals(setup, args, dy, u: float) -> list[np.ndarray]:
    """Largest change of the rule's own gradients when its residuals move by `u`."""
    rng = np.random.default_rng(0x5EED)
    here = rule_of(setup.subject, args, dy)
    moved = [np.zeros(np.shape(g)) for g in here.gradients]
    for _ in range(0 if setup.subject.is_numpy else DRAWS):
        run = _perturbed_backward(setup.subject)
        near = run(args, here.residuals, dy, u, draw_of_signs(rng))
        moved = _larger(moved, near, here.gradients)
    return moved


def _perturbed(setup):
    return _program(setup.subject.plain, setup.surrogate)


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

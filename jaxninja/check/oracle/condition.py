"""The condition of a gradient: how far roundings on the way to it move it.

A correct rule may lose what a rounding of its inputs changes in the true gradient, and
what a rounding of its residuals changes in its own: probabilities recomputed from a
log-sum-exp of size 300 are right to 300 units only, though the inputs do not show it.
A value may lose what roundings on the way to it change: a divergence of 1e-4 between
two distributions is a difference of logarithms of size 3.
"""

import jax
import numpy as np

from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.oracle.truth import Truth, backward_of, rule_of, truth_of
from jaxninja.check.subject.plain_forward import OPENED, opened
from jaxninja.check.subject.pytrees import float_leaves
from jaxninja.jaxpr import bind

DRAWS = 2  # of the roundings
EXACT = (  # what moves, chooses or negates, and rounds nothing
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "rev"),
    *("slice", "dynamic_slice", "concatenate", "pad", "gather", "copy", "select_n"),
    *("neg", "abs", "sign", "max", "min", "reduce_max", "reduce_min", "sort", "clamp"),
    *("stop_gradient", "optimization_barrier", "convert_element_type"),
)


def moved_by_inputs(setup, args, dy, truth: Truth, u: float) -> Truth:
    """Largest change of output and gradient when inputs move by a rounding `u`.

    Where the truth is by differences, it is the rule itself that tells, whose gradient
    may be wrong and is of the right size all the same. Call it under float64, as the
    next one.
    """
    rng = np.random.default_rng(0x5EED)
    gradients = [np.zeros(e.shape) for e in truth.gradients]
    y = [np.zeros(a.shape) for a in truth.y]
    if setup.surrogate:
        return Truth(y, gradients, [], [])
    at = rule_of if setup.differences else truth_of
    here = rule_of(setup.subject, args, dy) if setup.differences else truth
    for _ in range(DRAWS):
        near = at(setup.subject, _rounded(args, u, rng), dy)
        gradients = _larger(gradients, near.gradients, here.gradients)
        y = _larger(y, near.y, here.y)
    return Truth(y, gradients, [], [])


def moved_by_residuals(setup, args, dy, u: float) -> list[np.ndarray]:
    """Largest change of the rule's own gradients when its residuals move by `u`."""
    rng = np.random.default_rng(0x5EED)
    here = rule_of(setup.subject, args, dy)
    moved = [np.zeros(np.shape(g)) for g in here.gradients]
    for _ in range(0 if setup.subject.is_numpy else DRAWS):
        residuals = jax.tree.map(lambda a: _jittered(a, u, rng), here.residuals)
        near = backward_of(setup.subject, args, residuals, dy)
        moved = _larger(moved, near, here.gradients)
    return moved


def moved_by_steps(setup, args, y: list, u: float) -> list[np.ndarray]:
    """Largest change of the plain value `y` when each step of it moves by `u`."""
    rng = np.random.default_rng(0x5EED)

    def step(eqn, ins):
        if eqn.primitive in OPENED or eqn.primitive.name in EXACT:
            return None
        return [_jittered(out, u, rng) for out in bind(eqn, ins)]

    moved = [np.zeros(a.shape) for a in y]
    for _ in range(0 if setup.differences else 2 * DRAWS):
        near = float_leaves(opened(setup.subject.plain, step)(*args))
        moved = _larger(moved, near, y)
    return moved


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


def _jittered(leaf, u: float, rng):
    floating = getattr(leaf, "dtype", None) == np.float64
    return leaf * (1 + u * rng.choice([-1.0, 1.0], leaf.shape)) if floating else leaf

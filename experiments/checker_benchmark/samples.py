"""Samples on which a mutant is told from the correct rule, in float64."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.rule import Rule

SEEDS = (101, 202)
SCALES = (1.0, 1e-3)  # the second is small enough for an eps to matter
MARGIN = 1e-6


class Sample(NamedTuple):
    args: tuple
    static: tuple
    value: Any
    residuals: Any
    dy: Any
    grads: tuple


_DRAWN: dict[tuple, Sample] = {}  # by bwd and number: a Rule holds dicts, no hash


def samples(rule: Rule) -> Iterator[Sample]:
    """All cases at two seeds with two cotangents; then once more with small inputs.

    Each is drawn when it is asked for, and kept: most mutants show at the first.
    """
    settings = product(SCALES, zip(SEEDS, (1.0, 2.5), strict=True), rule.cases)
    for number, (scale, (seed, spread), case) in enumerate(settings):
        if (rule.bwd, number) not in _DRAWN:
            with jax.enable_x64(True):
                drawn = _sample(rule, case, seed, scale, spread)
            _DRAWN[rule.bwd, number] = drawn
        yield _DRAWN[rule.bwd, number]


def _sample(rule: Rule, case, seed: int, scale: float, spread: float) -> Sample:
    args = widened(rule.example(jax.random.key(seed), **case.dims), scale)
    value, residuals = rule.fwd(*args, *case.static)
    dy = cotangent(value, seed, spread)
    grads = rule.bwd(*case.static, residuals, dy)
    return Sample(args, case.static, value, residuals, dy, grads)


def cotangent(value, seed: int, spread: float):
    """Normal numbers of both signs, of the shapes and dtypes of the output."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda y: jnp.asarray(rng.normal(0.1, spread, y.shape), y.dtype), value
    )


def widened(args, scale: float = 1.0):
    """Floating-point leaves in float64, times scale; all others as they are."""

    def widen(a):
        floating = jnp.issubdtype(a.dtype, jnp.floating)
        return scale * a.astype(jnp.float64) if floating else a

    return jax.tree.map(widen, args)


def different(mine, truth, margin: float = MARGIN) -> bool:
    """Whether a leaf has another dtype, or is off by more than margin of its largest.

    Another shape raises ValueError: such a rule does not run under custom_vjp.
    """
    pairs = zip(jax.tree.leaves(mine), jax.tree.leaves(truth), strict=True)
    return any([_leaf_differs(a, b, margin) for a, b in pairs])


def _leaf_differs(a, b, margin: float) -> bool:
    if jnp.shape(a) != jnp.shape(b):
        raise ValueError(f"a gradient of shape {jnp.shape(a)}, expected {jnp.shape(b)}")
    if a.dtype != b.dtype:
        return True
    a, b = np.asarray(a), np.asarray(b)
    scale = float(np.abs(b).max(initial=0)) or 1.0
    return not float(np.abs(a - b).max(initial=0)) <= margin * scale

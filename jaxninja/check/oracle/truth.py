"""The compiled sides of a comparison, remembered: the truth, autodiff, and the rule.

One jit a side and shape: a rule is called on dozens of inputs and cotangents. The truth
is keyed by the plain forward alone, so that many versions of a rule share it.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from jaxninja.check.errors import CLOSES_OVER, UserCodeError, running
from jaxninja.check.oracle.comparisons import compares, watch
from jaxninja.check.oracle.roundings.magnitude import magnitudes
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import evaluate, opened
from jaxninja.check.subject.pytrees import (
    cotangent,
    float_leaves,
    is_float,
    largest,
    signature,
    with_floats,
)
from jaxninja.check.subject.subject import Bound, Subject

# Terms beyond so many times the gradients are those of an iteration whose steps cancel,
# twice as many a step. A rounding that is as large shows where roundings are measured.
BELIEVED = 1e6


class Truth(NamedTuple):
    """What the reference says at one input and one cotangent.

    Attributes:
        y: float leaves of the output.
        gradients: one array a float leaf of the arguments.
        scales: sum of the magnitudes of the terms of each gradient entry.
        predicates: for each comparison in the forward: ever true, ever false.
    """

    y: list
    gradients: list
    scales: list
    predicates: list


class Outcome(NamedTuple):
    """What the rule says at one input and one cotangent."""

    y: list
    gradients: list
    residuals: Any


def truth_of(subject: Subject, args: tuple, dy: list) -> Truth:
    """The reference's gradient; call it under float64."""
    with running(f"the plain forward of {subject.name}"):
        truth = Truth(*_host(_truth(subject.plain)[0](args, dy)))
    most = BELIEVED * max(map(largest, (*truth.gradients, *dy)))
    return truth._replace(scales=[_at_most(most, a) for a in truth.scales])


def _at_most(most: float, scale: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scale), np.minimum(scale, most), scale)


def predicate_lines(subject: Subject, args: tuple) -> list[str | None]:
    """Source lines of the comparisons that `Truth.predicates` reports on."""
    return _truth(subject.plain)[1].get(signature(args), [])


def rule_predicates(subject: Subject, args: tuple, dy: list) -> list[tuple]:
    """(line, ever true and ever false) of each comparison in the rule itself."""
    run, compile_run, lines = _rule_watch(subject)
    if signature(args) not in lines:
        with running(f"the rule of {subject.name}"):
            jax.eval_shape(run, args, dy)
    found = lines[signature(args)]
    return list(zip(found, _host(compile_run(args, dy)), strict=True)) if found else []


def autodiff_of(
    subject: Subject, args: tuple, dy: list, surrogate: Callable | None = None
) -> tuple[list, list]:
    """Value and gradients by JAX in the dtype of `args`, with their own rounding;
    or the gradients that are declared."""
    what = f"surrogate of {subject.name}" if surrogate else ""
    with running(what or f"the plain forward of {subject.name}"):
        return _host(_autodiff(subject.plain, surrogate)(args, dy))


def rule_of(subject: Subject, args: tuple, dy: list) -> Outcome:
    """The rule's value, gradients and residuals in the dtype of `args`."""
    if subject.is_numpy:
        with np.errstate(all="ignore"):  # the inputs are ours: overflow is no news
            return outcome(subject, args, dy)
    with running(f"the rule of {subject.name}"):
        out = _rule(subject)(args, dy)
        return Outcome(_host(out.y), _host(out.gradients), out.residuals)


def gradients_as_used(subject: Subject, args: tuple, dy: list) -> list:
    """The rule's gradients alone, compiled as users compile them: another program,
    which rounds elsewhere."""
    with running(f"the rule of {subject.name}"):
        return _host(_gradients(subject)(args, dy))


def value_of(subject: Subject) -> Callable:
    """The plain forward as a compiled function of its arrays."""
    run = _value(subject.plain)

    def value(*args):
        with running(f"the plain forward of {subject.name}"):
            return _host(run(*args))

    return value


def backward_of(subject: Subject, args: tuple) -> Callable:
    """(residuals, dy) -> the rule's gradients, at arguments of these shapes."""

    def backward(residuals, dy):
        y = jax.eval_shape(subject.plain, *args)
        dy = cotangent(y, _typed(dy, float_leaves(y)))
        with running(f"bwd of {subject.name}"):
            return gradient_leaves(subject.bwd(residuals, dy), args)

    return backward


def _host(tree):
    if any(isinstance(a, Tracer) for a in jax.tree.leaves(tree)):
        text = "it " + "".join(CLOSES_OVER)
        raise UserCodeError("E-CLOSURE", text, None)
    return jax.tree.map(np.asarray, tree)


@lru_cache(maxsize=128)
def _truth(plain: Bound) -> tuple[Callable, dict]:
    lines = {}

    def truth(args, dy):
        found: list = []

        def f(*floats):
            found.clear()
            watched = opened(plain, watch(found))
            y = float_leaves(watched(*with_floats(args, floats)))
            return y, [value for value, _ in found]

        y, pullback, predicates = jax.vjp(f, *float_leaves(args), has_aux=True)
        lines[signature(args)] = [line for _, line in found]
        dy = _typed(dy, y)
        linear = jax.make_jaxpr(pullback)(dy)
        gradients = jax.core.eval_jaxpr(linear.jaxpr, linear.consts, *dy)
        return y, gradients, magnitudes(linear, dy), predicates

    return compiled(truth), lines


@lru_cache(maxsize=128)
def _value(plain: Bound) -> Callable:
    return compiled(opened(plain))


@lru_cache(maxsize=128)
def _autodiff(plain: Bound, surrogate: Callable | None) -> Callable:
    return compiled(reference_of(plain, surrogate))


def reference_of(plain: Bound, surrogate: Callable | None = None) -> Callable:
    """(args, dy) -> value and gradients: JAX's own, or those that are declared."""
    forward = opened(plain)

    def autodiff(args, dy):
        def f(*floats):
            return float_leaves(forward(*with_floats(args, floats)))

        y, pullback = jax.vjp(f, *float_leaves(args))
        return y, list(pullback(_typed(dy, y)))

    def declared(args, dy):
        assert surrogate is not None
        y = forward(*args)
        dy = with_floats(y, _typed(dy, float_leaves(y)))
        given = surrogate(tuple(plain.merged(args)), dy)
        missing = (None,) * (len(args) - len(given))  # of arguments left at defaults
        return float_leaves(y), gradient_leaves((*given, *missing), args)

    return declared if surrogate else autodiff


@lru_cache(maxsize=128)
def _rule(subject: Subject) -> Callable:
    return compiled(lambda args, dy: outcome(subject, args, dy))


@lru_cache(maxsize=128)
def _gradients(subject: Subject) -> Callable:
    return compiled(lambda args, dy: outcome(subject, args, dy).gradients)


@lru_cache(maxsize=128)
def _rule_watch(subject: Subject) -> tuple[Callable, Callable, dict]:
    lines: dict = {}

    def run(args, dy):
        found: list = []
        closed = traced_gradients(subject, args, dy)
        if compares(closed.jaxpr):
            evaluate(closed, jax.tree.leaves((args, dy)), watch(found))
        lines[signature(args)] = [line for _, line in found]
        return [value for value, _ in found]

    return run, compiled(run), lines


def traced_gradients(subject: Subject, args, dy: list):
    """The closed jaxpr of the rule, from (args, dy) to its gradients."""
    return jax.make_jaxpr(lambda *a: outcome(subject, *a).gradients)(args, dy)


def outcome(subject: Subject, args, dy: list) -> Outcome:
    with running(f"fwd of {subject.name}"):
        y, residuals = subject.fwd(args)
    with running(f"bwd of {subject.name}"):
        raw = subject.bwd(residuals, cotangent(y, _typed(dy, float_leaves(y))))
    return Outcome(float_leaves(y), gradient_leaves(raw, args), residuals)


def _typed(dy: list, y: list) -> list:
    return [g.astype(a.dtype) for g, a in zip(dy, y, strict=True)]


def gradient_leaves(raw, args: tuple) -> list:
    """One array for each float leaf of the arguments, as JAX would read `raw`.

    None means zeros; an array where the argument is a container is taken for each of
    its leaves, as `custom_vjp` does without a word (`subject/` objects to it).
    """
    found = []
    for given, arg in zip(raw, args, strict=True):
        leaves, tree = jax.tree.flatten(arg)
        parts = [given] * len(leaves) if _is_prefix(given, tree) else None
        parts = tree.flatten_up_to(given) if parts is None else parts
        pairs = zip(parts, leaves, strict=True)
        found += [_zeros_for_none(g, a) for g, a in pairs if is_float(a)]
    return found


def _is_prefix(given, tree) -> bool:
    return given is None or (
        jax.tree.structure(given) == jax.tree.structure(0)
        and tree != jax.tree.structure(0)
    )


def _zeros_for_none(given, leaf):
    return np.zeros(np.shape(leaf), leaf.dtype) if given is None else given

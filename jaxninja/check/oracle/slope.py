"""Is the gradient that JAX makes of the plain forward the slope of its values?

A bisection only compares what depends on its arguments: JAX's derivative of it is that
of its start, whatever the root does. Then the values have to tell, by differences. A
derivative that is another on purpose, by `stop_gradient` or a rule of its own, stands.
It is another too where it overflows on its way and the value does not.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.oracle.trial import Evaluation, Setup, is_of_usual_size
from jaxninja.check.oracle.truth import Truth, reference_of, value_of
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import OPENED, evaluate, opened
from jaxninja.check.subject.pytrees import (
    float_leaves,
    is_float,
    is_wide,
    with_floats,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import bind, equations

ON_PURPOSE = frozenset(("stop_gradient", "custom_jvp_call", "custom_vjp_call"))
COMPARED = frozenset(("gt", "ge", "lt", "le", "sign", "cond"))  # in an iteration
LOOPS = frozenset(("scan", "while"))
WRITTEN_OUT = 8  # comparisons, of a loop of Python's
# Of the differences, relative to the arguments: where the function bends the first are
# too large, where an iteration stops early the last are too small.
STEPS = (1e-3, 3e-4), (1e-4, 3e-5), (1e-5, 3e-6)
CLEAR, SAME = 1e-2, 1e-3  # of the slope: what gradients miss, and differences agree to
DIRECTIONS = 2
SEEN = 1e-12  # of the values: what a slope must change them by at such a step
PRODUCTS = frozenset(("mul", "div", "integer_pow", "square", "pow"))
NEAR = 16  # times larger, and a number is infinite


def misleads(subject: Subject, args: tuple, dy: list, truth: Truth) -> bool:
    """Whether the values change at quite another rate than the gradients say, to both
    sides: at a kink they change at two.

    Args:
        args, dy, truth: in float64; call it under that.
    """
    complexes = map(np.iscomplexobj, (*float_leaves(args), *truth.y))
    if any(complexes) or not _may_mislead(subject, args):
        return False
    value, rng = value_of(subject), np.random.default_rng(0x510BE)
    return any(
        all(_differs(value, args, dy, truth, i, rng) for _ in range(DIRECTIONS))
        for i in range(len(truth.gradients))
    )


def _may_mislead(subject: Subject, args: tuple) -> bool:
    traced = jax.make_jaxpr(subject.plain)(*args).jaxpr
    names = [eqn.primitive.name for eqn in equations(traced)]
    count = sum(name in COMPARED for name in names)
    iterates = count >= WRITTEN_OUT or (count > 0 and not LOOPS.isdisjoint(names))
    return iterates and ON_PURPOSE.isdisjoint(names)


def _differs(value, args: tuple, dy: list, truth: Truth, index: int, rng) -> bool:
    """Whether this one leaf says so: what others say may be much larger."""
    floats = [np.asarray(a) for a in float_leaves(args)]
    leaf = floats[index]
    along = leaf * rng.uniform(0.5, 1, leaf.shape) * rng.choice([-1, 1], leaf.shape)
    told = float(np.sum(truth.gradients[index] * along))

    def values(h: float) -> list:
        moved = [*floats[:index], leaf + h * along, *floats[index + 1 :]]
        return float_leaves(value(*with_floats(args, moved)))

    usual = values(0.0)
    here, rounding = _sum(dy, usual), SEEN * _sum(map(np.abs, dy), map(np.abs, usual))

    def slopes(h: float) -> tuple[float, float]:
        return (_sum(dy, values(h)) - here) / h, (here - _sum(dy, values(-h))) / h

    return any(
        _is_another(told, slopes(far), slopes(near), rounding / near)
        for far, near in STEPS
    )


def _is_another(told: float, far: tuple, near: tuple, rounding: float) -> bool:
    """Whether slopes to both sides at two distances agree, on another than is told."""
    wide, close = sum(far) / 2, sum(near) / 2
    size = max(abs(told), abs(close))
    if size < rounding:
        return False
    smooth = abs(wide - close) <= SAME * size
    smooth &= abs(near[0] - near[1]) <= CLEAR * size
    return bool(np.isfinite(size) and smooth and abs(told - close) > CLEAR * size)


def _sum(one: Iterable, other: Iterable) -> float:
    pairs = zip(one, other, strict=True)
    return float(sum(np.sum(np.asarray(a) * np.asarray(b)) for a, b in pairs))


class Range(NamedTuple):
    """How far the products in the reference with its gradient go.

    Attributes:
        loses: one of them leaves the range of the dtype in the reference itself, of
            which (1 + x^n)^(-1 / n) makes 0.
        overflows: more of them leave the range of the dtype than in the reference
            alone. JAX's derivative of a / b has a factor b^-2: of numbers beyond 1e154
            that is 0 in float64, and a gradient finite and wrong, where a rule with
            (a / b) / b is right.
        ends: one comes near the end of the range, or leaves it, where a rule in another
            order may be beyond it.
    """

    loses: bool
    overflows: bool
    ends: bool


def range_of_products(setup: Setup, evaluation: Evaluation) -> Range:
    """Of a sample in the dtype of its trials; arguments of usual size go nowhere."""
    known = setup.differences or setup.surrogate is not None
    if setup.subject.is_numpy or known or is_of_usual_size(evaluation.args):
        return Range(False, False, False)
    dtype = evaluation.trials[0].dtype
    with jax.enable_x64(is_wide(dtype)):
        run = _products(setup.subject.plain)
        found = run(evaluation.args, evaluation.dy)
        (inner, _), (outer, most) = jax.tree.map(np.asarray, found)
    ends = outer > 0 or most > float(jnp.finfo(dtype).max) / NEAR
    return Range(bool(inner > 0), bool(outer > inner), bool(ends))


@lru_cache(maxsize=128)
def _products(plain):
    gradient = reference_of(plain)

    def run(args, dy):
        forward = jax.make_jaxpr(opened(plain))(*args)
        backward = jax.make_jaxpr(gradient)(args, dy)
        return (
            _watched(forward, jax.tree.leaves(args)),
            _watched(backward, jax.tree.leaves((args, dy))),
        )

    return compiled(run)


def _watched(closed, leaves: list) -> tuple:
    """How many products are lost, and the largest of the others."""
    lost, sizes = [jnp.zeros((), bool)], [jnp.zeros(())]

    def step(eqn, ins):
        if eqn.primitive in OPENED or eqn.primitive.name not in PRODUCTS:
            return None
        outs = bind(eqn, ins)
        if is_float(outs[0]):
            lost.append(_lost(ins, outs[0]))
            size = jnp.abs(outs[0]).astype(sizes[0].dtype)
            sizes.append(jnp.max(size, initial=0, where=jnp.isfinite(size)))
        return outs

    evaluate(closed, leaves, step)
    return jnp.stack(lost).sum(), jnp.stack(sizes).max()


def _lost(ins: list, out):
    """Whether a power or product of numbers, none of them 0, is infinite, or a power of
    one that is larger than 1 is 0."""
    usual = jnp.ones((), bool)
    for a in ins:
        usual = usual & jnp.isfinite(a) & (a != 0)
    vanished = (out == 0) & (len(ins) == 1) & (jnp.abs(ins[0]) > 1)
    return (usual & (jnp.isinf(out) | vanished)).any()

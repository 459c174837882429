"""Is the gradient that JAX makes of the plain forward the slope of its values?

A bisection only compares what depends on its arguments: JAX's derivative of it is that
of its start, whatever the root does. Then the values have to tell, by differences. A
derivative that is another on purpose, by `stop_gradient` or a rule of its own, stands.
"""

import jax
import numpy as np

from jaxninja.check.oracle.truth import Truth, value_of
from jaxninja.check.subject.pytrees import float_leaves, with_floats
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import equations

ON_PURPOSE = frozenset(("stop_gradient", "custom_jvp_call", "custom_vjp_call"))
COMPARED = frozenset(("gt", "ge", "lt", "le", "sign", "cond"))  # in an iteration
LOOPS = frozenset(("scan", "while"))
WRITTEN_OUT = 8  # comparisons, of a loop of Python's
STEPS = 1e-3, 3e-4  # of the differences, relative to the arguments
CLEAR, SAME = 1e-2, 1e-3  # of the slope: what gradients miss, and differences agree to
DIRECTIONS = 2


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
    return all(_differs(value, args, dy, truth, rng) for _ in range(DIRECTIONS))


def _may_mislead(subject: Subject, args: tuple) -> bool:
    traced = jax.make_jaxpr(subject.plain)(*args).jaxpr
    names = [eqn.primitive.name for eqn in equations(traced)]
    count = sum(name in COMPARED for name in names)
    iterates = count >= WRITTEN_OUT or (count > 0 and not LOOPS.isdisjoint(names))
    return iterates and ON_PURPOSE.isdisjoint(names)


def _differs(value, args: tuple, dy: list, truth: Truth, rng) -> bool:
    floats = float_leaves(args)
    along = [np.asarray(a) * rng.uniform(0.5, 1, np.shape(a)) for a in floats]
    told = _sum(truth.gradients, along)

    def at(h: float) -> float:
        moved = [a + h * v for a, v in zip(floats, along, strict=True)]
        return _sum(dy, float_leaves(value(*with_floats(args, moved))))

    here = at(0.0)
    (ahead, behind), (one, other) = (
        ((at(h) - here) / h, (here - at(-h)) / h) for h in STEPS
    )
    wide, near = (ahead + behind) / 2, (one + other) / 2
    size = max(abs(told), abs(near))
    smooth = abs(wide - near) <= SAME * size and abs(one - other) <= CLEAR * size
    return bool(np.isfinite(size) and smooth and abs(told - near) > CLEAR * size)


def _sum(one: list, other: list) -> float:
    pairs = zip(one, other, strict=True)
    return float(sum(np.sum(np.asarray(a) * np.asarray(b)) for a, b in pairs))

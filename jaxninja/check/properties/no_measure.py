"""Samples at which the reference is no measure of a rule, whatever that says there.

Its arguments are read in part, or beyond their ends; a last bit decides what it is; it
overflows on its way; inputs that nobody gave are beyond its domain. What is left out
is listed, with the reason.
"""

from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.inputs.boundaries import same
from jaxninja.check.inputs.kinds import integers_between, kind_of
from jaxninja.check.inputs.order import Order
from jaxninja.check.inputs.setting import DRAWS
from jaxninja.check.oracle.by_rounding import (
    decided_by_rounding,
    value_decided_by_rounding,
)
from jaxninja.check.oracle.holes import is_isolated
from jaxninja.check.oracle.reading import reads_alike, reads_beyond, writes_twice
from jaxninja.check.oracle.slope import range_of_products
from jaxninja.check.oracle.trial import (
    Evaluation,
    Setup,
    is_off,
    is_off_anywhere,
    prove,
)
from jaxninja.check.oracle.truth import value_of
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import cast, float_leaves, is_wide, largest

ASTRAY = 1e3  # times the largest value of the example
FAR = 20  # times the largest argument of the example
NARROW = "edges=False keeps to inputs like those that were given"


def misread(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether these sizes were guessed, or these integers, and the forward is not
    written for them."""
    if setup.differences or not is_off_anywhere(evaluation):
        return False
    here, number = session.settings[setup.label], session.options.seed * DRAWS
    example = next(iter(session.settings.values())).draw(number)
    sample = f"{evaluation.trials[0].sample} ({setup.label})"
    (least, most), given = map(integers_between, (evaluation.args, example[1]))
    at = setup.subject, evaluation.args
    if any(given) and writes_twice(example, at):
        session.skip(f"{sample}: the forward writes to an entry twice, in no order")
        return True
    odd = (any(given) or here.option) and reads_beyond(example, at)
    if not odd and not (least < given[0] or most > given[1]):
        if not here.guessed:
            return False
        odd = not reads_alike(example, here.draw(number))
    if not odd and not _right_within(setup, evaluation, example[1]):
        return False
    text = (
        f"{setup.label if here.guessed else sample}: there the forward leaves a part "
    )
    session.skip(f"{text}of its arguments unread, or reads beyond them; give inputs=")
    return True


def _right_within(setup: Setup, evaluation: Evaluation, given: tuple) -> bool:
    """Whether a rule that is off is right once no integer lies beyond a size that all
    were below as given: an index that is compared with positions reads nothing there,
    and looks like none; and labels that happen to ascend look like bounds."""
    most, here = (integers_between(args)[1] for args in (given, evaluation.args))
    pairs = zip(jax.tree.leaves(given), jax.tree.leaves(evaluation.args), strict=True)
    axes = (axis for a, b in pairs for axis in zip(np.shape(a), np.shape(b)))  # noqa: B905
    small = [new for old, new in axes if most < old and new <= here]
    if not small:
        return False

    def inside(leaf):
        fits = kind_of(leaf) != "int"
        return leaf if fits else np.minimum(leaf, leaf.dtype.type(min(small) - 1))

    args = jax.tree.map(inside, evaluation.args)
    loose = replace(setup, order=Order())  # which would put them where they were
    again = prove(loose, args, evaluation.dy, evaluation.trials[0].sample)
    return again is not None and not is_off_anywhere(again)


def by_chance(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the reference's gradient overflows there; or a last bit decides what the
    rule says or the forward does, at any inputs but those that were given."""
    trials = *evaluation.trials, *evaluation.forward
    if setup.differences or not is_off_anywhere(evaluation):
        return False
    where = f"{trials[0].sample} in {trials[0].dtype} ({setup.label})"
    off = [t for t in evaluation.trials if session.is_open(t) and is_off(t)]
    reach = range_of_products(setup, evaluation)
    if off and reach.overflows:
        session.skip(f"{where}: JAX's gradient of the reference overflows on its way")
        return True
    if not off and reach.loses:
        session.skip(f"{where}: the reference itself overflows on its way")
        return True
    label, first = next(iter(session.settings.items()))
    given = setup.hold(first.draw(session.options.seed * DRAWS)[1])
    if setup.label == label and same(given, evaluation.args):
        return False
    if reach.ends and not all(_finite(t.got) for t in evaluation.trials):
        session.skip(f"{where}: products of the reference are at the end of the range")
        return True
    if value_decided_by_rounding(setup, evaluation):
        session.skip(f"{where}: a rounding decides what the forward is there")
        return True
    if not off or not decided_by_rounding(setup, evaluation):
        return False
    session.skip(f"{where}: a rounding decides a comparison of the rule there")
    return True


def astray(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether a reference has left the function: its value is far from all that it is
    at the example, and that of the function is what fwd says.

    Inputs are drawn without knowing the domain, and beyond it a last step of a solver,
    which divides by a slope, leads anywhere.
    """
    if not _as_the_function(setup, evaluation):
        return False
    subject, first = setup.subject, next(iter(session.settings.values()))
    known, example = first.draw(session.options.seed * DRAWS)
    with jax.enable_x64(True):
        usual = value_of(known)(*cast(setup.hold(example), "float64"))
    least, here = map(_largest, (float_leaves(usual), evaluation.truth.y))
    if not 0 < least < here / ASTRAY:
        return False
    sample = f"{evaluation.forward[0].sample} ({setup.label})"
    text = f"the reference is {here / least:.0e} times as large as at the example"
    session.skip(f"{sample}: {text}, and {subject.name} is not; {NARROW}")
    return True


def undefined(session: Session, setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the function itself is not finite at an edge where a reference is: the
    iteration divides by a norm of zero, say. What overflows is another matter. Or
    whether value and gradient are infinite far away, where a probability rounds to 1;
    nearer, outside of a support, a gradient is asked for."""
    if all(map(_finite, evaluation.outcome.y)):
        return False
    example = session.settings[setup.label].draw(session.options.seed * DRAWS)[1]
    here, given = map(_largest, map(float_leaves, (evaluation.args, example)))
    text = f"{evaluation.forward[0].sample} ({setup.label}): {setup.subject.name}"
    lost = [t for t in evaluation.trials if not np.isfinite(t.got).all()]
    if here > FAR * given and lost and not all(map(_finite, evaluation.truth.y)):
        session.skip(f"{text} is infinite so far away")
        return True
    if _jumps(setup, evaluation):
        session.skip(f"{text} is not finite there, and the reference jumps")
        return True
    if here > given or not _as_the_function(setup, evaluation):
        return False
    session.skip(f"{text} itself is not finite there, and the reference is")
    return True


def _jumps(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether the forward's value at this very point is another than all around it."""
    here, args, dy = evaluation.truth, evaluation.args, evaluation.dy
    if not all(map(_finite, here.y)):
        return False
    with jax.enable_x64(True):
        args, dy = cast(args, "float64"), cast(dy, "float64")
        return is_isolated(here, args, lambda near: setup.truth(near, dy)[0])


def _finite(a) -> bool:
    return bool(np.isfinite(a).all())


def _as_the_function(setup: Setup, evaluation: Evaluation) -> bool:
    """Whether fwd's value is off the reference's and that of the function under test,
    which is then another program than the reference."""
    if setup.subject.is_numpy or not any(map(is_off, evaluation.forward)):
        return False
    with jax.enable_x64(is_wide(evaluation.forward[0].dtype)):
        own = float_leaves(jax.jit(setup.subject.op)(*evaluation.args))
    pairs = zip(own, evaluation.outcome.y, strict=True)
    return all(np.allclose(a, b, rtol=1e-3, equal_nan=True) for a, b in pairs)


def _largest(arrays: list) -> float:
    return max(map(largest, arrays), default=0.0)

"""Gradients at the edges of a function: ties, zeros, overflow, repeated indices, the
special values of each argument, and where a comparison turns."""

from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.boundaries import (
    edges,
    extremes,
    offsets,
    operations,
    same,
    shifted,
)
from jaxninja.check.inputs.hidden import masked_out, without_gradient
from jaxninja.check.inputs.kinds import kind_of
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.inputs.special_values import (
    LOPSIDED,
    at_special_values,
    kept_symmetric,
    untried,
)
from jaxninja.check.inputs.windows import late
from jaxninja.check.oracle.kinks import jumps_where_off
from jaxninja.check.oracle.trial import Setup, compare_rounding, is_off, prove
from jaxninja.check.oracle.truth import Truth
from jaxninja.check.oracle.turning import turned
from jaxninja.check.properties.first_derivatives import (
    generator,
    outputs,
    plain_takes,
    sized,
)
from jaxninja.check.properties.judgement import (
    as_used,
    judge,
    unless_endless,
    with_condition,
)
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import all_names, cast, float_leaves, largest
from jaxninja.check.subject.structure_traced import traced_rule

SYMMETRIC = frozenset(("cholesky", "eigh"))  # what has no other matrices
HIDDEN = 1e6  # overflows any exponential, and is less than masks of -1e9 hold back


def at_edges(session: Session, setup: Setup, setting: Setting) -> None:
    """Ties, zeros, overflow, repeated indices: what the forward calls for."""
    if setup.differences:
        session.skip("edge inputs: a forward that JAX cannot differentiate, or NumPy's")
        return
    args = setting.draw(session.options.seed * DRAWS)[1]
    dy = sized(session, cotangents.ordinary(outputs(setup, args), generator(session)))
    if session.options.edges:
        _at_all_edges(session, setup, args, dy)
    else:
        session.skip("edges and scaled inputs: declared edges=False")
        wide = cast(args, "float64")  # a mask is within any domain
        _special(session, setup, wide, dy, masks_alone=True)
    _turned(session, setup, args, dy)


def _at_all_edges(session: Session, setup: Setup, args, dy) -> None:
    with jax.enable_x64(True):
        wide = cast(args, "float64")
        traced = jax.make_jaxpr(setup.subject.plain)(*wide)
        found = operations(traced.jaxpr)
        truth = setup.truth(wide, cast(dy, "float64"))[0]
        rules = _of_the_rule(setup, wide)
    hidden = masked_out(args, truth.gradients, traced)
    if not same(hidden, args) and _counts_nothing(setup, hidden, dy, truth):
        _edge(session, setup, hidden, dy, "-inf where dx is 0", "float64")
    hidden = without_gradient(args, truth.gradients, HIDDEN)
    if not same(hidden, args):
        _edge(session, setup, hidden, dy, f"{HIDDEN:g} where dx is 0", "float64")
    taken = [
        dtype
        for dtype in session.options.dtypes
        if plain_takes(session, setup, args, dy, dtype)
    ]
    shifts = _without_effect(setup, wide, dy, truth)
    for dtype in ("float64", *taken):
        given = cast(args, dtype)
        far = (shifted(given, setup.leaf_names, powers) for powers in shifts)
        for label, inputs in (*edges(given, found, dtype, rules), *far):
            if session.fades and _largest(inputs) > _largest(given):
                session.skip(f"{label}: the forward approximates, and not so far away")
            elif not same(inputs, given):
                _edge(session, setup, inputs, dy, label, dtype)
        if dtype == "float64":
            named = all_names(given, setup.subject.argument_names)
            for label, inputs in late(setup.subject.plain, given, named):
                _edge(session, setup, inputs, dy, label, dtype)
            _special(session, setup, given, dy, found)
        if session.options.level == "full":
            for label, inputs in extremes(given, found, dtype):
                _extreme(session, setup, inputs, dy, label, dtype)


def _of_the_rule(setup: Setup, wide: tuple) -> frozenset[str]:
    if setup.subject.is_numpy:
        return frozenset()
    return operations(traced_rule(setup.subject, wide).jaxpr)


def _largest(args: tuple) -> float:
    return max(map(largest, float_leaves(args)))


def _without_effect(setup: Setup, wide: tuple, dy: list, truth: Truth) -> list:
    """The offsets of inputs that change no gradient."""
    sizes = [float(np.max(np.abs(g), initial=0.0)) for g in truth.gradients]
    kept = []
    with jax.enable_x64(True):
        for powers in offsets(wide):
            _, moved = shifted(wide, setup.leaf_names, powers)
            near = setup.truth(moved, cast(dy, "float64"))[0].gradients
            gaps = map(np.subtract, near, truth.gradients)
            if all(
                np.abs(gap).max(initial=0.0) <= 1e-6 * size
                for gap, size in zip(gaps, sizes, strict=True)
            ):
                kept.append(powers)
    return kept


def _special(
    session: Session,
    setup: Setup,
    args,
    dy,
    found: frozenset[str] = frozenset(),
    masks_alone: bool = False,
) -> None:
    """Each argument at the values that its kind calls for."""
    named = all_names(args, setup.subject.argument_names)
    for label, inputs in at_special_values(args, named, masks_alone, found):
        if label.endswith(LOPSIDED) and found & SYMMETRIC:
            continue
        with unless_endless(session, label):
            evaluation = prove(setup, inputs, dy, label)
            if evaluation and (why := _says_nothing(session, setup, evaluation, label)):
                session.skip(f"{label}: {why}")
            elif evaluation and _ends(args, inputs) and _is_none_there(evaluation):
                _warn(session, setup, evaluation.trials, f"float64, {label},")
            elif evaluation and judge(session, setup, evaluation, True):
                session.watch(setup, evaluation)
    if masks_alone:
        return
    if left := untried(args, named):
        session.skip(f"special values of {', '.join(left)} one by one")
    if kept := kept_symmetric(args, named):
        text = "positive definite as given: not tried non-symmetric; give inputs="
        session.skip(f"{', '.join(kept)}: {text}")


def _says_nothing(session: Session, setup: Setup, evaluation, label: str) -> str:
    """Why a rule that is off there is not wrong for it."""
    if jumps_where_off(setup, evaluation, session.not_shared(evaluation)):
        return "the gradient jumps there in many entries"
    if label.endswith(LOPSIDED) and any(map(is_off, evaluation.forward)):
        return "the rule has another value there, and may be for symmetric ones only"
    return ""


def _ends(args, inputs) -> bool:
    """Whether what is positive as given, a scale or a concentration, is 0 and no less:
    where its domain ends. What is 1 throughout is a gain that a layer begins with, and
    may become anything."""
    pairs = zip(jax.tree.leaves(args), jax.tree.leaves(inputs), strict=True)
    return all(
        kind_of(old) == "positive" and not np.all(old == 1) and np.min(new) == 0
        for old, new in pairs
        if not same((old,), (new,))
    )


def _is_none_there(evaluation) -> bool:
    """Whether all that is wrong with the gradients is that some are not finite."""
    rest = [
        replace(t, got=np.where(np.isfinite(t.got), t.got, t.expected))
        for t in evaluation.trials
        if np.shape(t.got) == np.shape(t.expected)
    ]
    off = any(map(is_off, evaluation.trials))
    return off and len(rest) == len(evaluation.trials) and not any(map(is_off, rest))


def _turned(session: Session, setup: Setup, args, dy) -> None:
    """Where a comparison of forward or backward turns that did not at ordinary inputs.

    A rule may approximate on one side of a bound, to the digits that are used: what the
    run dtype does not tell from the truth is right there.
    """
    lines = session.one_sided()
    if setup.subject.is_numpy or setup.opaque or not lines:
        return
    narrow = not session.options.edges
    with jax.enable_x64(True):
        wide, wide_dy = cast(args, "float64"), cast(dy, "float64")
        found = turned(setup.subject, wide, wide_dy, lines, narrow)
    for line, inputs in found:
        label = f"where the comparison at {line} turns"
        with unless_endless(session, label):
            evaluation = prove(setup, inputs, dy, label)
            if evaluation and _jumps(session, setup, evaluation):
                continue
            if evaluation:
                judge(session, setup, as_used(session, setup, evaluation), True)
                session.watch(setup, evaluation)


def _jumps(session: Session, setup: Setup, evaluation) -> bool:
    if found := jumps_where_off(setup, evaluation, session.not_shared(evaluation)):
        session.skip(f"{evaluation.trials[0].sample}: the gradient jumps there")
    return found


def _counts_nothing(setup: Setup, hidden: tuple, dy: list, truth: Truth) -> bool:
    """Whether the output is what it was: what was set to -inf is masked out."""
    with jax.enable_x64(True):
        wide = cast(hidden, "float64")
        y = setup.truth(wide, cast(dy, "float64"))[0].y
    return all(map(np.allclose, y, truth.y))


def _extreme(session: Session, setup: Setup, inputs, dy, label: str, dtype: str):
    """What the rule loses at the ends of the range is told and is no error: few rules
    are meant for it."""
    if dtype == "float64":
        evaluation = prove(setup, inputs, dy, label)
    else:
        evaluation = compare_rounding(setup, inputs, dy, label, dtype)
    if evaluation is None:
        return
    trials = with_condition(session, setup, evaluation).trials
    _warn(session, setup, trials, f"{dtype} at {label}")


def _warn(session: Session, setup: Setup, trials: list, where: str) -> None:
    lost = list(filter(is_off, trials))
    if lost and not all(session.ignores(t.name) for t in lost):
        found = ", ".join(f"d{t.name}: {_told(t)}" for t in lost)
        text = f"in {where} an intermediate of the rule overflows, vanishes or cancels"
        session.find("W-RANGE", f"{text} ({found})", setup.subject.where)


def _told(trial) -> str:
    found = difference(trial.got, trial.expected, trial.tolerance)
    return f"got {found.got:.3g}, expected {found.expected:.3g}"


def _edge(session: Session, setup: Setup, inputs, dy, label: str, dtype: str) -> None:
    with unless_endless(session, f"{label} in {dtype}"):
        if dtype == "float64":
            evaluation = prove(setup, inputs, dy, label)
        else:
            evaluation = compare_rounding(setup, inputs, dy, label, dtype)
        if evaluation is None:
            return
        used = as_used(session, setup, evaluation)
        if judge(session, setup, used, True) and dtype == "float64":
            session.watch(setup, evaluation)

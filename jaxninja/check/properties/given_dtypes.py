"""The rule in the dtypes that the arguments have as given, where some are narrow.

A product of bfloat16 numbers may be summed in float32 and returned in it: each gradient
is judged by the dtype it is returned in. And a sum over many terms in a narrow dtype
loses more than any one rounding; autodiff, which sums in float32, tells what it may
lose. One sample's error may be small by luck, so that the largest of several counts.

Where nothing narrow is given, a forward may be meant for it all the same: what widens
its numbers inside and returns the dtype it was given.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.errors import UserCodeError
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.oracle.roundings.condition import error, moved_by_roundings
from jaxninja.check.oracle.tolerances import MOVED, TERMS, Trial
from jaxninja.check.oracle.trial import Evaluation, Setup
from jaxninja.check.oracle.truth import (
    Outcome,
    Truth,
    autodiff_of,
    backward_of,
    rule_of,
)
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import (
    cast,
    float_leaves,
    is_float,
    largest,
    unit,
    with_floats,
)
from jaxninja.check.subject.structure_traced import (
    accepted_by_jax,
    shapes_of_output,
    structure,
    traced_forward,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.check.subject.traces import remembered
from jaxninja.jaxpr import equations

SAMPLES = 6
SPREAD = 8.0  # times the largest of autodiff's errors
OF_SUMS = 4.0  # so many in a narrow dtype, in which its sums err themselves
ROUNDINGS = 4.0  # of a gradient itself
LONG = 256  # terms of a sum, from which on a narrow dtype must not add them up
REDUCTIONS = "jax/_src/numpy/reductions.py"  # it adds narrow floats up in float32


@dataclass(frozen=True)
class Seen:
    """One cotangent: the truth, the rule, and what autodiff loses of each leaf."""

    dy: list
    truth: Truth
    outcome: Outcome
    lost: list
    moved: list


def is_narrow(dtype: str) -> bool:
    """Whether a float dtype has fewer bits than float32."""
    return jnp.dtype(dtype).itemsize < 4


def as_given(session: Session, setup: Setup, setting: Setting) -> None:
    """Gradients in the given dtypes; nothing where all are wide.

    A gradient in the narrowest of them is judged if it is a sum of many terms; else the
    runs in which everything has this dtype have judged it.
    """
    dtypes = setting.dtypes
    unjudged = setup.differences or setup.surrogate or setup.subject.is_numpy
    if unjudged or not any(map(is_narrow, dtypes)):
        return
    args = typed(setting.draw(session.options.seed * DRAWS)[1], dtypes)
    try:
        accepted_by_jax(setup.subject, args)
        y = shapes_of_output(setup.subject, args)
        if any(_is_judged(y, leaf) for leaf in float_leaves(args)):
            _judge(session, setup, args, y)
    except UserCodeError as problem:
        session.skip(f"dtypes as given ({_listed(dtypes)}): {problem.sentence}")
        return
    for found in structure(setup.subject, args)[0]:
        text = f"in the dtypes given ({_listed(dtypes)}), {found.sentence}"
        session.find(found.code, text, found.where)


def in_bfloat16(session: Session, setup: Setup, args: tuple) -> None:
    """The dtypes that the rule returns in bfloat16, by tracing alone, if the forward is
    meant for it: a sum that stays in float32 is seen in no other dtype."""
    low = cast(args, "bfloat16")
    if "bfloat16" in session.options.dtypes or not _widens(setup.subject, low):
        return
    try:
        found = structure(setup.subject, low)[0]
    except UserCodeError as problem:
        session.skip(f"dtypes in bfloat16: {problem.sentence}")
        return
    for finding in found:
        if finding.code in ("E-DTYPE", "E-FWDTYPE"):
            text = f"in bfloat16, {finding.sentence}"
            session.find(finding.code, text, finding.where)


@remembered
def _widens(subject: Subject, args: tuple) -> bool:
    """Whether the plain forward goes from narrow floats to wider ones, by its own word
    and not by that of a sum of JAX's, and returns narrow ones."""
    try:
        traced = traced_forward(subject, args)
    except UserCodeError:  # another dtype than that of its tables, say
        return False
    if not all(is_narrow(a.dtype) for a in traced.out_avals if is_float(a)):
        return False
    return any(
        {2} & {*map(_width, eqn.invars)} and {4} & {*map(_width, eqn.outvars)}
        for eqn in equations(traced.jaxpr)
        if not _is_in_a_sum(eqn)
    )


def _is_in_a_sum(eqn) -> bool:
    trace = eqn.source_info.traceback
    return bool(trace) and any(f.file_name.endswith(REDUCTIONS) for f in trace.frames)


def _width(atom) -> int:
    """Bytes of a float; 0 for what is none."""
    return atom.aval.dtype.itemsize if is_float(atom.aval) else 0


def typed(args: tuple, dtypes: tuple[str, ...]) -> tuple:
    """Arguments with their float leaves in these dtypes."""
    pairs = zip(float_leaves(args), dtypes, strict=True)
    return with_floats(args, [cast(leaf, dtype) for leaf, dtype in pairs])


def _listed(dtypes) -> str:
    return ", ".join(dict.fromkeys(map(str, dtypes)))


def _is_judged(y: list, leaf) -> bool:
    terms = sum(np.size(a) for a in y) / max(np.size(leaf), 1)
    return terms >= LONG or not is_narrow(str(leaf.dtype))


def _judge(session: Session, setup: Setup, args: tuple, y: list) -> None:
    rng = np.random.default_rng([session.options.seed, 0xD7])
    seen = []
    for _ in range(SAMPLES):
        dy = [g.astype(a.dtype) for g, a in zip(cotangents.ordinary(y, rng), y)]  # noqa: B905
        seen.append(_seen(setup, args, dy))
    leaves = float_leaves(args)
    lost = [max(largest(one.lost[i]) for one in seen) for i in range(len(leaves))]
    found = [_trials(setup, one, leaves, lost) for one in seen]
    chosen = [i for i, leaf in enumerate(leaves) if _is_judged(y, leaf)]
    wrong = [k for k, trials in enumerate(found) if _off(trials, chosen)]
    k = wrong[0] if wrong else 0
    if wrong:
        moved = _moved_by_residuals(setup, args, seen[k])
        lost = [a + MOVED / OF_SUMS * b for a, b in zip(lost, moved, strict=True)]
        found[k] = _trials(setup, seen[k], leaves, lost)
    one = seen[k]
    evaluation = Evaluation(found[k], [], args, one.dy, one.outcome, one.truth)
    session.record(setup, evaluation, [found[k][i] for i in chosen])
    session.dtypes.append(f"as given ({_listed(leaf.dtype for leaf in leaves)})")


def _seen(setup: Setup, args: tuple, dy: list) -> Seen:
    rival = autodiff_of(setup.subject, args, dy)[1]
    outcome = rule_of(setup.subject, args, dy)
    with jax.enable_x64(True):
        wide, wide_dy = cast(args, "float64"), cast(dy, "float64")
        truth = setup.truth(wide, wide_dy)[0]
        moved = moved_by_roundings(setup, wide, wide_dy, truth, unit("float32"))
    lost = [error(r, e) for r, e in zip(rival, truth.gradients, strict=True)]
    return Seen(dy, truth, outcome, lost, moved.gradients)


def _trials(setup: Setup, one: Seen, leaves: list, lost: list) -> list[Trial]:
    dtypes = [str(leaf.dtype) for leaf in leaves]
    sample = f"dtypes as given: {_listed(dtypes)}"
    parts = zip(
        setup.leaf_names,
        dtypes,
        one.outcome.gradients,
        one.truth.gradients,
        one.truth.scales,
        one.moved,
        lost,
        strict=True,
    )
    return [
        Trial(
            name,
            sample,
            _wide(got),
            expected,
            ROUNDINGS * unit(dtype) * largest(expected)
            + TERMS * unit("float32") * np.where(np.isfinite(scale), scale, 0)
            + MOVED * largest(moved)
            + (OF_SUMS if is_narrow(dtype) else SPREAD) * autodiffs,
            dtype,
            setup.label,
        )
        for name, dtype, got, expected, scale, moved, autodiffs in parts
    ]


def _off(trials: list[Trial], chosen: list[int]) -> bool:
    judged = (trials[i] for i in chosen)
    return not all(difference(t.got, t.expected, t.tolerance).ok for t in judged)


def _moved_by_residuals(setup: Setup, args: tuple, one: Seen) -> list[float]:
    """Largest change of the rule's gradients when what it computed and kept in a narrow
    dtype moves by a rounding; arguments that it kept are exact."""
    rng = np.random.default_rng(0x5EED)
    given = [np.asarray(a) for a in float_leaves(args)]

    def move(leaf):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            return leaf
        if not is_narrow(str(dtype)) or any(np.array_equal(leaf, a) for a in given):
            return leaf
        signs = rng.choice([-1.0, 1.0], leaf.shape)
        return np.asarray(_wide(leaf) * (1 + unit(dtype) * signs)).astype(dtype)

    residuals = jax.tree.map(move, one.outcome.residuals)
    near = backward_of(setup.subject, args)(residuals, one.dy)
    pairs = zip(near, one.outcome.gradients, strict=True)
    return [largest(error(_wide(a), _wide(b))) for a, b in pairs]


def _wide(array) -> np.ndarray:
    array = np.asarray(array)
    return array.astype("complex128" if np.iscomplexobj(array) else "float64")

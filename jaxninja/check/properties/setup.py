"""From a setting to a setup: the rule traced at these shapes.

Bad use shows here, before anything is computed: nothing with a gradient, trees and
shapes that do not fit, code that cannot be traced, casts that make float64 a name only.
"""

import jax
import numpy as np

from jaxninja.check.inputs.order import order_of
from jaxninja.check.inputs.setting import DRAWS, Setting, refused_by_rule
from jaxninja.check.oracle.roundings.constants import rounded_constants
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.properties.declared import accept, of_no_input, undeclared
from jaxninja.check.results import Session
from jaxninja.check.subject.pytrees import cast, float_leaves, names, unit
from jaxninja.check.subject.structure_numpy import structure_by_running
from jaxninja.check.subject.structure_traced import (
    STOPPING,
    accepted_by_jax,
    casts,
    no_gradient,
    not_differentiable,
    structure,
    traced_forward,
    traced_rule,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.errors import ArgumentError
from jaxninja.jaxpr import called_name, equations

MISLED = "its values change at another rate than JAX's gradient of it says"
ENTRIES = 200  # to difference one by one, which takes four forwards each


class Stop(Exception):
    """Nothing more can be tested; the reason is among the findings."""


def setup_of(session: Session, setting: Setting) -> Setup:
    """Trace the rule at these shapes; stop where that alone shows it wrong."""
    subject, args = setting.draw(session.options.seed * DRAWS)
    session.name, session.where = subject.name, subject.where
    leaf_names = names(args, subject.argument_names)
    _validate(session, subject, args, leaf_names)
    if not session.settings:  # as they were given
        names_of_all = subject.argument_names
        session.order = order_of(names_of_all, args, _searches(subject, args))
        if session.options.surrogate and not subject.is_numpy:
            accept(subject, args, session.options.surrogate)
    opaque = None if subject.is_numpy else not_differentiable(subject, args)
    opaque = MISLED if session.misled else opaque
    differences = subject.is_numpy and not _traceable(subject, args)
    differences |= bool(opaque) and session.options.surrogate is None
    if opaque and differences:
        small_enough(session, subject, args, opaque)
    setup = Setup(
        subject, setting.label, differences, session.options.surrogate,
        leaf_names=leaf_names,
        opaque=bool(opaque), held=_held_back(session, subject, args),
        order=session.order,
    )  # fmt: skip
    if subject.is_numpy:
        _structure_of_numpy(session, setup, args)
    else:
        _structure(session, setup, args)
        session.constant |= of_no_input(setup, args) if setup.surrogate else set()
    if any(f.code in STOPPING for f in session.findings.values()):
        raise Stop
    return setup


def _searches(subject: Subject, args: tuple) -> bool:
    """Whether the forward looks for places among numbers that rise."""
    if subject.is_numpy:
        return False
    found = equations(traced_forward(subject, args).jaxpr)
    return any(called_name(eqn) == "searchsorted" for eqn in found)


def unfit(session: Session, setting: Setting) -> str | None:
    """Why sizes or options that nobody asked for are left out; None if they are not."""
    if not (setting.guessed or setting.option):
        return None
    subject, args = setting.draw(0)
    if setting.option and (refused := refused_by_rule(subject, args)):
        return refused
    if subject.is_numpy:
        return None
    surrogate = session.options.surrogate
    if surrogate and (refused := undeclared(subject, args, surrogate)):
        return refused
    if not not_differentiable(subject, args):
        return no_gradient(subject, args) if setting.option else None
    count = sum(map(np.size, float_leaves(args)))
    if count > ENTRIES and surrogate is None:
        return f"{count} entries are too many for finite differences"
    return None


def within_reach(session: Session, settings: list[Setting]) -> list[Setting]:
    """The settings without the first, if that has too many entries to difference and
    smaller ones will do."""
    given, *rest = settings
    if not _too_many(session, given):
        return settings
    smaller = [s for s in rest if s.guessed and not _too_many(session, s)]
    if not smaller:
        return settings
    session.skip(
        "the sizes as given: too many entries for finite differences, and JAX cannot "
        "differentiate the plain forward; smaller ones stand for them, or reference="
    )
    return [*smaller, *(s for s in rest if s not in smaller)]


def _too_many(session: Session, setting: Setting) -> bool:
    """Whether they would have to be differenced one by one."""
    subject, args = setting.draw(session.options.seed * DRAWS)
    count = sum(map(np.size, float_leaves(args)))
    if count <= ENTRIES or subject.is_numpy or session.options.surrogate is not None:
        return False
    return bool(not_differentiable(subject, args))


def small_enough(session: Session, subject: Subject, args, why: str) -> None:
    """Few entries are differenced one by one; many are not, and nothing is tested."""
    count = sum(map(np.size, float_leaves(args)))
    text = f"the plain forward of {subject.name} ({why})"
    if count > ENTRIES:
        session.find(
            "N-NOREF", f"JAX cannot differentiate {text}, and {count} entries are too "
            f"many for finite differences: give reference=, or at most {ENTRIES}"
        )  # fmt: skip
        raise Stop
    session.skip(
        f"JAX's own gradient: it cannot differentiate {text}; held against finite "
        "differences, to a thousandth; reference= is exact"
    )


def _held_back(session: Session, subject: Subject, args) -> dict:
    """Of a rule that clips its cotangent, the bounds: what is declared to have no
    gradient, at the values that were given first."""
    if session.options.linear:
        return {}
    declared = (*session.options.zero, *session.options.nondiff)
    for name, arg in zip(subject.argument_names, args, strict=True):
        if name in declared:
            session.held.setdefault(name, arg)
    return session.held


def _validate(session: Session, subject: Subject, args, leaf_names) -> None:
    declared = (*session.options.nondiff, *session.options.zero)
    known = {*subject.argument_names, *leaf_names}
    for name in declared:
        if name not in known:
            raise ArgumentError(
                f"check_vjp: {name!r} is declared, but {subject.name} has no such "
                f"argument; it has {', '.join(subject.argument_names)}"
            )
    if not args:
        session.find("N-NOGRAD", f"{subject.name} has no argument with a gradient")
        raise Stop
    if not leaf_names:
        pairs = zip(subject.argument_names, args, strict=True)
        held = ", ".join(f"{name} is {_held(arg)}" for name, arg in pairs)
        text = f"no gradient to check: no argument holds floats ({held})"
        session.find("N-NOGRAD", text)
        raise Stop
    for name, leaf in zip(leaf_names, float_leaves(args), strict=True):
        if not session.settings and np.isnan(np.asarray(leaf, complex)).any():
            text = f"{name} holds NaN, where nothing can be compared: give finite "
            session.find("N-NAN", text + "example arguments")
            raise Stop


def _held(arg) -> str:
    kinds = (str(getattr(a, "dtype", type(a).__name__)) for a in jax.tree.leaves(arg))
    return ", ".join(dict.fromkeys(kinds)) or "empty"


def _traceable(subject: Subject, args) -> bool:
    try:
        jax.eval_shape(subject.plain, *args)
    except Exception:
        return False
    return True


def _structure(session: Session, setup: Setup, args) -> None:
    subject = setup.subject
    found, nones = structure(subject, args)
    session.note_nones(nones)
    for finding in found:
        session.find(finding.code, finding.sentence, finding.where)
    if not any(f.code in STOPPING for f in session.findings.values()):
        accepted_by_jax(subject, args)
        if subject not in session.coarse:  # sizes have no bearing on it
            with jax.enable_x64(True):
                wide = cast(args, "float64")
                session.coarse[subject] = _precision(session, subject, wide)
        setup.coarse, setup.narrowed = session.coarse[subject]


def _structure_of_numpy(session: Session, setup: Setup, args) -> None:
    found, nones = structure_by_running(setup.subject, args, setup.differences)
    session.note_nones(nones)
    for finding in found:
        session.find(finding.code, finding.sentence, finding.where)
    if any(finding.code == "E-MUTATES" for finding in found):
        raise Stop


def _precision(session: Session, subject: Subject, args) -> tuple[float, float]:
    """Unit round-off of the rule in float64, and of what the forward casts to, or 0.

    The forward must compute in float64, and a rule that does not is told. One that
    computes in float32 on purpose, as what is given in bfloat16 does, is held to that.
    """
    down = casts(traced_forward(subject, args))
    proof = session.options.double or any("-> float32 " not in cast for cast in down)
    if down and session.options.surrogate is None and proof:
        text = (
            f"the plain forward casts down inside ({down[0]}), so that nothing can be "
            "proved in float64: remove the cast, or give a reference= without it"
        )
        session.find("N-CAST", text)
    narrow = [
        f for f in structure(subject, args)[0] if f.code in ("E-DTYPE", "E-FWDTYPE")
    ]
    inside = [*casts(traced_rule(subject, args)), *down]
    constants = [f"a constant, {c:.9g}" for c in rounded_constants(subject, args)]
    narrowed = _coarsest(down) if down else 0.0
    if not (narrow or inside or constants):
        return unit("float64"), narrowed
    what = (*inside, *(f.sentence for f in narrow), *constants)[0]
    session.skip(f"float64 precision of the rule: it computes in less ({what})")
    if session.options.double:
        text = f"the arguments are float64, and the rule computes in less: {what}"
        session.find("W-CAST", text, subject.where)
    return _coarsest(inside), narrowed


def _coarsest(casts: list[str]) -> float:
    return unit("bfloat16" if "bfloat16" in str(casts) else "float32")

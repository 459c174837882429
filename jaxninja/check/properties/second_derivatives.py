"""Second derivatives: a rule's fwd and bwd are themselves differentiated."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jax.extend.core import Literal

from jaxninja.check.compare import difference
from jaxninja.check.errors import explained
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.properties.transforms import pullback
from jaxninja.check.results import Session
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.plain_forward import opened
from jaxninja.check.subject.pytrees import (
    cotangent,
    float_leaves,
    is_float,
    with_floats,
)
from jaxninja.check.subject.subject import Subject
from jaxninja.check.subject.traces import remembered

SECOND = 1e-7  # relative tolerance of second derivatives in float64


@remembered
def suspected(subject: Subject, args: tuple) -> bool:
    """Whether a number of the rule follows others without a derivative: a stop_gradient
    or a step function, in fwd or in bwd."""
    try:
        y, kept = jax.eval_shape(lambda *args: subject.fwd(args), *args)
        return _is_cut(lambda args: subject.fwd(args)[1], args) or _is_cut(
            lambda given: subject.bwd(given[0], cotangent(y, given[1])),
            (kept, float_leaves(y)),
        )
    except Exception:  # an inner rule refuses forward mode, which is told elsewhere
        return False


def _is_cut(f: Callable, given) -> bool:
    """Whether an output follows an input that its derivative does not follow."""

    def value(floats, given):
        return float_leaves(f(with_floats(given, floats)))

    def slope(moves, given):
        return jax.jvp(partial(value, given=given), (float_leaves(given),), (moves,))[1]

    pairs = zip(_sources(value, given), _sources(slope, given), strict=True)
    return any(v - s for v, s in pairs)


def _sources(f: Callable, given) -> list[set[int]]:
    """For each output of `f(floats, given)`, which of `floats` go into it."""
    floats = float_leaves(given)
    jaxpr = jax.make_jaxpr(f)(floats, given).jaxpr
    known = {v: {i} for i, v in enumerate(jaxpr.invars[: len(floats)])}
    for eqn in jaxpr.eqns:
        ins = (known.get(v, set()) for v in eqn.invars if not isinstance(v, Literal))
        found = set().union(*ins)
        known |= {v: found if is_float(v.aval) else set() for v in eqn.outvars}
    outs = jaxpr.outvars
    return [set() if isinstance(v, Literal) else known.get(v, set()) for v in outs]


def second_order(session: Session, setup: Setup, args, dy) -> None:
    """Hessian-vector products and gradients of gradients, against the plain forward."""
    if not session.options.higher_order:
        session.skip("second derivatives: declared higher_order=False")
        return
    if session.options.surrogate is not None:
        session.skip("second derivatives: those of a surrogate are unknown")
        return
    rng = np.random.default_rng([session.options.seed, 0x48])
    floats = float_leaves(args)
    v = [rng.standard_normal(np.shape(a)).astype(a.dtype) for a in floats]
    plain = _pull_plain(setup)
    pull = pullback(setup)
    # the second sums over all gradients: one that is wrong by itself would be in each
    right = [
        np.zeros_like(u) if session.is_wrong(leaf) else u
        for leaf, u in zip(setup.leaf_names, v, strict=True)
    ]
    ways = {
        "hvp": (_forward_over_reverse, v),
        "grad of grad": (_reverse_over_reverse, right),
    }
    for name, (way, v) in ways.items():
        try:
            expected = compiled(way(plain, args, dy))(floats, v)
        except Exception:
            session.skip(f"{name}: JAX cannot differentiate the plain forward twice")
            continue
        try:
            got = compiled(way(pull, args, dy))(floats, v)
        except Exception as error:
            _refused(session, setup, name, error)
            continue
        session.transformations.append(name)
        _second_agrees(session, setup, name, got, expected)


def _forward_over_reverse(pull, args, dy):
    def hvp(floats, v):
        def gradient(*floats):
            return pull(with_floats(args, floats), dy)

        return jax.jvp(gradient, floats, v)[1]

    return hvp


def _reverse_over_reverse(pull, args, dy):
    def hvp(floats, v):
        def gradient(*floats):
            return pull(with_floats(args, floats), dy)

        return jax.vjp(gradient, *floats)[1](tuple(v))

    return hvp


def _pull_plain(setup: Setup) -> Callable:
    def pull(args, dy):
        def f(*floats):
            return float_leaves(opened(setup.subject.plain)(*with_floats(args, floats)))

        y, back = jax.vjp(f, *float_leaves(args))
        return back([g.astype(a.dtype) for g, a in zip(dy, y, strict=True)])

    return pull


def _refused(session: Session, setup: Setup, name: str, error: Exception) -> None:
    problem = explained(f"{name} of {setup.subject.name}", error)
    if getattr(error, "code", "") == "N-ENDLESS":
        session.skip(f"{name}: {error}")
    elif "forward-mode" in str(error):
        session.skip(f"{name}: raises, since a function with a custom VJP is called in "
                     "fwd or bwd (see W-FWDSELF)")  # fmt: skip
    else:
        session.find("W-SECOND", problem.sentence, problem.where)


def _second_agrees(session: Session, setup: Setup, name: str, got, expected) -> None:
    for leaf, a, e in zip(setup.leaf_names, got, expected, strict=True):
        a, e = np.asarray(a), np.asarray(e)
        largest = float(np.max(np.abs(e), where=np.isfinite(e), initial=0.0))
        coarse = SECOND if setup.coarse < 1e-12 else 1e-2
        floor = coarse * max(largest, 1e-3 * max(setup.ordinary, default=0.0))
        found = difference(a, e, floor)
        if found.ok or session.ignores(leaf):
            continue
        if not session.follows(leaf, "second derivatives"):
            text = (
                f"{name}: the second derivative with respect to {leaf} is wrong: got "
                f"{found.got:.6g}, expected {found.expected:.6g}; is a residual under "
                "stop_gradient, or computed outside of JAX?"
            )
            session.find("E-SECOND", text, setup.subject.where)
            return

"""Probes that need no truth: the algebra of the cotangent, roles, repeatability, lints.

A vector-Jacobian product is linear in its cotangent, whatever the forward:

    bwd(0) = 0              bwd(-g) = -bwd(g)
    bwd(a g) = a bwd(g)     bwd(g + h) = bwd(g) + bwd(h)

so each broken law has a name, even where the truth is unknown.
"""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.errors import UserCodeError, running
from jaxninja.check.inputs import cotangents
from jaxninja.check.oracle.roundings.widening import condition_of
from jaxninja.check.oracle.tolerances import has_power, proof_tolerance
from jaxninja.check.oracle.trial import Setup, is_off
from jaxninja.check.oracle.truth import autodiff_of, rule_of
from jaxninja.check.results import Checked, Session
from jaxninja.check.subject.pytrees import cast, cotangent, float_leaves
from jaxninja.check.subject.subject import Subject
from jaxninja.jaxpr import equations, holds_rule

MOST_ORDERS = 24  # of bwd's arguments to try


def algebra(session: Session, setup: Setup, args: tuple, y: list) -> None:
    """The four laws of linearity, each with its own finding."""
    rng = np.random.default_rng([session.options.seed, 0xA16])
    g, h = cotangents.ordinary(y, rng), cotangents.ordinary(y, rng)
    zero = [np.zeros_like(a) for a in g]
    laws = {
        "E-ZEROCOT": (
            "bwd(0) is not 0: a term is not multiplied by dy",
            [(1, zero)],
            0,
        ),
        "E-ODD": ("bwd(-dy) is not -bwd(dy)", [(-1, [-a for a in g])], 1),
        "E-SCALE": (
            "bwd(1000 dy) is not 1000 bwd(dy): it is not linear in dy",
            [(1e-3, [1e3 * a for a in g])],
            1,
        ),
        "E-ADD": (
            "bwd(g + h) is not bwd(g) + bwd(h): it is not linear in dy",
            [(1, [a + b for a, b in zip(g, h, strict=True)]), (-1, h)],
            1,
        ),
    }
    with jax.enable_x64(True):
        args = cast(args, "float64")
        truth, _ = setup.truth(args, g)
        plain = _gradients(setup, args, g)
        sides: list[tuple[Callable, list]] = [(partial(_gradients, setup, args), plain)]
        if setup.surrogate:  # what is declared need not keep the laws itself
            declared = partial(
                autodiff_of, setup.subject, args, surrogate=setup.surrogate
            )
            sides.append((lambda dy: declared(dy=dy)[1], truth.gradients))
        for code, (text, terms, weight) in laws.items():
            broken = [
                _broken(session, setup, _sums(at, terms), [weight * a for a in one],
                        truth, args, g)
                for at, one in sides
            ]  # fmt: skip
            leaf = broken[0] if not any(broken[1:]) else None
            if leaf and not (code != "E-ZEROCOT" and _has(session, "E-ZEROCOT")):
                session.find(code, f"{text} (d{leaf})", setup.subject.where)


def _sums(gradients_at: Callable, terms: list) -> list:
    """Gradients at several cotangents, weighted and added."""
    parts = [gradients_at(dy) for _, dy in terms]
    with np.errstate(all="ignore"):  # inf - inf is judged later, not here
        return [
            sum(w * a for (w, _), a in zip(terms, leaf, strict=True))
            for leaf in zip(*parts, strict=True)
        ]


def _has(session: Session, code: str) -> bool:
    return any(found.code == code for found in session.findings.values())


def _gradients(setup: Setup, args, dy) -> list:
    return [np.asarray(a) for a in rule_of(setup.subject, args, dy).gradients]


def _broken(session, setup, got, expected, truth, args, dy) -> str | None:
    """Name of a leaf that breaks the law by more than roundings on the way may."""

    def breaking(slack: list[float]) -> str | None:
        rows = zip(setup.leaf_names, got, expected, truth.scales, slack, strict=True)
        for name, a, b, scale, more in rows:
            largest = max(float(np.max(np.abs(b), initial=0.0)), 1e-300)
            tolerance = 10 * proof_tolerance(scale, largest, setup.coarse) + more
            if not session.ignores(name) and not difference(a, b, tolerance).ok:
                return name
        return None

    if breaking([0.0] * len(got)) is None:
        return None
    found = condition_of(setup, args, dy, "float64")
    most = (float(np.max(moved, initial=0.0)) for moved in found.gradients)
    return breaking([10 * found.margin * moved for moved in most])


def repeats(session: Session, setup: Setup, args: tuple, y: list) -> None:
    """The same inputs give the same bits, and neither dy nor residuals are changed."""
    dy = cotangents.ordinary(y, np.random.default_rng([session.options.seed, 0xDE7]))
    where = setup.subject.where
    if setup.subject.is_numpy:
        _untouched(session, setup, args, dy)
        return
    with jax.enable_x64(True):
        args = cast(args, "float64")
        first, second = (_gradients(setup, args, dy) for _ in range(2))
        same = all(map(_same_bits, first, second))
        texts = [_traced(setup.subject, args, dy) for _ in range(2)]
    if not same:
        text = "two calls of the rule on the same inputs give two results"
        session.find("E-NONDET", text, where)
    elif texts[0] != texts[1]:
        text = (
            "two traces of the rule differ: something random or a global of Python "
            "goes into it; pass it as an argument (a PRNG key, for one)"
        )
        session.find("E-NONDET", text, where)


def _same_bits(a, b) -> bool:
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind in "fc")


def _traced(subject: Subject, args, dy) -> tuple:
    """The rule as text and constants, without addresses in memory."""

    def rule(args, dy):
        y, residuals = subject.fwd(args)
        return jax.tree.leaves(subject.bwd(residuals, cotangent(y, dy)))

    with running(f"the rule of {subject.name}"):
        closed = jax.make_jaxpr(rule)(args, dy)
    consts = tuple(
        np.asarray(c).tobytes() for c in closed.consts if hasattr(c, "shape")
    )
    return re.sub(r"0x[0-9a-f]+", "", str(closed)), consts


def _untouched(session: Session, setup: Setup, args, dy) -> None:
    subject = setup.subject
    args = jax.tree.map(np.array, args)
    with running(f"forward of {subject.name}"):
        y, residuals = subject.fwd(args)
    dy = cotangent(y, dy)
    before = jax.tree.map(np.array, (residuals, dy, args))
    with running(f"backward of {subject.name}"):
        first = jax.tree.map(np.array, subject.bwd(residuals, dy))
        second = jax.tree.map(np.array, subject.bwd(residuals, dy))
    touched = [
        name
        for name, old, new in zip(
            ("residuals", "dy", "its arguments"),
            before,
            (residuals, dy, args),
            strict=True,
        )
        if not all(map(_same_bits, jax.tree.leaves(old), jax.tree.leaves(new)))
    ]
    if touched:
        text = f"backward changes {' and '.join(touched)} in place: work on a copy"
        session.find("E-MUTATES", text, subject.where)
    elif not all(map(_same_bits, jax.tree.leaves(first), jax.tree.leaves(second))):
        text = "backward called twice on the same residuals gives two results"
        session.find("E-NONDET", text, subject.where)


def roles(session: Session, setup: Setup, args: tuple, y: list) -> None:
    """Would bwd be right if it were called with its arguments in another order?

    What is right anywhere as JAX calls it has them in this order.
    """
    subject = setup.subject
    count = len(subject.static) + 2
    if not subject.static or setup.differences or subject.kind in ("pair", "numpy"):
        return  # bwd of a pair takes residuals and dy alone
    if any(map(_right_with_power, session.checked)):
        return
    rng = np.random.default_rng([session.options.seed, 0x501])
    dy = cotangents.ordinary(y, rng)
    with jax.enable_x64(True):
        args = cast(args, "float64")
        truth, _ = setup.truth(args, dy)
        if not any(g.any() for g in truth.gradients):
            return  # any order that ignores dy is right
        orders = itertools.islice(itertools.permutations(range(count)), 1, MOST_ORDERS)
        for order in orders:
            if _right_in_order(session, setup, args, dy, truth, order):
                given = [*subject.static_names, "residuals", "dy"]
                wanted = ", ".join(given[i] for i in order)
                text = (
                    f"bwd takes its arguments as ({wanted}); JAX calls it with "
                    f"({', '.join(given)})"
                )
                session.find("E-ROLES", text, subject.where)
                return


def _right_with_power(one: Checked) -> bool:
    trials = one.evaluation.trials
    return any(map(has_power, trials)) and not any(map(is_off, trials))


def _right_in_order(session, setup: Setup, args, dy, truth, order) -> bool:
    bwd = setup.subject.bwd_function

    def reordered(*given):
        return bwd(*(given[i] for i in order))

    other = replace(setup, subject=replace(setup.subject, bwd_function=reordered))
    try:
        got = _gradients(other, args, dy)
    except (UserCodeError, TypeError, ValueError):
        return False
    if any(map(lambda a, b: np.shape(a) != np.shape(b), got, truth.gradients)):
        return False
    return _broken(session, other, got, truth.gradients, truth, args, dy) is None


def lints(session: Session, setup: Setup, args: tuple) -> None:
    """What is right today and will hurt tomorrow."""
    subject = setup.subject
    for name, value in zip(subject.static_names, subject.static, strict=True):
        if isinstance(value, jax.Array | np.ndarray):
            text = f"{name} is an array and nondiff: under jit or vmap it becomes a "
            text += "tracer and raises; pass it as an ordinary argument"
            session.find("W-NONDIFFARRAY", text, subject.where)
    jaxpr = jax.make_jaxpr(lambda *a: float_leaves(subject.fwd(a)[0]))(*args).jaxpr
    if holds_rule(jaxpr):
        names = dict.fromkeys(map(_rule_name, equations(jaxpr)))
        called = ", ".join(name for name in names if name)
        text = (
            f"fwd calls {called or 'a function'} with a custom VJP, so hessian and "
            "jvp of grad raise: call the plain function in fwd"
        )
        session.find("W-FWDSELF", text, subject.where)


def _rule_name(eqn) -> str | None:
    if not eqn.primitive.name.startswith("custom_vjp_call"):
        return None
    body = eqn.params.get("call_jaxpr", eqn.params.get("fun_jaxpr"))
    return getattr(getattr(body, "jaxpr", body).debug_info, "func_name", None)

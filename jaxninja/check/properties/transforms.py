"""The rule under JAX's transformations, against the truth of each example alone.

A rule that is right in a plain call can be wrong or refuse under vmap, where residuals
may have no batch axis while the cotangent has one, and under scan and remat, where fwd
is traced apart from bwd.
"""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.compare import difference
from jaxninja.check.errors import explained
from jaxninja.check.inputs import cotangents
from jaxninja.check.inputs.setting import DRAWS, Setting
from jaxninja.check.oracle.roundings.widening import condition_of
from jaxninja.check.oracle.tolerances import proof_tolerance
from jaxninja.check.oracle.trial import Setup
from jaxninja.check.oracle.truth import Truth, rule_of
from jaxninja.check.properties.first_derivatives import outputs
from jaxninja.check.results import Session
from jaxninja.check.subject.compilation import compiled
from jaxninja.check.subject.pytrees import (
    cast,
    cotangent,
    float_leaves,
    on_device,
    with_floats,
)

BATCH = 3
COMBINATIONS = 8  # of batched and unbatched arguments


def transformations(session: Session, setup: Setup, setting: Setting) -> None:
    """jit, vmap, jacrev, scan, remat, JAX's other implementation, in float64."""
    rng = np.random.default_rng([session.options.seed, 0x7F])
    first = session.options.seed * DRAWS
    draws = [setting.draw(first + k)[1] for k in range(BATCH)]
    y = outputs(setup, draws[0])
    factor = 1.0 if session.options.linear else cotangents.SMALL
    dys = [[factor * g for g in cotangents.ordinary(y, rng)] for _ in range(BATCH)]
    with jax.enable_x64(True):
        draws = [on_device(cast(setup.hold(args), "float64")) for args in draws]
        for name, run, examples in _all(setup, draws, dys, factor):
            one(session, setup, name, run, examples)


def _all(
    setup: Setup, draws, dys, factor: float
) -> Iterator[tuple[str, Callable, list]]:
    """(name, computation, examples whose gradients it returns, stacked)."""
    pull = pullback(setup)
    alone = [(draws[0], dys[0])]
    yield "jit", lambda: [a[None] for a in compiled(pull)(*alone[0])], alone
    for batched in _choices(len(draws[0])):
        names = [setup.subject.argument_names[i] for i in batched]
        label = f"vmap over {', '.join(names) or 'dy only'}"
        axes = tuple(0 if i in batched else None for i in range(len(draws[0])))
        args = _stacked(draws, batched)
        run = compiled(jax.vmap(pull, (axes, 0)))
        examples = [
            (tuple(d[i] if i in batched else a for i, a in enumerate(draws[0])), dy)
            for d, dy in zip(draws, dys, strict=True)
        ]
        yield label, lambda r=run, a=args: r(a, _stack(dys)), examples
    every = list(zip(draws, dys, strict=True))

    def scanned():
        both = _stacked(draws, range(len(draws[0]))), _stack(dys)
        return jax.lax.scan(lambda c, xs: (c, pull(*xs)), 0, both)[1]

    yield "scan", compiled(scanned), every
    remat = pullback(setup, jax.checkpoint)
    yield "remat", lambda: [a[None] for a in compiled(remat)(*alone[0])], alone
    if not any(map(np.iscomplexobj, alone[0][1])):  # of which there are two
        yield "jacrev", lambda: _by_jacobian(pull, factor, *alone[0]), alone
    if setup.subject.symbolic_zeros:
        yield "one argument at a time", lambda: _one_by_one(setup, *alone[0]), alone
    if hasattr(jax.config, "jax_custom_vjp3"):
        yield "custom_vjp3", lambda: _other_implementation(pull, *alone[0]), alone


def _by_jacobian(pull, factor: float, args, dy) -> list:
    """dy times the Jacobian that jacrev builds: the pullback under vmap over a basis.

    `factor` scales the basis, for a rule that clips large cotangents.
    """
    sizes = [np.size(g) for g in dy]
    eye = factor * np.eye(sum(sizes))
    basis = [
        rows.reshape(len(eye), *np.shape(g)).astype(g.dtype)
        for rows, g in zip(np.split(eye, np.cumsum(sizes)[:-1], 1), dy, strict=True)
    ]
    rows = compiled(jax.vmap(pull, (None, 0)))(args, basis)
    weights = np.concatenate([np.ravel(g) for g in dy]) / factor
    return [jnp.tensordot(weights, row, 1)[None] for row in rows]


def _one_by_one(setup: Setup, args, dy) -> list:
    """The others are constants then, which a rule with symbolic zeros is told."""
    floats = float_leaves(args)

    def alone(i):
        def f(a):
            some = [*floats[:i], a, *floats[i + 1 :]]
            return float_leaves(setup.subject.op(*with_floats(args, some)))

        y, back = jax.vjp(f, floats[i])
        return back([g.astype(a.dtype) for g, a in zip(dy, y, strict=True)])[0][None]

    return [compiled(partial(alone, i))() for i in range(len(floats))]


def _other_implementation(pull, args, dy) -> list:
    """JAX has two of custom_vjp, behind a flag; a rule must be right in both."""
    before = getattr(jax.config, "jax_custom_vjp3")  # noqa: B009
    try:
        jax.config.update("jax_custom_vjp3", not before)
        return [a[None] for a in compiled(lambda *given: pull(*given))(args, dy)]
    finally:
        jax.config.update("jax_custom_vjp3", before)


def pullback(setup: Setup, wrap: Callable = lambda f: f) -> Callable:
    """(args, dy) -> gradients of the float leaves, through JAX's own machinery."""

    def pull(args, dy):
        op = wrap(setup.subject.op)

        def f(*floats):
            return op(*with_floats(args, floats))

        y, back = jax.vjp(f, *float_leaves(args))
        typed = [g.astype(a.dtype) for g, a in zip(dy, float_leaves(y), strict=True)]
        return back(cotangent(y, typed))

    return pull


def _choices(count: int) -> list[tuple[int, ...]]:
    """Sets of batched arguments: none (dy alone), all, each one, then the others."""
    subsets = [
        c
        for size in range(count + 1)
        for c in itertools.combinations(range(count), size)
    ]
    subsets.sort(key=lambda c: (len(c) not in (0, count), len(c)))
    return subsets[:COMBINATIONS]


def _stacked(draws, batched) -> tuple:
    return tuple(
        _stack([d[i] for d in draws]) if i in batched else arg
        for i, arg in enumerate(draws[0])
    )


def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def one(session: Session, setup: Setup, name: str, run, examples) -> None:
    """Run a transformed rule and hold it against each example alone."""
    try:
        got = [np.asarray(a) for a in run()]
    except Exception as error:
        if getattr(error, "code", "") == "N-ENDLESS":
            session.skip(f"{name}: {error}")
            return
        problem = explained(f"the rule of {setup.subject.name} under {name}", error)
        session.find("E-TRANSFORM", problem.sentence, problem.where)
        return
    truths = [_alone(setup, *pair) for pair in examples]
    expected = [np.stack(g) for g in zip(*(t.gradients for t in truths), strict=True)]
    scales = [np.stack(s) for s in zip(*(t.scales for t in truths), strict=True)]

    def slack() -> list[float]:
        found = [condition_of(setup, args, dy, "float64") for args, dy in examples]
        by_leaf = zip(*(condition.gradients for condition in found), strict=True)
        tops = [max(float(np.max(m, initial=0.0)) for m in leaf) for leaf in by_leaf]
        return [10 * found[0].margin * top for top in tops]

    compared(session, setup, name, got, expected, scales, slack)


def _alone(setup: Setup, args, dy) -> Truth:
    """The truth; where it is known roughly, the rule, which was held against it."""
    if not setup.differences:
        return setup.truth(args, dy)[0]
    found = rule_of(setup.subject, args, dy)
    return Truth(found.y, found.gradients, list(map(np.abs, found.gradients)), [])


def compared(
    session: Session, setup: Setup, name: str, got, expected, scales=None, slack=None
):
    """Note the transformation as passed, or the first leaf that differs.

    `slack()` is what the condition adds to the tolerances, asked for if need be.
    """
    session.transformations.append(name)
    scales = scales or [np.abs(e) for e in expected]

    def differing(more: list[float]) -> str | None:
        rows = zip(setup.leaf_names, got, expected, scales, more, strict=True)
        for leaf, a, e, scale, extra in rows:
            largest = float(np.max(scale, initial=0.0))
            tolerance = 10 * proof_tolerance(scale, largest, setup.coarse) + extra
            right = difference(np.asarray(a), np.asarray(e), tolerance).ok
            if not right and not session.ignores(leaf):
                return leaf
        return None

    leaf = differing([0.0] * len(got))
    leaf = differing(slack()) if leaf and slack else leaf
    if leaf and not session.follows(leaf, "transformations"):
        text = f"under {name} d{leaf} is another than that of each example alone"
        session.find("E-TRANSFORM", text, setup.subject.where)

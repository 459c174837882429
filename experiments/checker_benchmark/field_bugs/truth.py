"""That a re-created bug is wrong and its plain forward right, without our autodiff.

The plain forward is differentiated by central differences in float64 along random
directions, and the rule's answer is the inner product of its gradient with the
direction. At a tie or a mask the witness of the bug gives the inputs.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.field_bugs.record import FieldBug
from experiments.checker_benchmark.samples import cotangent, widened

STEP = 1e-5
CLOSE = 1e-6  # what differences of this step reach
FAR = 1e-4  # what counts as wrong


def offences(bug: FieldBug, seed: int = 11) -> dict[str, float]:
    """How far the plain forward and the wrong rule are from the independent truth.

    Returns:
        {"plain": error of autodiff of the plain forward, "rule": error of the rule},
        relative; infinite where NaN stands against a number, a shape or a dtype is
        wrong.
    """
    with jax.enable_x64(True):
        return _MEASURES[bug.wrong_by](bug, seed)


def arguments(bug: FieldBug, seed: int):
    """Arguments in float64 at which the bug shows, and the static options."""
    case = bug.rule.cases[0]
    args = widened(bug.rule.example(jax.random.key(seed), **case.dims))
    return (bug.witness(args) if bug.witness else args), case.static


def _directions(args, seed):
    """Random directions for the floating-point leaves; others stay."""
    rng = np.random.default_rng(seed)

    def along(a):
        floating = jnp.issubdtype(a.dtype, jnp.floating)
        return jnp.asarray(rng.normal(size=a.shape)) if floating else None

    return jax.tree.map(along, args)


def _moved(args, direction, step):
    return jax.tree.map(
        lambda a, d: a if d is None else a + step * d,
        args,
        direction,
        is_leaf=lambda a: a is None,
    )


def _inner(a, b):
    """Sum of products over the leaves; None counts as zero."""
    total = 0.0
    flat_a = jax.tree.leaves(a, is_leaf=lambda x: x is None)
    flat_b = jax.tree.leaves(b, is_leaf=lambda x: x is None)
    for x, y in zip(flat_a, flat_b, strict=True):
        if x is not None and y is not None and x.dtype != jax.dtypes.float0:
            total += jnp.vdot(jnp.asarray(x, jnp.float64), y)
    return total


def _by_value(bug: FieldBug, seed: int) -> dict[str, float]:
    args, static = arguments(bug, seed)
    direction = _directions(args, seed + 1)
    value = jax.eval_shape(lambda *a: bug.rule.reference(*a, *static), *args)
    dy = cotangent(value, seed + 2, 1.0)
    # Compiling is most of the time here, and the arrays are tiny.
    quick = {"xla_backend_optimization_level": 0}
    products = jax.jit(_products(bug.rule, static), compiler_options=quick)
    truth, plain, mine = map(float, products(args, direction, dy))
    return {"plain": _error(plain, truth), "rule": _error(mine, truth)}


def _products(rule, static):
    """Derivative along a direction times dy: differences, autodiff, the rule."""

    def run(args, direction, dy):
        def f(*a):
            return rule.reference(*a, *static)

        ends = [f(*_moved(args, direction, s)) for s in (STEP, -STEP)]
        slope = jax.tree.map(lambda u, v: (u - v) / (2 * STEP), *ends)
        _, residuals = rule.fwd(*args, *static)
        mine = _inner(rule.bwd(*static, residuals, dy), direction)
        return _inner(slope, dy), _inner(jax.vjp(f, *args)[1](dy), direction), mine

    return run


def _by_second(bug: FieldBug, seed: int) -> dict[str, float]:
    rule = bug.rule
    args, static = arguments(bug, seed)
    direction = _directions(args, seed + 1)
    dy = cotangent(rule.reference(*args, *static), seed + 2, 1.0)

    def gradient(f):
        def inner(*a):
            return jax.vjp(lambda *b: f(*b, *static), *a)[1](dy)

        return inner

    def by_rule(*a):
        return rule.bwd(*static, rule.fwd(*a, *static)[1], dy)

    ends = [by_rule(*_moved(args, direction, s)) for s in (STEP, -STEP)]
    slope = jax.tree.map(lambda u, v: (u - v) / (2 * STEP), *ends)
    plain = jax.jvp(gradient(rule.reference), args, direction)[1]
    mine = jax.jvp(by_rule, args, direction)[1]
    truth = float(_inner(slope, direction))
    return {
        "plain": _error(float(_inner(plain, direction)), truth),
        "rule": _error(float(_inner(mine, direction)), truth),
    }


def _by_forward(bug: FieldBug, seed: int) -> dict[str, float]:
    args, static = arguments(bug, seed)
    right = jax.tree.leaves(bug.rule.reference(*args, *static))
    got = jax.tree.leaves(bug.rule.fwd(*args, *static)[0])
    far = max(float(abs(a - b).max()) for a, b in zip(got, right, strict=True))
    return {"plain": _by_value(bug, seed)["plain"], "rule": far}


def _by_dtype(bug: FieldBug, seed: int) -> dict[str, float]:
    args, static = arguments(bug, seed)
    value, residuals = bug.rule.fwd(*args, *static)
    grads = bug.rule.bwd(*static, residuals, cotangent(value, seed, 1.0))
    same = all(g.dtype == a.dtype for g, a in zip(grads, args, strict=True))
    return {"plain": _by_value(bug, seed)["plain"], "rule": 0.0 if same else np.inf}


def _by_structure(bug: FieldBug, seed: int) -> dict[str, float]:
    args, static = arguments(bug, seed)
    value, residuals = bug.rule.fwd(*args, *static)
    grads = bug.rule.bwd(*static, residuals, cotangent(value, seed, 1.0))
    same = all(g.shape == a.shape for g, a in zip(grads, args, strict=True))
    plain = bug._replace(rule=_plain_rule(bug))
    return {"plain": _by_value(plain, seed)["plain"], "rule": 0.0 if same else np.inf}


def _plain_rule(bug: FieldBug):
    """With autodiff for its backward: gradients of wrong shapes have no product."""

    def bwd(*args):
        *static, residuals, dy = args
        return jax.vjp(lambda *a: bug.rule.reference(*a, *static), *residuals)[1](dy)

    return replace(bug.rule, bwd=bwd)


def _by_tie(bug: FieldBug, seed: int) -> dict[str, float]:
    """A subgradient along d lies between the one-sided derivatives along -d and d."""
    args, static = arguments(bug, seed)
    (x,) = args
    f = bug.rule.reference
    ones = jnp.ones_like(x)  # moving all entries alike: max has slope 1 both ways
    truth = float(((f(x + STEP * ones) - f(x - STEP * ones)) / (2 * STEP)).sum())
    value, residuals = bug.rule.fwd(*args, *static)
    mine = float(bug.rule.bwd(*static, residuals, jnp.ones_like(value))[0].sum())
    plain = float(jax.vjp(f, x)[1](jnp.ones_like(value))[0].sum())
    return {"plain": _error(plain, truth), "rule": _error(mine, truth)}


def _error(got: float, truth: float) -> float:
    error = abs(got - truth) / max(abs(truth), 1.0)
    return error if np.isfinite(error) else np.inf


_MEASURES = {
    "value": _by_value,
    "finite": _by_value,
    "second": _by_second,
    "forward": _by_forward,
    "dtype": _by_dtype,
    "structure": _by_structure,
    "tie": _by_tie,
}

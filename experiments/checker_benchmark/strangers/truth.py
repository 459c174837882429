"""That right rules are right and wrong twins wrong, without the checker.

Everything is in float64. The plain forward is differentiated by central differences
along a random direction, and, where JAX can, by `jax.vjp`; a declared surrogate is its
own truth. A twin may be right at the example and wrong at its witness only.
"""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.checker_benchmark.field_bugs.truth import _moved
from experiments.checker_benchmark.strangers.record import Stranger, Twin

STEP = 1e-5
FAR = 1e-4  # what counts as wrong
SLOPE = 1e-5  # what differences of this step reach
QUICK = {"xla_backend_optimization_level": 0}  # compiling is most of the time here


class Error(NamedTuple):
    """How far a rule is from the truths, relative; infinite for NaN.

    Attributes:
        gradient: from autodiff of the plain forward, or from the declared surrogate.
        slope: from central differences, 0 where there is a surrogate.
        value: of the forward under differentiation from the plain one.
        dtype: infinite if a gradient has another dtype than its argument.
        zero: largest entry of the gradient at a cotangent of zeros.
    """

    gradient: float
    slope: float
    value: float
    dtype: float
    zero: float


def right(case: Stranger, seed: int = 11) -> Error:
    """The right rule against the truths."""
    return measured(case, *case.build(""), case.args, seed)


def wrong(case: Stranger, twin: Twin, seed: int = 11) -> float:
    """How far the twin is from the truth that it offends."""
    rule, plain = case.build(twin.slip)
    error = measured(case, rule, plain, twin.witness or case.args, seed)
    field = {"value": "gradient", "forward": "value"}.get(twin.proof, twin.proof)
    return getattr(error, field)


def measured(case: Stranger, rule, plain, args, seed: int) -> Error:
    given = args(np.random.default_rng(seed))
    dtype = _dtypes(rule, given)
    with jax.enable_x64(True):
        arrays, call = split(widened(given))
        frozen = _frozen(case, rule, plain, given)
        direction = _directions(arrays, frozen, seed + 1)
        y = jax.eval_shape(lambda a: plain(*call(a)), arrays)
        run = jax.jit(_run(case, rule, plain, call), compiler_options=QUICK)
        out = run(arrays, direction, _cotangent(y, seed + 2))
        value, expected, got, truth, mine, slope, rest = jax.tree.map(np.asarray, out)
    return Error(
        farthest(got, truth, frozen),
        abs(np.real(mine) - np.real(slope)) / (abs(np.real(slope)) or 1.0),
        farthest(value, expected),
        dtype,
        farthest(rest, jax.tree.map(np.zeros_like, rest)),
    )


def _run(case: Stranger, rule, plain, call):
    surrogate = case.options(plain).get("surrogate")

    def run(arrays, direction, dy):
        def forward(a):
            return plain(*call(a))

        value, pull = jax.vjp(lambda a: rule(*call(a)), arrays)
        got, expected = pull(dy)[0], forward(arrays)
        rest = _plain(pull(jax.tree.map(jnp.zeros_like, dy))[0])
        if surrogate is not None:
            zero = jnp.zeros(())
            truth = tuple(surrogate(tuple(call(arrays)), dy))[: len(arrays)]
            return value, expected, _plain(got), _plain(truth), zero, zero, rest
        ends = [forward(_moved(arrays, direction, s)) for s in (STEP, -STEP)]
        slope = jax.tree.map(lambda u, v: (u - v) / (2 * STEP), *ends)
        truth = jax.vjp(forward, arrays)[1](dy)[0]
        products = (_inner(_plain(got), direction), _inner(slope, dy))
        return value, expected, _plain(got), _plain(truth), *products, rest

    return run


def _inner(a, b):
    """Sum of products over the leaves, as JAX pairs cotangents: not conjugated."""
    flat = [jax.tree.leaves(t, is_leaf=lambda x: x is None) for t in (a, b)]
    pairs = [(x, y) for x, y in zip(*flat, strict=True) if y is not None]
    return sum(((x * y).sum() for x, y in pairs), jnp.zeros(()))


def _plain(grads):
    """Gradients of integers are replaced by 0: they have no arrays."""

    def keep(g):
        nothing = g is None or g.dtype == jax.dtypes.float0
        return jnp.zeros(()) if nothing else g

    return jax.tree.map(keep, grads, is_leaf=lambda g: g is None)


def _frozen(case: Stranger, rule, plain, args) -> list[bool]:
    """Of the array arguments: which have no gradient, as a user would declare."""
    names = list(inspect.signature(plain).parameters)
    declared = case.options(plain).get("nondiff", ())
    pairs = zip(names, args, strict=False)
    return [name in declared for name, a in pairs if _is_arrays(a)]


def split(args: tuple):
    """The array arguments, and a function that puts them among the static ones."""
    dynamic = [_is_arrays(a) for a in args]
    arrays = tuple(a for a, d in zip(args, dynamic, strict=True) if d)

    def call(values):
        rest = iter(values)
        return [next(rest) if d else a for a, d in zip(args, dynamic, strict=True)]

    return arrays, call


def _is_arrays(a: Any) -> bool:
    leaves = jax.tree.leaves(a)
    return leaves != [] and all(hasattr(leaf, "dtype") for leaf in leaves)


def widened(args):
    """Floating-point and complex leaves in double precision."""

    def widen(a):
        if not hasattr(a, "dtype"):
            return a
        if jnp.issubdtype(a.dtype, jnp.complexfloating):
            return a.astype(jnp.complex128)
        return a.astype(jnp.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a

    return jax.tree.map(widen, args)


def _cotangent(y, seed: int):
    rng = np.random.default_rng(seed)

    def along(a):
        values = rng.normal(0.1, 1.3, a.shape)
        if jnp.issubdtype(a.dtype, jnp.complexfloating):
            values = values + 1j * rng.normal(size=a.shape)
        return jnp.asarray(values, a.dtype)

    return jax.tree.map(along, y)


def _directions(arrays, frozen, seed: int):
    rng = np.random.default_rng(seed)

    def along(a):
        if jnp.issubdtype(a.dtype, jnp.complexfloating):
            return jnp.asarray(rng.normal(size=a.shape) + 1j * rng.normal(size=a.shape))
        floating = jnp.issubdtype(a.dtype, jnp.floating)
        return jnp.asarray(rng.normal(size=a.shape)) if floating else None

    moved = [jax.tree.map(along, a) for a in arrays]
    still = [jax.tree.map(lambda a: None, a) for a in arrays]
    pairs = zip(moved, still, frozen, strict=True)
    return tuple(s if f else m for m, s, f in pairs)


def _dtypes(rule, args) -> float:
    """Infinite if, as given, a gradient has another dtype than its argument."""
    arrays, call = split(args)

    def grads(a):
        y, pull = jax.vjp(lambda b: rule(*call(b)), a)
        return pull(y)[0]

    try:
        got = jax.tree.leaves(jax.eval_shape(grads, arrays))
    except (TypeError, ValueError):
        return np.inf
    pairs = zip(got, jax.tree.leaves(arrays), strict=True)
    floats = [(g, a) for g, a in pairs if jnp.issubdtype(a.dtype, jnp.inexact)]
    return np.inf if any(g.dtype != a.dtype for g, a in floats) else 0.0


def farthest(got, expected, skip=()) -> float:
    """Largest error of a leaf relative to the largest entry of the leaf."""
    if skip:
        kept = [i for i, frozen in enumerate(skip) if not frozen]
        got, expected = [got[i] for i in kept], [expected[i] for i in kept]
    pairs = zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True)
    return max((_leaf(g, e) for g, e in pairs), default=0.0)


def _leaf(got, expected) -> float:
    if got.shape != expected.shape:
        return np.inf
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    with np.errstate(invalid="ignore"):  # infinity less itself
        error = float(np.abs(got - expected).max(initial=0)) / scale
    return error if np.isfinite(error) else np.inf

"""How a wrong gradient relates to the true ones, without looking at the code.

Each test below gives a sentence and a kind, or None. A relation that holds on the
failing sample and, word for word, on a fresh one is a fact.
"""

import itertools
from collections.abc import Callable

import jax
import numpy as np

from jaxninja.check.diagnosis.code.constants import constant_name, shown, sizes
from jaxninja.check.diagnosis.code.problem import Problem, as_leaf, close, inner
from jaxninja.check.diagnosis.regions import few_elements, region

Finding = tuple[str, str]  # sentence, kind


def relation(problem: Problem, fresh: Problem, leaf: int) -> Finding | None:
    """The first relation that both samples agree on."""
    for test in TESTS:
        found = test(problem, leaf)
        if found is not None and leaf in fresh.wrong and found == test(fresh, leaf):
            return found
    return None


def _equal(problem: Problem, a, b) -> bool:
    return close(np.asarray(a), np.asarray(b), problem.floor)


def _name(problem: Problem, leaf: int) -> str:
    return f"d{problem.sample.names[leaf]}"


def not_finite(problem: Problem, leaf: int) -> Finding | None:
    got, expected = problem.got[leaf], problem.expected[leaf]
    bad = ~np.isfinite(got)
    if not bad.any() or not np.isfinite(expected).all():
        return None
    what = "NaN" if np.isnan(got).any() else "infinite"
    return f"{_name(problem, leaf)} is {what} where the true gradient is finite.", "nan"


def zero(problem: Problem, leaf: int) -> Finding | None:
    if np.any(problem.got[leaf]):
        return None
    return f"{_name(problem, leaf)} is zero everywhere.", "zero"


def swapped(problem: Problem, leaf: int) -> Finding | None:
    mine = problem.got[leaf]
    for other, truth in enumerate(problem.expected):
        if other == leaf or truth.shape != mine.shape or not truth.any():
            continue
        name, theirs = _name(problem, leaf), _name(problem, other)
        if _equal(problem, mine, truth):
            both = _equal(problem, problem.got[other], problem.expected[leaf])
            text = f"{name} is what {theirs} should be"
            return text + (", and the other way round." if both else "."), "swap"
        if _equal(problem, mine, -truth):
            return f"{name} is minus what {theirs} should be.", "swap"
    return None


def lengths(problem: Problem) -> dict[int, str]:
    """The sizes that a constant may be named by."""
    arrays = zip(problem.sample.names, problem.expected, strict=True)
    leaves = jax.tree.leaves(problem.sample.dy)
    return sizes([*arrays, *(("dy", np.asarray(g)) for g in leaves)])


def ratio(problem: Problem, leaf: int) -> Finding | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    size = inner(truth, truth)
    if size == 0 or not np.isfinite(mine).all():
        return None
    c = inner(truth, mine) / size
    if not np.any(mine) or not _equal(problem, mine, c * truth):
        return None
    name, known = _name(problem, leaf), constant_name(c, lengths(problem))
    if known == "-1":
        return f"{name} has the wrong sign: it is minus the true gradient.", "sign"
    if known is None and mine.size < 2:
        return None  # any two numbers have a ratio
    text = shown(c, lengths(problem))
    return f"{name} is the true gradient times {text}.", "ratio"


def conjugated(problem: Problem, leaf: int) -> Finding | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    if not np.imag(truth).any() or not _equal(problem, mine, np.conj(truth)):
        return None
    text = "is the complex conjugate of the true gradient."
    return f"{_name(problem, leaf)} {text}", "conjugate"


def transposed(problem: Problem, leaf: int) -> Finding | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axes in itertools.permutations(range(truth.ndim)):
        if axes != tuple(range(truth.ndim)) and truth.ndim <= 4:
            moved = np.transpose(truth, axes)
            if _equal(problem, mine, moved):
                what = "transposed" if truth.ndim == 2 else f"transposed by {axes}"
                return f"{_name(problem, leaf)} is {what}.", "transpose"
    return None


def shifted(problem: Problem, leaf: int) -> Finding | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axis in range(truth.ndim):
        for by in range(1, truth.shape[axis]):
            if _equal(problem, mine, np.roll(truth, by, axis)):
                short = by if by <= truth.shape[axis] / 2 else by - truth.shape[axis]
                text = f"is the true one shifted by {short} along axis {axis}."
                return f"{_name(problem, leaf)} {text}", "index"
        if _equal(problem, mine, np.flip(truth, axis)):
            text = f"is the true one reversed along axis {axis}."
            return f"{_name(problem, leaf)} {text}", "index"
    return None


def spread(problem: Problem, leaf: int) -> Finding | None:
    """The sum or the mean over an axis where the entries themselves should be."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axis in range(truth.ndim):
        if truth.shape[axis] == 1:
            continue
        for word, f in (("mean", np.mean), ("sum", np.sum)):
            flat = np.broadcast_to(f(truth, axis=axis, keepdims=True), truth.shape)
            if _equal(problem, mine, flat):
                text = f"has the {word} over axis {axis} of the true one in each entry."
                return f"{_name(problem, leaf)} {text}", "sum"
    return None


def offset(problem: Problem, leaf: int) -> Finding | None:
    gap = problem.got[leaf] - problem.expected[leaf]
    if gap.size < 2 or not np.isfinite(gap).all():
        return None
    c = gap.flat[0].item()
    if not np.allclose(gap, c, rtol=1e-6, atol=0):
        return None
    return f"{_name(problem, leaf)} is the true gradient plus {c:.6g}.", "affine"


def rounded(problem: Problem, leaf: int) -> Finding | None:
    """Right to the precision of a narrower type only."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    scale = float(np.abs(truth).max(initial=0)) or 1.0
    error = float(np.abs(mine - truth).max(initial=0)) / scale
    entries = np.mean(np.abs(mine - truth) > 1e-10 * scale)
    for kind, unit in (
        ("float32", 2.0**-24),
        ("float16", 2.0**-11),
        ("bfloat16", 2.0**-8),
    ):
        if unit / 64 < error <= 3 * unit and entries > 0.3:
            text = (
                f"is right to {kind} precision only: something is rounded on the way."
            )
            return f"{_name(problem, leaf)} {text}", "precision"
    return None


POWERS: dict[str, Callable] = {
    "{}": lambda t: t,
    "1/{}": lambda t: 1 / t,
    "{}**2": np.square,
    "1/{}**2": lambda t: 1 / np.square(t),
    "sqrt({})": np.sqrt,
    "1/sqrt({})": lambda t: 1 / np.sqrt(t),
    "(1 - {})": lambda t: 1 - t,
    "1/(1 - {})": lambda t: 1 / (1 - t),
    "(1 - {}**2)": lambda t: 1 - t * t,
    "1/(1 - {}**2)": lambda t: 1 / (1 - t * t),
}


def factor(problem: Problem, leaf: int) -> Finding | None:
    """The true gradient times a named array, or a simple function of it."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    if truth.size < 2:
        return None
    with np.errstate(all="ignore"):
        for name, value in _named(problem):
            if value.ndim > truth.ndim or not value.size > 1:
                continue
            for text, f in POWERS.items():
                try:
                    model = truth * f(value)
                except ValueError:
                    break
                known = model.shape == truth.shape and np.isfinite(model).all()
                if known and _equal(problem, mine, model):
                    what = text.format(name)
                    text = f"is the true gradient times {what}."
                    return f"{_name(problem, leaf)} {text}", "factor"
    return None


def _named(problem: Problem):
    """Arguments, residuals and cotangents by name."""
    if problem.program is None:
        for name, arg in zip(
            problem.subject.argument_names, problem.sample.args, strict=False
        ):
            if hasattr(arg, "shape"):
                yield name, as_leaf(arg)
        return
    for slot in problem.program.inputs:
        value = problem.values[slot]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            yield problem.names.get(slot, "a residual"), value


TESTS: tuple[Callable[[Problem, int], Finding | None], ...] = (
    not_finite,
    zero,
    swapped,
    ratio,
    conjugated,
    transposed,
    shifted,
    spread,
    offset,
    few_elements,
    region,
    factor,
    rounded,
)

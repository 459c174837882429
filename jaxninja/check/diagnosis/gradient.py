"""How a wrong gradient relates to the true ones, without looking at the code.

Each test below gives a kind of bug and a statement, or None. A relation that holds on
the failing sample and, fact for fact, on a fresh one is true.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.diagnosis.code.constants import number, numbers_of, sizes
from jaxninja.check.diagnosis.code.elsewhere import Elsewhere, merged
from jaxninja.check.diagnosis.code.problem import Problem, as_leaf, close, inner
from jaxninja.check.diagnosis.regions import (
    Found,
    dealt,
    few_elements,
    only_there,
    region,
)
from jaxninja.check.diagnosis.rounding import narrow
from jaxninja.check.hints import Statement, say


def relation(
    problem: Problem, fresh: Problem, leaf: int, samples: Sequence[Problem] = ()
) -> Found | None:
    """The first relation that both samples agree on; of entries, all the others too."""
    for test in TESTS:
        place = region(problem, fresh, samples, leaf) if test is factor else None
        if place is not None and leaf in fresh.wrong:
            return place
        if test is few_elements and fresh.sample.edge:
            continue  # of the same integers, which are what makes these entries wrong
        found = test(problem, leaf)
        if found is None or leaf not in fresh.wrong or found != test(fresh, leaf):
            continue
        if test is not few_elements or only_there(problem, samples, leaf):
            return found
    return None


def general(
    problem: Problem, elsewhere: Elsewhere, leaf: int, found: Found | None
) -> Found | None:
    """A relation as it is at all sizes and options; None where another holds at some
    sizes. With another option something else may be wrong."""
    if found is None or not found[1].numbers():
        return found
    kind, statement = found
    places = [("", other) for other in elsewhere.sizes]
    places += [(p.sample.label, p) for p in elsewhere.other_options]
    for option, other in places:
        if leaf not in other.wrong:
            continue
        there = relation(other, other, leaf)
        if there is None or there[0] not in (kind, "sign"):
            if option:
                continue
            return None
        ours, theirs = lengths(problem), lengths(other)
        if option:
            ours |= numbers_of(problem.subject)
            theirs |= numbers_of(other.subject)
        both = merged(statement, there[1], ours, theirs)
        if both is None:
            return _by_setting(statement, there[1], option)
        statement = both
    return kind, statement


def _by_setting(one: Statement, other: Statement, option: str) -> Found | None:
    """Of a factor that is another elsewhere, and no simple function of sizes."""
    if {one.code, other.code} != {"ratio"}:
        return None
    here, there = (replace(s["factor"], name=None) for s in (one, other))
    facts = {"leaf": one["leaf"], "factor": here, "other": there}
    if option:
        return "ratio", say("ratio by option", **facts, options=option)
    return "ratio", say("ratio by size", **facts)


STRAIGHT = "surrogate"


def surrogate(problem: Problem, others: Iterable[Problem], leaf: int) -> Found | None:
    """A gradient where the forward has none anywhere, as that of rounding."""
    if problem.expected[leaf].any() or any(p.expected[leaf].any() for p in others):
        return None
    floats = [np.asarray(g) for g in jax.tree.leaves(problem.sample.dy)]
    handed_on = len(floats) == 1 and floats[0].shape == problem.got[leaf].shape
    handed_on = handed_on and _equal(problem, problem.got[leaf], floats[0])
    name = _name(problem, leaf)
    return STRAIGHT, say("straight" if handed_on else "no gradient", leaf=name)


def _equal(problem: Problem, a, b) -> bool:
    return close(np.asarray(a), np.asarray(b), problem.floor)


def _name(problem: Problem, leaf: int) -> str:
    return problem.sample.names[leaf]


def not_finite(problem: Problem, leaf: int) -> Found | None:
    got, expected = problem.got[leaf], problem.expected[leaf]
    bad = ~np.isfinite(got)
    if not bad.any() or not np.isfinite(expected).all():
        return None
    what = "NaN" if np.isnan(got).any() else "infinite"
    return "nan", say("nan", leaf=_name(problem, leaf), what=what)


def zero(problem: Problem, leaf: int) -> Found | None:
    if np.any(problem.got[leaf]):
        return None
    return "zero", say("zero", leaf=_name(problem, leaf))


def swapped(problem: Problem, leaf: int) -> Found | None:
    mine = problem.got[leaf]
    for other, truth in enumerate(problem.expected):
        if other == leaf or truth.shape != mine.shape or not truth.any():
            continue
        names = {"leaf": _name(problem, leaf), "other": _name(problem, other)}
        if _equal(problem, mine, truth):
            both = _equal(problem, problem.got[other], problem.expected[leaf])
            return "swap", say("swap, both" if both else "swap", **names)
        if _equal(problem, mine, -truth):
            return "swap", say("swap, negated", **names)
    return None


def lengths(problem: Problem) -> dict[int, str]:
    """The sizes that a constant may be named by."""
    arrays = zip(problem.sample.names, problem.expected, strict=True)
    leaves = jax.tree.leaves(problem.sample.dy)
    found = sizes([*arrays, *(("dy", np.asarray(g)) for g in leaves)])
    for name, arg in zip(
        problem.subject.argument_names, problem.sample.args, strict=False
    ):
        is_mask = isinstance(arg, (np.ndarray, jax.Array)) and arg.dtype == np.bool_
        if is_mask and np.sum(arg) > 1:
            found.setdefault(int(np.sum(arg)), f"sum({name})")
    return found


def ratio(problem: Problem, leaf: int) -> Found | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    size = inner(truth, truth)
    if size == 0 or not np.isfinite(mine).all():
        return None
    c = inner(truth, mine) / size
    if not np.any(mine) or not _equal(problem, mine, c * truth):
        return None
    name, factor = _name(problem, leaf), number(c, lengths(problem))
    if factor.name == "-1":
        return "sign", say("sign", leaf=name)
    if factor.name is None and mine.size < 2:
        return None  # any two numbers have a ratio
    return "ratio", say("ratio", leaf=name, factor=factor)


def conjugated(problem: Problem, leaf: int) -> Found | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    if not np.imag(truth).any() or not _equal(problem, mine, np.conj(truth)):
        return None
    return "conjugate", say("conjugate", leaf=_name(problem, leaf))


def transposed(problem: Problem, leaf: int) -> Found | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axes in itertools.permutations(range(truth.ndim)):
        if axes != tuple(range(truth.ndim)) and truth.ndim <= 4:
            moved = np.transpose(truth, axes)
            if _equal(problem, mine, moved):
                by = {} if truth.ndim == 2 else {"axes": str(axes)}
                code = "transpose by" if by else "transpose"
                return "transpose", say(code, leaf=_name(problem, leaf), **by)
    return None


def shifted(problem: Problem, leaf: int) -> Found | None:
    mine, truth = problem.got[leaf], problem.expected[leaf]
    name = _name(problem, leaf)
    for axis in range(truth.ndim):
        for by in range(1, truth.shape[axis]):
            if _equal(problem, mine, np.roll(truth, by, axis)):
                short = by if by <= truth.shape[axis] / 2 else by - truth.shape[axis]
                return "index", say("shift", leaf=name, by=short, axis=axis)
        if _equal(problem, mine, np.flip(truth, axis)):
            return "index", say("reverse", leaf=name, axis=axis)
    return None


def spread(problem: Problem, leaf: int) -> Found | None:
    """The sum or the mean over an axis where the entries themselves should be."""
    mine, truth = problem.got[leaf], problem.expected[leaf]
    for axis in range(truth.ndim):
        if truth.shape[axis] == 1:
            continue
        for word, f in (("mean", np.mean), ("sum", np.sum)):
            flat = np.broadcast_to(f(truth, axis=axis, keepdims=True), truth.shape)
            if _equal(problem, mine, flat):
                name = _name(problem, leaf)
                return "sum", say("spread", leaf=name, what=word, axis=axis)
    return None


def offset(problem: Problem, leaf: int) -> Found | None:
    gap = problem.got[leaf] - problem.expected[leaf]
    if gap.size < 2 or not np.isfinite(gap).all():
        return None
    c = gap.flat[0].item()
    if not np.allclose(gap, c, rtol=1e-6, atol=0):
        return None
    return "affine", say("offset", leaf=_name(problem, leaf), term=f"{c:.6g}")


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


def factor(problem: Problem, leaf: int) -> Found | None:
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
                    by = text.format(name)
                    return "factor", say("factor", leaf=_name(problem, leaf), by=by)
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


TESTS: tuple[Callable[[Problem, int], Found | None], ...] = (
    not_finite,
    zero,
    swapped,
    ratio,
    conjugated,
    transposed,
    shifted,
    dealt,
    spread,
    offset,
    few_elements,
    factor,
    narrow,
)

"""Hints of arithmetic: a value rounded to fewer bits, a value that is not finite."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import say

UNITS = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
FEW = 4  # different numbers, of which it may be chance that they are of a narrow dtype
STRETCH = 1.1  # of a cotangent: a power of 2 is what rounding would not see

_WHY = {
    "div": "the denominator is 0 there",
    "log": "the argument is 0 or less there",
    "rsqrt": "the argument is 0 there",
    "sqrt": "the argument is negative there",
    "pow": "the base is 0 there",
    "integer_pow": "the base is 0 there",
    "exp": "the exponent is beyond the largest of the dtype",
    "mul": "0 times infinity",
    "sub": "infinity minus infinity",
    "add": "infinity minus infinity",
}


def rounded(problem: Problem, fresh: Problem) -> tuple[int, str] | None:
    """(step, dtype) of a cast to fewer bits without which all leaves are exact."""
    casts = [] if problem.program is None else _casts(problem)
    if not casts or not problem.wrong:
        return None
    for chosen in ([c] for c in casts), [casts]:
        for some in chosen:
            if _exact_without(problem, some) and _exact_without(fresh, some):
                return some[0], str(_step(problem, some[0]).eqn.params["new_dtype"])
    return None


def narrow(problem: Problem, leaf: int) -> Found | None:
    """Right to the precision of a narrower dtype only, of which numbers are on the way.

    A mistake may be as small: of rounding, all that is wrong is off by no more.
    """
    gap = np.abs(problem.got[leaf] - problem.expected[leaf])
    if np.mean(gap > 1e-10 * _scale(problem, leaf)) <= 0.3:
        return None
    error = _relative_error(problem, leaf)
    largest = max(_relative_error(problem, k) for k in {leaf, *problem.wrong})
    for kind, unit in UNITS.items():
        fits = unit / 64 < error <= largest < 3 * unit
        if fits and kind in _narrower(problem):
            name = problem.sample.names[leaf]
            return "precision", say("precision", leaf=name, dtype=kind)
    return None


def _scale(problem: Problem, leaf: int) -> float:
    return float(np.abs(problem.expected[leaf]).max(initial=0)) or 1.0


def _relative_error(problem: Problem, leaf: int) -> float:
    gap = np.abs(problem.got[leaf] - problem.expected[leaf])
    return float(gap.max(initial=0)) / _scale(problem, leaf)


def _narrower(problem: Problem) -> set[str]:
    """The narrower dtypes in which the backward computes or is handed numbers."""
    if problem.program is None:
        return {*UNITS} if _is_erratic(problem) else _kept_in(problem)
    computed = [str(getattr(value, "dtype", "")) for value in problem.values]
    return {*computed, *problem.program.inner_dtypes} | _kept_in(problem)


def _kept_in(problem: Problem) -> set[str]:
    """The dtypes to whose numbers a residual was rounded. Arguments that were say
    nothing: the truth is made of the same ones."""
    leaves = jax.tree.leaves
    kept = {_rounded_to(leaf) for leaf in leaves(problem.sample.residuals)}
    return kept - {_rounded_to(leaf) for leaf in leaves(problem.sample.args)} - {""}


def _rounded_to(leaf) -> str:
    """The narrowest dtype that holds all numbers of an array; none if they are few, or
    round, as those of a mask are."""
    array = _array(leaf)
    if array.dtype.kind not in "fV":
        return ""
    values = array.astype(np.float64)
    if np.unique(values[np.isfinite(values) & (values % 0.25 != 0)]).size < FEW:
        return ""
    kinds = (kind for kind in reversed(UNITS) if _holds(kind, values))
    return next(kinds, "")


def _holds(kind: str, values: np.ndarray) -> bool:
    with np.errstate(over="ignore"):
        narrow = values.astype(jnp.dtype(kind)).astype(np.float64)
    return np.array_equal(narrow, values, equal_nan=True)


def _is_erratic(problem: Problem) -> bool:
    """Whether the error is no multiple of the cotangent's, as that of a rounded number
    is not, and that of a wrong formula is; of code whose steps cannot be seen."""
    dy = jax.tree.map(lambda g: STRETCH * g, problem.sample.dy)
    errors = [a - b for a, b in zip(problem.got, problem.expected, strict=True)]
    again = zip(problem.called(dy), problem.expected, strict=True)
    stretched = [a / STRETCH - b for a, b in again]
    return any(
        np.abs(a - b).max(initial=0) > np.abs(a).max(initial=0) / 100
        for a, b in zip(errors, stretched, strict=True)
    )


def is_lost(value, expected) -> bool:
    """Whether some entry is not finite where the true one is."""
    return bool((~np.isfinite(value) & np.isfinite(expected)).any())


def not_finite(problem: Problem, lost: frozenset[int]) -> tuple[int, str] | None:
    """(step, why) of the first value that is not finite though its operands are, of
    those that these leaves are made of."""
    if problem.program is None:
        return None
    for sound in (_number, _finite):  # NaN first: a mask of -inf is meant
        for i, step in enumerate(problem.program.steps):
            ins = [problem.values[s] for s in step.ins]
            outs = [problem.values[s] for s in step.outs]
            met = lost & frozenset().union(*map(problem.program.reaches, step.outs))
            if met and all(map(sound, ins)) and not all(map(sound, outs)):
                return i, _WHY.get(step.name, f"{step.name} gives it")
    return None


def _casts(problem: Problem) -> list[int]:
    """Steps that cast floats to fewer bits."""
    assert problem.program is not None
    found = []
    for i, step in enumerate(problem.program.steps):
        if step.name == "convert_element_type":
            old = np.asarray(problem.values[step.ins[0]]).dtype
            new = np.dtype(step.eqn.params["new_dtype"])
            inexact = old.kind in "fV" and new.kind in "fV"
            if inexact and new.itemsize < old.itemsize:
                found.append(i)
    return found


def _step(problem: Problem, number: int):
    assert problem.program is not None
    return problem.program.steps[number]


def _exact_without(problem: Problem, casts: list[int]) -> bool:
    """Whether the gradients are right when the casts let their operands through."""
    program = problem.program
    assert program is not None
    values = list(problem.values)
    for i in casts:
        step = program.steps[i]
        given = {step.outs[0]: values[step.ins[0]]}
        try:
            changed = program.changes(values, given, program.below(step.outs[0]))
        except (TypeError, ValueError):  # a step that is bound to the narrow dtype
            return False
        for slot, value in changed.items():
            values[slot] = value
    results = [values[s] for s in program.outputs]
    return problem.wrong <= problem.fixes(results)


def _number(value) -> bool:
    array = _array(value)
    return array.dtype.kind not in "fc" or not bool(np.isnan(array).any())


def _finite(value) -> bool:
    array = _array(value)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _array(value) -> np.ndarray:
    """NumPy's; a PRNG key counts as no float."""
    is_key = hasattr(value, "dtype") and not isinstance(value.dtype, np.dtype)
    return np.zeros(()).astype(int) if is_key else np.asarray(value)

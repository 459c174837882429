"""Hints of arithmetic: a value rounded to fewer bits, a value that is not finite."""

import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import say

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
            name = problem.sample.names[leaf]
            return "precision", say("precision", leaf=name, dtype=kind)
    return None


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

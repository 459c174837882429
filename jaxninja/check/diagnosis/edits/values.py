"""Edits that reach for another value: a factor, a term, an operand that was forgotten.

`scale` and `term` have a free number. The gradients depend on it linearly as a rule, so
it is solved for from one trial; whether it is right, the next trial tells.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.problem import Problem, inner
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.single import Edit, instead
from jaxninja.check.hints import Statement, say

POWERS = {
    1: ("multiply", "{}"),
    -1: ("divide", "{}"),
    2: ("multiply", "{}**2"),
    -2: ("divide", "{}**2"),
    0.5: ("multiply", "sqrt({})"),
    -0.5: ("divide", "sqrt({})"),
}

# by which JAX makes i + n of an index i below 0
OF_AN_INDEX = "lt", "add", "select_n", "convert_element_type", "broadcast_in_dim"


def slope(problem: Problem, slot: int, direction, leaf: int) -> tuple[float, float]:
    """(t, misfit): the multiple of `direction` that `slot` lacks, judged by one leaf.

    misfit is what remains of the leaf's error, relative to it: 0 if t fixes the leaf,
    as far as the gradient depends on the slot linearly.
    """
    assert problem.program is not None
    base = problem.values[slot]
    moved = problem.program.rerun(problem.values, slot, base + direction)[leaf]
    change = np.ravel(np.subtract(moved, problem.got[leaf]))
    error = np.ravel(np.subtract(problem.expected[leaf], problem.got[leaf]))
    size = inner(change, change)
    if not np.isfinite(size) or size == 0:
        return 0.0, 1.0
    t = inner(change, error) / size
    return t, float(np.linalg.norm(error - t * change) / np.linalg.norm(error))


def newton(problem: Problem, slot: int, leaf: int, count: int = 12) -> float | None:
    """The constant that belongs in `slot`, where the gradient bends with it."""
    assert problem.program is not None
    value = np.asarray(problem.values[slot], float)
    target, program = problem.expected[leaf], problem.program

    def result(c):
        return np.asarray(program.rerun(problem.values, slot, c)[leaf])

    for _ in range(count):
        now, step = result(value), 1e-6 * (1 + abs(value))
        change = np.ravel(result(value + step) - now) / step
        error = np.ravel(target - now)
        size = inner(change, change)
        if not np.isfinite(size) or size == 0:
            return None
        move = inner(change, error) / size
        value = value + move
        if abs(move) <= 1e-13 * (1 + abs(value)):
            break
    return float(value)


def counted(
    problem: Problem, slot: int, others: Sequence[int], name: Callable[[int], str]
) -> Iterator[Edit]:
    """The number of entries that a mask keeps, where all are counted."""
    n = float(problem.values[slot])
    for other in others:
        value = np.asarray(problem.values[other])
        axes = [a for a in range(value.ndim) if value.shape[a] == n]
        if value.dtype != bool or not (axes or value.size == n):
            continue
        if value.size == n:
            what = instead(f"sum({name(other)})", f"{n:.6g}")
            yield Edit(slot, lambda v, o=other: np.sum(v[o]) * 1.0, what, "ratio", 1.0)


def exponents(program: Program, target: frozenset[int]) -> Iterator[Edit]:
    """Another exponent in place of one that stands in the text."""
    for step in program.steps:
        if step.name != "integer_pow" or not target <= program.reaches(step.outs[0]):
            continue
        y = step.eqn.params["y"]
        for other in (y - 1, y + 1, -y, y - 2, y + 2):

            def make(values, slot=step.ins[0], other=other):
                return np.asarray(values[slot], float) ** other

            what = instead(say("exponent", to=other), str(y))
            yield Edit(step.outs[0], make, what, "ratio", 1.1)


def scaled(slot: int, factor: float, what: Statement, kind: str, cost: float) -> Edit:
    return Edit(slot, lambda v: factor * v[slot], what, kind, cost)


def term(slot: int, other: int, t: float, what: Statement, cost: float) -> Edit:
    def make(values):
        return values[slot] + t * np.broadcast_to(values[other], np.shape(values[slot]))

    return Edit(slot, make, what, "term", cost)


def mean_term(slot: int, other: int, axis: int, t: float, what: Statement) -> Edit:
    """The slot plus t times the mean of another value over an axis."""

    def make(values):
        return values[slot] + t * spread(values[other], axis)

    return Edit(slot, make, what, "term", 2.4)


def spread(value, axis: int) -> np.ndarray:
    """The mean over an axis, in every entry."""
    return np.broadcast_to(np.mean(value, axis, keepdims=True), np.shape(value))


def multiplied(
    problem: Problem, slot: int, others: Sequence[int], name: Callable[[int], str]
) -> Iterator[Edit]:
    """The slot times a power of another value that broadcasts to it."""
    shape = np.shape(problem.values[slot])
    for other in others:
        value = problem.values[other]
        if other == slot or not fits(value, shape) or not value.any():
            continue
        yes_no = value.dtype.kind == "b"
        for power, (code, by) in list(POWERS.items())[: 1 if yes_no else None]:

            def make(values, other=other, power=power):
                return values[slot] * _inexact(values[other]) ** power

            what = say(code, by=by.format(name(other)))
            cost = 2.0 if abs(power) == 1 else 2.6
            yield Edit(slot, make, what, "mask" if yes_no else "factor", cost)
        if yes_no:
            what = say("multiply", by=f"~({name(other)})")

            def negated(values, other=other):
                return values[slot] * ~values[other]

            yield Edit(slot, negated, what, "mask", 2.2)


def operand_multiplied(
    problem: Problem, index: int, k: int, others: Sequence[int], name
) -> Iterator[Edit]:
    """The step with one operand multiplied, which others read as it is."""
    assert problem.program is not None
    step = problem.program.steps[index]
    shape = np.shape(problem.values[step.ins[k]])
    for other in others:
        value = problem.values[other]
        if other == step.ins[k] or not fits(value, shape) or not value.any():
            continue
        if value.dtype.kind not in "fcb":
            continue

        def make(values, other=other):
            ins = [values[s] for s in step.ins]
            ins[k] = ins[k] * values[other]
            return run(step.eqn, ins)[0]

        what = say("multiply operand", what=name(step.ins[k]), by=name(other))
        yield Edit(step.outs[0], make, what, "factor", 2.0)


def _inexact(value) -> np.ndarray:
    return np.asarray(value, np.result_type(value, float))


def fits(value, shape: tuple[int, ...]) -> bool:
    """Whether a value broadcasts to a shape without changing it, and is no scalar 1."""
    given = np.shape(value)
    if len(given) > len(shape):
        return False
    pairs = zip(given[::-1], shape[::-1], strict=False)
    return all(n in (1, m) for n, m in pairs)


def _kind(value) -> str:
    """Kind of a NumPy dtype; PRNG keys have one of their own."""
    dtype = value.dtype if hasattr(value, "dtype") else np.result_type(value)
    return dtype.kind if isinstance(dtype, np.dtype) else "key"


def replaced(
    problem: Problem, index: int, others: Sequence[int], name: Callable[[int], str]
) -> Iterator[Edit]:
    """The step with one operand exchanged for another value of the same shape; of
    counts also for what the other one has more, n - k for k."""
    assert problem.program is not None
    step = problem.program.steps[index]
    if len(step.outs) != 1:
        return
    for k, slot in enumerate(step.ins):
        given = problem.values[slot]
        for other in others:
            value = problem.values[other]
            same = np.shape(value) == np.shape(given) and _kind(value) == _kind(given)
            if not same or other in step.ins[k : k + 1]:
                continue
            if step.name in OF_AN_INDEX and _is_from_end(given, value):
                continue  # written in its place it would be counted from the end

            def make(values, k=k, other=other, less=False):
                ins = [values[s] for s in step.ins]
                ins[k] = values[other] - ins[k] if less else values[other]
                return run(step.eqn, ins)[0]

            what = instead(name(other), name(slot))
            yield Edit(step.outs[0], make, what, "residual", 2.1)
            if _kind(given) == "i":
                rest = instead(f"{name(other)} - {name(slot)}", name(slot))
                yield Edit(
                    step.outs[0], partial(make, less=True), rest, "residual", 2.2
                )


def _is_from_end(given, value) -> bool:
    """Whether integers are below 0 where none of those given is."""
    if _kind(given) != "i":
        return False
    return np.min(given, initial=0) == 0 > np.min(value, initial=0)


def in_all_uses(
    problem: Problem, slot: int, others: Sequence[int], name: Callable[[int], str]
) -> Iterator[Edit]:
    """Another value in the place of one that has several uses, in all of them."""
    assert problem.program is not None
    if len(problem.program.readers.get(slot, ())) < 2:
        return
    given = problem.values[slot]
    for other in others:
        value = problem.values[other]
        if np.shape(value) == np.shape(given) and _kind(value) == _kind(given):
            what = instead(name(other), name(slot))
            yield Edit(slot, lambda v, o=other: v[o], what, "residual", 2.1)


def squared(problem: Problem, index: int, name) -> Iterator[Edit]:
    """The step with the square of one operand: 1 - y * y, where 1 - y was written."""
    assert problem.program is not None
    step = problem.program.steps[index]
    if step.name not in ("add", "sub", "mul", "div"):
        return
    for k, slot in enumerate(step.ins):
        if slot in problem.program.constants:
            continue

        def make(values, k=k):
            ins = [values[s] for s in step.ins]
            ins[k] = np.square(ins[k])
            return run(step.eqn, ins)[0]

        what = instead(f"{name(slot)}**2", name(slot))
        yield Edit(step.outs[0], make, what, "factor", 2.0)


def transposed(problem: Problem, index: int, name) -> Iterator[Edit]:
    """The step with one square operand transposed."""
    assert problem.program is not None
    step = problem.program.steps[index]
    if len(step.outs) != 1 or step.name not in ("dot_general", "mul", "add", "sub"):
        return
    for k, slot in enumerate(step.ins):
        shape = np.shape(problem.values[slot])
        if len(shape) < 2 or shape[-1] != shape[-2]:
            continue

        def make(values, k=k):
            ins = [values[s] for s in step.ins]
            ins[k] = np.swapaxes(ins[k], -1, -2)
            return run(step.eqn, ins)[0]

        what = say("transpose operand", what=name(slot))
        yield Edit(step.outs[0], make, what, "transpose", 1.4)

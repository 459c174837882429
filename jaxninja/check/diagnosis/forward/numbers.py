"""Other numbers in a forward: a constant, a count, a sign, a shift of an index.

A number may stand in several places of the text, and is tried in all of them at once
too. Sizes and the usual numbers come first; then the number is solved for.
"""

from collections.abc import Iterator

import numpy as np

from jaxninja.check.diagnosis.code.constants import number
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.reader import is_inexact
from jaxninja.check.diagnosis.edits.single import instead
from jaxninja.check.diagnosis.forward.edits import Name, Nearby
from jaxninja.check.hints import say

Slots = tuple[int, ...]


def constants(program: Program) -> list[tuple[tuple, Slots]]:
    """The numbers of the text: each where it is read, and in all places at once.

    Each with a key that is the same at other sizes.
    """
    read: dict[tuple, list[int]] = {}
    alike: dict[tuple, list[tuple]] = {}
    for step in program.steps:
        for k, slot in enumerate(step.ins if step.origin else ()):
            if slot in program.constants and _is_number(program.constants[slot]):
                value = program.constants[slot]
                read.setdefault((step.origin, k), []).append(slot)
                places = alike.setdefault((value.dtype.kind, value.item()), [])
                places.append((step.origin, k))
    several = [tuple(dict.fromkeys(places)) for places in alike.values()]
    every = {key: [s for at in key for s in read[at]] for key in several}
    found = {tuple(slots): key for key, slots in (every | read).items()}
    return [(key, slots) for slots, key in found.items()]


def _is_number(value) -> bool:
    plain = isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0
    return plain and value.dtype.kind in "fi" and bool(np.isfinite(value))


def others(value: float, lengths: dict[int, str]) -> list[float]:
    """What may stand for a number: a sign, a neighbour, a size."""
    near = [-value, 1.0, 0.0, value - 1, value + 1, 1 - value, 2 * value, value / 2]
    near += [1 / value, value * value, abs(value) ** 0.5] if value else []
    for n in lengths:
        near += [n, n - 1, 1 / n, n**-0.5, value * n, value / n, value * n / (n - 1)]
        near += [value * n**0.5, value * n**-0.5]
    return [c for c in dict.fromkeys(map(float, near)) if c != value]


def constant_edit(
    key: tuple, slots: Slots, value: np.ndarray, c: float, lengths: dict[int, str]
) -> Nearby:
    new, old = number(c, lengths), f"{float(value):.6g}"
    kind = "index" if value.dtype.kind == "i" else "ratio"
    makes = {s: lambda v: value.dtype.type(c) for s in slots}
    cost = 1.1 if new.name else 1.3
    return Nearby(makes, instead(new, old), kind, cost, slots[0], key)


def power_edit(key: tuple, steps: list, c: float, lengths: dict[int, str]) -> Nearby:
    """Another exponent of whole powers."""
    makes = {s.outs[0]: lambda v, x=s.ins[0]: v[x] ** c for s in steps}
    old = f"{steps[0].eqn.params['y']}"
    what = instead(number(c, lengths), f"exponent {old}")
    return Nearby(makes, what, "ratio", 1.3, steps[0].outs[0], key)


def usual(program: Program, lengths: dict[int, str]) -> Iterator[Nearby]:
    for key, slots in constants(program):
        value = program.constants[slots[0]]
        if value.dtype.kind == "i":
            near: list[float] = [value - 1, value + 1, -value]
        else:
            near = others(float(value), lengths)
        for c in near:
            yield constant_edit(key, slots, value, c, lengths)


def scales(
    program: Program, groups: dict[tuple, list[int]], lengths: dict[int, str]
) -> Iterator[Nearby]:
    """A value times -1, 2, a size, a root of one."""
    factors = [-1.0, 2.0, 0.5]
    for n in lengths:
        factors += [n, 1 / n, n**0.5, n**-0.5]
    for key, slots in groups.items():
        for c in dict.fromkeys(factors):
            by = number(c, lengths)
            what = say("negate it") if c == -1 else say("multiply", by=by)
            kind = "sign" if c == -1 else "ratio"
            makes = {s: lambda v, s=s, c=c: c * v[s] for s in slots}
            yield Nearby(makes, what, kind, 1.7, slots[0], (*key, "scale"))


def counts(
    view: Problem, groups: dict[tuple, list[int]], lengths: dict[int, str], name: Name
) -> Iterator[Nearby]:
    """A size where a number is counted: all rows for the rows that a mask keeps."""
    program = view.program
    assert program is not None
    moving = _moving(view)
    for key, members in groups.items():
        out = program.steps[members[0]].outs[0]
        value = view.values[out]
        is_array = isinstance(value, (np.ndarray, np.generic))
        if not is_array or value.dtype.kind not in "fi" or members[0] in moving:
            continue
        slots = [program.steps[i].outs[0] for i in members]
        for n in lengths:
            by = number(float(n), lengths)
            makes = {s: lambda v, s=s, n=n: np.full_like(v[s], n) for s in slots}
            what = instead(by, name(out))
            yield Nearby(makes, what, "ratio", 1.6, out, (*key, "count"))


def _moving(view: Problem) -> set[int]:
    """The steps whose results move with a float argument: no comparison does."""
    program = view.program
    assert program is not None
    slots = {s for s in program.inputs if is_inexact(view.values[s])}
    steps = set()
    for index, step in enumerate(program.steps):
        if slots & set(step.ins) and is_inexact(view.values[step.outs[0]]):
            steps.add(index)
            slots |= set(step.outs)
    return steps

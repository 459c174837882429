"""A chain rule that stops early: the gradient of a value on the way, not of the leaf.

Whoever forgets the slope of a softplus, an exponential or a normalisation hands on the
cotangent of its result. The reference's backward holds the cotangents of all values.
"""

from collections.abc import Iterator

import numpy as np

from jaxninja.check.diagnosis.code.problem import Problem, alike
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.code.source import place
from jaxninja.check.diagnosis.reference import Reference
from jaxninja.check.diagnosis.regions import Found
from jaxninja.check.hints import say

Ends = tuple[int, ...]  # slots; several are those of the turns of a loop


def stops_early(
    problem: Problem, fresh: Problem, reference: Reference, leaf: int
) -> Found | None:
    """The value on the way to a leaf whose gradient the leaf's is, on both samples."""
    program, shape = reference.program, problem.expected[leaf].shape
    if np.size(problem.got[leaf]) < 2 or not problem.got[leaf].any():
        return None
    on = [(p, reference.values(p)) for p in (problem, fresh)]
    for slots in _ends(program, shape):
        if all(_is(p, values, slots, leaf) for p, values in on):
            where = _next(program, slots[0])
            if where is not None:
                facts = {"leaf": problem.sample.names[leaf], "spot": where}
                return "factor", say("stops early", **facts)
    return None


def _ends(program: Program, shape: tuple[int, ...]) -> Iterator[Ends]:
    """Values of a shape, and those that the turns of a loop make in place of its rows.

    What meets another path right after it is a part of a cotangent only.
    """
    for members in program.groups.values():
        slots = tuple(program.firsts(members))
        if any(_is_part(program, s) or s in program.outputs for s in slots):
            continue
        one = program.steps[members[0]].eqn.outvars[0].aval.shape
        if one == shape:
            yield from ((slot,) for slot in slots)
        elif (len(slots), *one) == shape:
            yield slots
            yield slots[::-1]


def _is_part(program: Program, slot: int) -> bool:
    readers = program.readers.get(slot, [])
    return any(program.steps[i].name == "add_any" for i in readers)


def _is(problem: Problem, values: list, slots: Ends, leaf: int) -> bool:
    found = [np.asarray(values[s]) for s in slots]
    whole = found[0] if len(found) == 1 else np.stack(found)
    mine = problem.got[leaf]
    if whole.dtype != mine.dtype:
        return False
    return not problem.right(leaf) and alike(mine, whole, problem.floor)


def _next(program: Program, slot: int):
    """The piece of the forward's text whose backward takes the cotangent further."""
    for i in program.readers.get(slot, []):
        if (where := place(program.steps[i].traceback)) is not None:
            return where
    return None

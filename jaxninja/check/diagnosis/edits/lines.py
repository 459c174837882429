"""Edits of all the steps that one line makes: the taps of a filter, uses of a variable.

A loop of Python's, or a comprehension, leaves a step a turn, at one place of the text.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.program import Program, Step
from jaxninja.check.diagnosis.code.source import place
from jaxninja.check.diagnosis.edits.brackets import bracketed
from jaxninja.check.diagnosis.edits.loops import in_turns, of_same_turn, turn_by_turn
from jaxninja.check.diagnosis.edits.reader import Reader, is_inexact
from jaxninja.check.diagnosis.edits.single import Edit, instead, structural
from jaxninja.check.hints import Statement, say

MOST = 64  # steps of one expression
USES = 8  # of a value, of which pairs are tried


def of_lines(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """Operands taken in the reverse order; every nth entry for the first ones."""
    for steps in _expressions(reader.program):
        outs = [step.outs[0] for step in steps]
        reached = frozenset().union(*map(reader.program.reaches, outs))
        if not target <= reached or not reader.concerns(outs[0]):
            continue
        for k in range(len(steps[0].ins)):
            yield from _reversed(steps, k, reader)
        yield from _strided(steps)
        numbers = [reader.program.maker[out] for out in outs]
        for edits in (structural, bracketed):
            alike = [list(edits(reader.program, i, reader.name)) for i in numbers]
            yield from _in_all(alike)


def _in_all(families: list[list[Edit]]) -> Iterator[Edit]:
    """The same edit of each step of an expression: by turns, or by its words."""
    if len({len(family) for family in families}) == 1:
        yield from in_turns(families)
        return
    by_words = [{edit.what: edit for edit in family} for family in families]
    for what, edit in by_words[0].items():
        if all(what in family for family in by_words):
            others = tuple(family[what] for family in by_words[1:])
            yield replace(edit, others=others)


def _expressions(program: Program) -> list[list[Step]]:
    """The steps by the expression, of which there are several of one kind."""
    found: dict[tuple, list[Step]] = {}
    for step in program.steps:
        where = place(step.traceback) if step.origin and step.outs else None
        if where is not None:
            found.setdefault((where, step.name), []).append(step)
    return [steps for steps in found.values() if 1 < len(steps) <= MOST]


def _reversed(steps: list[Step], k: int, reader: Reader) -> Iterator[Edit]:
    if any(len(step.ins) != len(steps[0].ins) for step in steps):
        return
    slots = [step.ins[k] for step in steps]
    alike = len({np.shape(reader.problem.values[s]) for s in slots}) == 1
    if not alike or len(set(slots)) < 2:
        return

    def made(step: Step, other: int):
        ins = list(step.ins)
        ins[k] = other
        return lambda v: run(step.eqn, [v[s] for s in ins])[0]

    makes = [made(step, other) for step, other in zip(steps, slots[::-1], strict=True)]
    what = say("reverse order", what=reader.name(slots[0]))
    yield _together(steps, makes, what)


def _strided(steps: list[Step]) -> Iterator[Edit]:
    if steps[0].name != "slice":
        return
    old, new = (_shape(v[0]) for v in (steps[0].eqn.invars, steps[0].eqn.outvars))
    by = [-(-n // m) if m else 1 for n, m in zip(old, new, strict=True)]
    if max(by) < 2:
        return
    cut = tuple(slice(0, None, n) for n in by)
    makes = [lambda v, x=step.ins[0]: np.asarray(v[x])[cut] for step in steps]
    yield _together(steps, makes, say("every nth", n=str(max(by))))


def of_one_line(
    reader: Reader, target: frozenset[int], every: list[int]
) -> Iterator[Edit]:
    """Another value in place of one that a line uses several times."""
    for steps in _lines(reader.program):
        for slot in _used_often(steps, reader):
            reading = (step for step in steps if slot in step.ins)
            users = [s for s in reading if reader.program.reaches(s.outs[0]) & target]
            outs = [step.outs[0] for step in users]
            reached = frozenset().union(*map(reader.program.reaches, outs))
            several = len(users) > 1
            if not several or not target <= reached or not reader.concerns(outs[0]):
                continue
            for other in every:
                alike = _same_type(
                    reader.problem.values[slot], reader.problem.values[other]
                )
                if alike and all(reader.before(other, s) for s in [slot, *outs]):
                    makes = [_with(step, slot, other) for step in users]
                    what = instead(reader.name(other), reader.name(slot))
                    yield _together(users, makes, what, "residual", 2.1)


def of_two_uses(
    reader: Reader, target: frozenset[int], every: list[int]
) -> Iterator[Edit]:
    """Another value in two of the uses of one, whichever lines they are on."""
    program, values = reader.program, reader.problem.values
    for slot in every:
        users = [program.steps[i] for i in program.readers.get(slot, [])]
        if not is_inexact(values[slot]) or not 2 < len(users) <= USES:
            continue
        for pair in itertools.combinations(users, 2):
            outs = [step.outs[0] for step in pair]
            reached = program.reaches(outs[0]) & program.reaches(outs[1])
            if not target <= reached or not reader.concerns(outs[0]):
                continue
            for other in every:
                alike = _same_type(values[slot], values[other])
                if alike and all(reader.before(other, s) for s in [slot, *outs]):
                    makes = [_with(step, slot, other) for step in pair]
                    what = instead(reader.name(other), reader.name(slot))
                    yield _together(list(pair), makes, what, "residual", 2.2)
    yield from _two_uses_in_turns(reader, target)


def _two_uses_in_turns(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """The same in every turn of a loop: what comes out of a turn for what goes in."""
    program, values = reader.program, reader.problem.values
    for slots, uses in _used_in_turns(program).items():
        if not is_inexact(values[slots[0]]) or not 1 < len(uses) <= USES:
            continue
        others = [
            other
            for other in turn_by_turn(program, len(slots))
            if tuple(other) != slots and _same_type(values[slots[0]], values[other[0]])
        ]
        for pair in itertools.combinations(uses, 2):
            steps = [program.steps[i] for members in pair for i in members]
            outs = [step.outs[0] for step in steps]
            reached = frozenset().union(*map(program.reaches, outs))
            if not target <= reached or not reader.concerns(outs[0]):
                continue
            for other in others:
                turns = list(zip(steps, slots * 2, [*other, *other], strict=True))
                if all(reader.before(o, s.outs[0]) for s, _, o in turns):
                    makes = [_with(*turn) for turn in turns]
                    what = instead(reader.name(other[-1]), reader.name(slots[-1]))
                    yield _together(steps, makes, what, "residual", 2.2)


def _used_in_turns(program: Program) -> dict[tuple[int, ...], list[list[int]]]:
    """The equations that read each value of a loop, by its slots turn by turn."""
    found: dict[tuple[int, ...], list[list[int]]] = {}
    for members in program.groups.values():
        operands = zip(*(program.steps[i].ins for i in members), strict=True)
        for slots in set(operands) if len(members) > 1 else ():
            if len(set(slots)) > 1:
                found.setdefault(slots, []).append(members)
    return found


def in_a_loop_of_python(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """A factor, a mask or an operand that each turn lacks, which makes its own."""
    program = reader.program
    turns = [[step.outs[0] for step in steps] for steps in _expressions(program)]
    for outs in turns:
        reached = frozenset().union(*map(program.reaches, outs))
        if target <= reached and reader.concerns(outs[0]):
            alike = (t for t in turns if len(t) == len(outs) and t is not outs)
            members = [program.maker[out] for out in outs]
            yield from of_same_turn(reader, members, alike)


def _lines(program: Program) -> list[list[Step]]:
    """The steps by the line that makes them."""
    found: dict[tuple, list[Step]] = {}
    for step in program.steps:
        where = place(step.traceback) if step.origin and len(step.outs) == 1 else None
        if where is not None:
            found.setdefault((where.file, where.line), []).append(step)
    return [steps for steps in found.values() if 1 < len(steps) <= MOST]


def _used_often(steps: list[Step], reader: Reader) -> list[int]:
    slots = [slot for step in steps for slot in dict.fromkeys(step.ins)]
    often = (s for s in dict.fromkeys(slots) if slots.count(s) > 1)
    return [s for s in often if is_inexact(reader.problem.values[s])]


def _same_type(one, other) -> bool:
    return np.shape(one) == np.shape(other) and one.dtype == other.dtype


def _with(step: Step, slot: int, other: int):
    ins = [other if s == slot else s for s in step.ins]
    return lambda v: run(step.eqn, [v[s] for s in ins])[0]


def _shape(var) -> tuple[int, ...]:
    return var.aval.shape


def _together(
    steps: list[Step],
    makes: list,
    what: Statement,
    kind: str = "index",
    cost: float = 1.4,
) -> Edit:
    pairs = zip(steps, makes, strict=True)
    edits = [Edit(step.outs[0], make, what, kind, cost) for step, make in pairs]
    first, *others = edits
    return Edit(first.slot, first.make, what, first.kind, first.cost, tuple(others))

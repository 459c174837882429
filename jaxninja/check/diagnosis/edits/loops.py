"""Edits within a loop: what changes in one turn changes in all of them."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxninja.check.diagnosis.code.elsewhere import wording
from jaxninja.check.diagnosis.code.program import Program, Step
from jaxninja.check.diagnosis.edits.reader import Reader, is_inexact
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.diagnosis.edits.values import (
    multiplied,
    operand_multiplied,
    replaced,
)
from jaxninja.check.hints import Statement, listed, say

LISTED = 4  # numbers of turns
MOST = 64  # edits of a turn that are told apart by their words


def in_turns(families: list[list[Edit]]) -> Iterator[Edit]:
    """The edits of one equation, each made in every turn of its loop."""
    for edits in _aligned(families):
        if len({edit.what.code for edit in edits}) == 1:
            yield replace(edits[0], what=_said(edits), others=tuple(edits[1:]))


def _said(edits: Sequence[Edit]) -> Statement:
    """What they say of the last turn: a carried value has its name from the second one
    on. Numbers that differ by the turn, of a loop of Python's, are all listed."""
    last, first = edits[-1].what, edits[0].what
    if first == last or len({wording(edit.what) for edit in edits}) > 1:
        return last
    return say(last.code, **{n: _all_of(n, edits) for n, _ in last.facts})


def _all_of(name: str, edits: Sequence[Edit]) -> Any:
    """A fact of all turns: "/ 2 and / 1"."""
    told = list(dict.fromkeys(edit.what[name] for edit in edits))
    texts = [fact for fact in told if isinstance(fact, str)]
    return listed(texts) if 1 < len(texts) == len(told) <= LISTED else told[-1]


def _aligned(families: list[list[Edit]]) -> Iterator[Sequence[Edit]]:
    """Those that belong together: what is carried was made by no step in the first
    turn, so that this has fewer edits."""
    if len({len(family) for family in families}) == 1:
        yield from zip(*families, strict=True)
        return
    starts, first = [0] * len(families), min(families, key=len)
    for edit in first if len(first) <= MOST else ():
        pairs = zip(starts, families, strict=True)
        at = [i for start, family in pairs for i in _next(edit, start, family)]
        if len(at) == len(families):
            yield [family[i] for family, i in zip(families, at, strict=True)]
            starts = [i + 1 for i in at]


def _next(edit: Edit, start: int, family: list[Edit]) -> list[int]:
    """Where the first of a family is that says the same, from a number on, if any."""
    said = edit.what.code, edit.kind, edit.cost
    alike = (
        i
        for i in range(start, len(family))
        if (family[i].what.code, family[i].kind, family[i].cost) == said
    )
    return list(itertools.islice(alike, 1))


def in_a_loop(reader: Reader, members: list[int]) -> Iterator[Edit]:
    """The step with a value of the same turn, or with one from outside of the loop."""
    program = reader.program
    yield from accumulated(reader, program.firsts(members))
    families = turn_by_turn(program, len(members))
    yield from of_same_turn(reader, members, families)


def of_same_turn(
    reader: Reader, members: list[int], families: Iterable[list[int]]
) -> Iterator[Edit]:
    """The steps, one a turn, with what a family of values has for that turn."""
    problem, program, name = reader.problem, reader.program, reader.name
    outs = program.firsts(members)
    inexact = all(is_inexact(problem.values[out]) for out in outs)
    for slots in families:
        if not all(map(reader.before, slots, outs)):
            continue
        turns = list(zip(members, outs, slots, strict=True))
        yield from in_turns(
            [list(replaced(problem, i, [s], name)) for i, _, s in turns]
        )
        for k in shared(program, members):
            yield from in_turns(
                [
                    list(operand_multiplied(problem, i, k, [s], name))
                    for i, _, s in turns
                ]
            )
        if inexact:
            yield from in_turns(
                [list(multiplied(problem, o, [s], name)) for _, o, s in turns]
            )


def turned(reader: Reader) -> Iterator[Edit]:
    """A loop over the rows the other way round, from the last to the first."""
    loops: dict[tuple, list[Step]] = {}
    for step in reader.program.steps:
        if step.name in ("scan_entry", "scan_stack"):
            loops.setdefault(step.eqn.params["loop"], []).append(step)
    for steps in loops.values():
        entered = any(step.name == "scan_entry" for step in steps)
        if entered and reader.concerns(steps[0].outs[0]):
            what = say("loop back")
            edits = [Edit(s.outs[0], _of_end(s), what, "index", 1.2) for s in steps]
            yield replace(edits[0], others=tuple(edits[1:]))


def _of_end(step: Step) -> Callable:
    """The entry, or the rows, counted from the end."""
    (x, *_), at = step.ins, step.eqn.params.get("index")
    if at is None:
        return lambda v: np.stack([v[s] for s in step.ins[::-1]])
    return lambda v: v[x][len(v[x]) - 1 - at]


def shared(program: Program, members: list[int]) -> list[int]:
    """The operands that have readers beside these steps, in some turn."""
    steps = [program.steps[i] for i in members]
    counts = range(min(len(step.ins) for step in steps))
    several = [
        {k for k in counts if len(program.readers[step.ins[k]]) > 1} for step in steps
    ]
    return sorted(set().union(*several))


def accumulated(reader: Reader, outs: list[int]) -> Iterator[Edit]:
    """The sum of all turns, where the last one is all that is kept."""
    if not is_inexact(reader.problem.values[outs[0]]):
        return

    def make(slot: int, before: int):
        return lambda v: v[slot] + v[before]

    what = say("summed over turns")
    pairs = zip(outs[1:], outs, strict=False)
    edits = [Edit(s, make(s, before), what, "sum", 1.5) for s, before in pairs]
    yield replace(edits[0], others=tuple(edits[1:]))


def turn_by_turn(program: Program, count: int) -> Iterator[list[int]]:
    """The slots of each value of a loop of so many turns; inputs in every turn."""
    entries: dict[tuple, list[int]] = {}
    for step in program.steps:
        if step.name == "scan_entry":
            entries.setdefault(step.ins, []).append(step.outs[0])
    made = [program.firsts(members) for members in program.groups.values()]
    yield from (slots for slots in [*entries.values(), *made] if len(slots) == count)
    yield from ([slot] * count for slot in program.inputs)

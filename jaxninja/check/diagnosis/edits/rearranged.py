"""Edits that put right values in the right order: exchanged, inverted, moved.

`near, far = far, near`; an order where its inverse belongs; a factor put in after a
step instead of before it; random numbers drawn in another shape than the forward's.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import jax
import numpy as np

from jaxninja.check.diagnosis.code.numpy_primitives import run
from jaxninja.check.diagnosis.code.problem import Problem
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.edits.reader import Reader, is_array
from jaxninja.check.diagnosis.edits.single import Edit, instead
from jaxninja.check.hints import Statement, say
from jaxninja.jaxpr import equations

PAIRS = 1500  # of values to exchange, the nearest in the text first
FAR = 16  # steps between a factor and where it belongs

Name = Callable[[int], str]


def exchanged(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """Two values in each other's place, wherever they are used."""
    program = reader.program
    groups = [m for m in program.groups.values() if _may_be_exchanged(reader, m)]
    pairs = itertools.combinations(groups, 2)
    alike = (pair for pair in pairs if _alike(reader, *pair))
    nearest = sorted(alike, key=lambda pair: pair[1][0] - pair[0][0])
    for one, other in nearest[:PAIRS]:
        outs, theirs = program.firsts(one), program.firsts(other)
        reached = program.reaches(outs[0]) | program.reaches(theirs[0])
        if target <= reached and reader.concerns(outs[0]):
            names = [reader.name(s) for s in (outs[-1], theirs[-1])]
            cost = 1.9 if any(" in " in name for name in names) else 1.8
            what = say("exchange with", other=names[1])
            turns = [*zip(outs, theirs, strict=True), *zip(theirs, outs, strict=True)]
            edits = [Edit(s, _was(o), what, "swap", cost) for s, o in turns]
            yield replace(edits[0], others=tuple(edits[1:]))


def _was(slot: int) -> Callable:
    """A value as it was before any change."""
    return lambda v: v.values[slot]


def _may_be_exchanged(reader: Reader, members: list[int]) -> bool:
    value = reader.problem.values[reader.program.steps[members[0]].outs[0]]
    is_one = is_array(value) and value.dtype.kind in "fci" and np.size(value) > 1
    return is_one and bool((value != value.flat[0]).any())


def _alike(reader: Reader, one: list[int], other: list[int]) -> bool:
    program, values = reader.program, reader.problem.values
    slots = [program.steps[m[0]].outs[0] for m in (one, other)]
    a, b = (values[s] for s in slots)
    same = a.shape == b.shape and a.dtype == b.dtype and len(one) == len(other)
    apart = not any(program.depends(*pair) for pair in (slots, slots[::-1]))
    return same and apart and not np.array_equal(a, b)


def inverted(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """The inverse of an order, as argsort gives it."""
    program = reader.program
    made = [s for step in program.steps for s in step.outs]
    for slot in [*program.inputs, *made]:
        value = reader.problem.values[slot]
        fits = is_array(value) and value.dtype.kind == "i" and value.ndim
        if not fits or not target <= program.reaches(slot):
            continue
        for axis in range(value.ndim):
            if reader.concerns(slot) and _is_order(value, axis):

                def make(v, slot=slot, axis=axis):
                    return np.argsort(v[slot], axis).astype(v[slot].dtype)

                yield Edit(slot, make, say("inverse order"), "index", 1.2)


def _is_order(value: np.ndarray, axis: int) -> bool:
    n = value.shape[axis]
    laid = [1] * value.ndim
    laid[axis] = n
    return n > 2 and bool((np.sort(value, axis) == np.arange(n).reshape(laid)).all())


def factor_before(program: Program, index: int, name: Name) -> Iterator[Edit]:
    """A factor put in before the steps that it is put in after: D(a u) for a D(u)."""
    step = program.steps[index]
    if step.name != "mul" or step.ins[0] == step.ins[1]:
        return
    first = _first_of_turn(program, index)
    for k, slot in enumerate(step.ins):
        factor = step.ins[1 - k]
        for source, steps in _on_the_way(program, slot, first):
            if source == factor or program.depends(factor, source):
                continue

            def make(v, source=source, steps=steps, slot=slot, factor=factor):
                if np.shape(v[source]) != np.shape(v[factor]):
                    raise ValueError("of another shape")
                given = {source: v[source] * v[factor]}
                return program.changes(v, given, steps)[slot]

            facts = {"factor": name(factor), "source": name(source)}
            what = say("factor before", **facts, result=name(slot))
            yield Edit(step.outs[0], make, what, "operand", 1.8)


def _first_of_turn(program: Program, index: int) -> int:
    """The number from which on steps belong to the turn of a step."""
    origin = program.steps[index].origin
    members = program.groups.get(origin, [index])
    if len(members) < 2:
        return 0
    turn = members.index(index)
    same = (m for o, m in program.groups.items() if o[:1] == origin[:1])
    return min(m[turn] for m in same if len(m) == len(members))


def _on_the_way(
    program: Program, slot: int, first: int
) -> Iterator[tuple[int, list[int]]]:
    """What a value is made of, and the steps from there to it."""
    makers, todo, found = [], [slot], []
    while todo and len(makers) < FAR:
        maker = program.maker.get(todo.pop(0), -1)
        if maker < first or maker in makers:
            continue
        makers.append(maker)
        for s in program.steps[maker].ins:
            if s not in program.constants and s not in found:
                found.append(s)
                todo.append(s)
    for source in found:
        below = set(program.below(source))
        steps = sorted(m for m in makers if m in below)
        if len(steps) > 1:  # one step alone is linear in what it is made of, or is not
            yield source, steps


def drawn_anew(reader: Reader, target: frozenset[int]) -> Iterator[Edit]:
    """Random numbers in the shape in which the forward draws them."""
    program = reader.program
    draws = [s for s in program.steps if s.name == "random_bits"]
    draws = [s for s in draws if target <= program.reaches(s.outs[0])]
    for shape in _drawn(reader.problem) if draws else ():
        for step in draws:
            if step.eqn.params["shape"] == shape or not reader.concerns(step.outs[0]):
                continue

            def make(v, step=step, shape=shape):
                dtype = step.eqn.outvars[0].aval.dtype
                bits = jax.random.bits(v[step.ins[0]], shape, dtype)
                return np.broadcast_to(np.asarray(bits), step.eqn.params["shape"])

            yield Edit(step.outs[0], make, say("drawn", shape=str(shape)), "mask", 1.0)


def _drawn(problem: Problem) -> list[tuple[int, ...]]:
    sample = problem.sample
    try:
        jaxpr = jax.make_jaxpr(problem.subject.plain)(*sample.args).jaxpr
    except Exception:  # a plain forward that JAX cannot trace
        return []
    draws = [e for e in equations(jaxpr) if e.primitive.name == "random_bits"]
    return list(dict.fromkeys(e.params["shape"] for e in draws))


def other_rows(reader: Reader, every: list[int]) -> Iterator[Edit]:
    """Another array where a loop goes through the rows of one."""
    program, values = reader.program, reader.problem.values
    entries: dict[int, list] = {}
    for step in program.steps:
        if step.name == "scan_entry":
            entries.setdefault(step.ins[0], []).append(step)
    for slot, steps in entries.items():
        for other in every:
            one, two = values[slot], values[other]
            same = np.shape(one) == np.shape(two) and one.dtype == two.dtype
            outs = [step.outs[0] for step in steps]
            if not same or not all(reader.before(other, s) for s in outs):
                continue
            what = _rows(one, two) or instead(reader.name(other), reader.name(slot))
            edits = [Edit(s.outs[0], _entry(s, other), what, "residual", 2.0)
                     for s in steps]  # fmt: skip
            yield replace(edits[0], others=tuple(edits[1:]))


def _rows(one: np.ndarray, other: np.ndarray) -> Statement | None:
    """What another array is, if it has the same rows one place on."""
    if len(one) > 2 and np.array_equal(one[:-1], other[1:]):
        return say("row before")
    if len(one) > 2 and np.array_equal(one[1:], other[:-1]):
        return say("row after")
    return None


def _entry(step, other: int) -> Callable:
    return lambda v: run(step.eqn, [v[other]])[0]

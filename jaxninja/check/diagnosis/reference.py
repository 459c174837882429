"""The reference's backward, and what becomes of it when one of its paths is cut.

A gradient that lacks a path equals the true one with some cotangent on the way set to
zero. The backward of the plain forward is linear in each of its cotangents, so one
trial a cotangent tells by which multiple of it the user's gradient is off: 0 is a path
left out, 2 one counted twice, -1 a wrong sign.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jaxninja.check.budget import Budget
from jaxninja.check.diagnosis.code.names import argument_leaves, cotangent_leaves, named
from jaxninja.check.diagnosis.code.problem import (
    Problem,
    alike,
    as_leaf,
    inner,
    is_inexact,
)
from jaxninja.check.diagnosis.code.program import Program
from jaxninja.check.diagnosis.code.source import calls, place
from jaxninja.check.diagnosis.code.tracing import traced
from jaxninja.check.diagnosis.edits.search import Search
from jaxninja.check.diagnosis.edits.single import Fix
from jaxninja.check.hints import Place
from jaxninja.check.subject.plain_forward import opened

LAID_OUT = ("reduce_sum", "reshape", "squeeze", "broadcast_in_dim")


class Reference:
    """The true backward as a program, on any cotangent.

    `declared(args, dy)` are the gradients that stand in place of the forward's.
    """

    def __init__(self, problem: Problem, declared: Callable | None = None):
        sample, plain = problem.sample, problem.subject.plain
        if problem.subject.kind == "function":  # which calls the rules under test
            plain = opened(plain)
        leaves, tree = jax.tree.flatten(sample.args)
        active = [i for i, leaf in enumerate(leaves) if is_inexact(leaf)]

        def backward(leaves, dy):
            if declared is not None:
                return declared(jax.tree.unflatten(tree, leaves), dy)

            def forward(*floats):
                full = list(leaves)
                for i, value in zip(active, floats, strict=True):
                    full[i] = value
                return plain(*jax.tree.unflatten(tree, full))

            return jax.vjp(forward, *[leaves[i] for i in active])[1](dy)

        self.program: Program = traced(backward, leaves, sample.dy)
        self.known: dict[int, list] = {}  # values by sample

    def values(self, problem: Problem) -> list:
        """All its values on the sample of a problem."""
        key = id(problem.sample)
        if key not in self.known:
            leaves = jax.tree.leaves((problem.sample.args, problem.sample.dy))
            self.known[key] = self.program.run([as_leaf(leaf) for leaf in leaves])
        return self.known[key]

    def with_leaves(self, problem: Problem, given: dict[int, Any]) -> list:
        """The true gradients there with other leaves of the arguments."""
        changed = {self.program.inputs[i]: leaf for i, leaf in given.items()}
        return self.program.with_inputs(self.values(problem), changed)

    def gradients(self, problem: Problem, dy: Sequence[Any]) -> list:
        """The true gradients on that sample for another cotangent."""
        slots = self.program.inputs[-len(dy) :]
        given = dict(zip(slots, dy, strict=True))
        return self.program.with_inputs(self.values(problem), given)


@dataclass(frozen=True)
class Path:
    """A cotangent of the reference that the user multiplies by `factor`.

    `inner` if it is a term within the derivative of one operation, as tanh's is made
    of two by JAX: the user need not know of it. `minus` if it is that of what the line
    subtracts, and not of the whole difference. `turn` is that of its loop and how many
    there are, if it is changed in one turn only.
    """

    slot: int
    factor: float
    where: Place | None
    leaves: frozenset[int]
    inner: bool = False
    minus: bool = False
    turn: tuple[int, int] | None = None


def paths(
    problem: Problem, fresh: Problem, reference: Reference, budget: Budget
) -> list[Path]:
    """The single paths whose change explains all wrong leaves, on both samples."""
    program = reference.program
    on = [(p, reference.values(p)) for p in (problem, fresh)]
    found = []
    slots = _cotangents(program, len(jax.tree.leaves(problem.sample.dy)))
    for slot in budget.during(slots, "paths left out"):
        factors = [_factor(p, program, values, slot) for p, values in on]
        if None not in factors and _equal(*factors):  # type: ignore[arg-type]
            where = place(program.steps[program.maker[slot]].traceback)
            inner = _is_inner(program, slot)
            made = (slot, factors[0] or 0.0, where, problem.wrong)
            minus = _is_subtracted(program, slot)
            found.append(Path(*made, inner, minus, _turn(program, slot)))
    if not found:
        found = list(_in_every_turn(on, program, budget))
    return sorted(found, key=lambda p: (not _is_term(program, p.slot), p.inner))


def _in_every_turn(on, program: Program, budget: Budget) -> Iterator[Path]:
    """The same path changed in each turn of a loop, of JAX's or of Python's."""
    count = len(jax.tree.leaves(on[0][0].sample.dy))
    turns: dict[tuple, list[int]] = {}
    for slot in _cotangents(program, count):
        step = program.steps[program.maker[slot]]
        turns.setdefault((*_called(step), *_fed_by(program, step)), []).append(slot)
    several = [slots for slots in turns.values() if len(slots) > 1]
    tried = itertools.product(several, (0.0, -1.0, 2.0))
    for slots, factor in budget.during(tried, "paths left out in all turns"):
        if all(_agrees(p, program, values, slots, factor) for p, values in on):
            step = program.steps[program.maker[slots[0]]]
            inner = all(_is_inner(program, slot) for slot in slots)
            where = calls(step.traceback)
            yield Path(slots[0], factor, _told(where, turns), on[0][0].wrong, inner)


def _called(step) -> tuple:
    """What a step is and the calls that led to it: the same in each turn."""
    return step.name, calls(step.traceback)


def _fed_by(program: Program, step) -> list[tuple]:
    """The same of the steps that make its operands."""
    makers = [program.maker.get(s) for s in step.ins]
    return [() if m is None else _called(program.steps[m]) for m in makers]


def _told(where: tuple[Place, ...], turns) -> Place | None:
    """The innermost place that is not within a function called from elsewhere too."""
    others = {key[1] for key in turns if key[1] != where}
    inner = (k for k in range(len(where)) if not _shared(where, k, others))
    return where[next(inner, 0)] if where else None


def _shared(where: tuple[Place, ...], k: int, others: set) -> bool:
    return any(o[: k + 1] == where[: k + 1] and o != where for o in others)


def _agrees(problem: Problem, program: Program, values, slots, factor: float) -> bool:
    """Whether the user's gradients are those with all these cotangents multiplied."""
    makes = {s: lambda v, s=s: factor * np.asarray(v[s]) for s in slots}
    results = program.remade(values, makes)
    pairs = zip(problem.got, results, strict=True)
    return all(alike(mine, r, problem.floor) for mine, r in pairs)


def two_cut(
    problem: Problem, fresh: Problem, reference: Reference, budget: Budget
) -> tuple[Path, Path] | None:
    """Two paths that the user left out together: statistics taken for constants."""
    program = reference.program
    count = len(jax.tree.leaves(problem.sample.dy))
    slots = sorted(  # where paths meet comes first
        _cotangents(program, count), key=lambda s: not _is_term(program, s)
    )
    on = [(p, reference.values(p)) for p in (problem, fresh)]
    both = itertools.combinations(slots, 2)
    for pair in budget.during(both, "pairs of paths left out"):
        if all(_lacks(p, program, values, pair) for p, values in on):
            wheres = [place(program.steps[program.maker[s]].traceback) for s in pair]
            one, two = (
                Path(slot, 0.0, where, problem.wrong)
                for slot, where in zip(pair, wheres, strict=True)
            )
            return one, two
    return None


def _lacks(problem: Problem, program: Program, values, slots) -> bool:
    """Whether the user's gradients are the true ones with these cotangents zero."""
    given = {s: np.zeros_like(values[s]) for s in slots}
    steps = sorted({i for s in slots for i in program.below(s)})
    changed = program.changes(values, given, steps)
    results = [changed[s] if s in changed else values[s] for s in program.outputs]
    return all(
        alike(mine, cut, problem.floor)
        for mine, cut in zip(problem.got, results, strict=True)
    )


def _equal(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-7 * max(1.0, abs(b))


def _cotangents(program: Program, count: int) -> Iterator[int]:
    """Float values that depend on the cotangent and are no result themselves."""
    below = {i for slot in program.inputs[-count:] for i in program.below(slot)}
    for i in sorted(below, reverse=True):
        step = program.steps[i]
        # what only lays out the turns of a loop has no origin
        inner = step.origin and len(step.outs) == 1
        inner = inner and step.outs[0] not in program.outputs
        if inner and np.issubdtype(step.eqn.outvars[0].aval.dtype, np.floating):
            yield step.outs[0]


def _is_term(program: Program, slot: int) -> bool:
    """Whether cotangents of several paths meet right after this one."""
    readers = program.readers.get(slot, [])
    return len(readers) == 1 and program.steps[readers[0]].name in ("add_any", "add")


def _is_inner(program: Program, slot: int) -> bool:
    """Whether it meets only what the same operation of the user's text sends back."""
    if not _is_term(program, slot):
        return False
    meeting = program.steps[program.readers[slot][0]]
    makers = [program.maker.get(s) for s in meeting.ins]
    places = {m if m is None else place(program.steps[m].traceback) for m in makers}
    return len(places) == 1 and None not in places


def _is_subtracted(program: Program, slot: int) -> bool:
    """Whether it is what a difference sends back to what it subtracts."""
    step = program.steps[program.maker[slot]]
    while step.name in LAID_OUT and step.ins[0] in program.maker:
        step = program.steps[program.maker[step.ins[0]]]
    return step.name == "neg"


def _turn(program: Program, slot: int) -> tuple[int, int] | None:
    """The turn of its loop and how many there are, in the forward's order: the
    backward starts at the last one."""
    index = program.maker[slot]
    turns = program.groups[program.steps[index].origin]
    count = len(turns)
    return (count - turns.index(index), count) if count > 1 else None


def _factor(problem: Problem, program: Program, values, slot: int) -> float | None:
    """The multiple of the cotangent that gives the user's gradients, if one does."""
    cut = program.rerun(values, slot, np.zeros_like(values[slot]))
    whole = [values[s] for s in program.outputs]
    leaf = min(problem.wrong)
    share = np.subtract(whole[leaf], cut[leaf])
    mine = np.subtract(problem.got[leaf], cut[leaf])
    size = inner(share, share)
    if not np.isfinite(size) or size == 0 or not np.all(np.isfinite(mine)):
        return None
    t = inner(share, mine) / size
    for k, (all_of_it, without) in enumerate(zip(whole, cut, strict=True)):
        model = without + t * (np.asarray(all_of_it) - without)
        if not alike(problem.got[k], model, problem.floor):
            return None
    return t


def derivation(
    problem: Problem, fresh: Problem, reference: Reference, budget: Budget
) -> list[Fix]:
    """Single edits of the reference's backward that make the user's gradients of it.

    The repair with the roles exchanged: what the user left out, this leaves out.
    """

    def mirrored(p: Problem) -> Problem:
        swapped = replace(p.sample, got=p.sample.expected, expected=tuple(p.got))
        known = reference.values(p)
        mirror = Problem(p.subject, swapped, reference.program, known, unit=p.unit)
        arguments = argument_leaves(p.subject, p.sample)
        roots = [*arguments, *cotangent_leaves(p.sample, "dy")]
        mirror.names = named(reference.program, roots)
        return mirror

    search = Search(mirrored(problem), mirrored(fresh), budget)
    return search.fixes(search.problem.wrong, reach=False)

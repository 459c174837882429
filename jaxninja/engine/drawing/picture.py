"""What a drawing of a graph shows, before it is drawn: operations, values, folding.

A unit is an operation with the values it makes, or a source: an argument, a constant. A
number that a function contains is written into its operation (`* 2`) and has no box.

Steps in a row that share a scope (a `jax.named_scope` block, a jitted function) can be
folded into one unit. A row of steps is folded, never steps from here and there: joining
neighbours in the order of computation cannot close a circle.
"""

from collections.abc import Set
from itertools import groupby
from typing import NamedTuple

import numpy as np

from jaxninja.engine.computation import Computation, Step
from jaxninja.engine.drawing.words import operation

LIMIT = 120  # the operations that a picture shows before any are folded

Group = list[Step]


class Unit(NamedTuple):
    label: str  # the operation; empty for a source
    ins: tuple[int, ...]  # nodes, without the numbers
    outs: tuple[int, ...]
    steps: tuple[Step, ...] = ()  # several, if they are folded; none for a source

    @property
    def folded(self) -> bool:
        return len(self.steps) > 1


class Picture(NamedTuple):
    units: list[Unit]  # in the order of computation, the sources first
    numbers: Set[int]  # the nodes that have no box
    note: str  # what is not shown, or not one by one; empty for nothing


def picture_of(graph: Computation, fold: bool | None = None) -> Picture:
    """The units to draw.

    Args:
        graph: from `trace`.
        fold: True folds every scope, False none. None folds as little as it takes to
            come down to LIMIT operations: inner scopes first, then steps in a row.
    """
    steps = _live(graph)
    groups = _by_scope(steps, 1) if fold else [[step] for step in steps]
    if fold is None:
        groups = _within_limit(steps, groups)
    made = {out for step in graph.tape.steps for out in step.outs}
    used = {i for step in steps for i in step.ins} | set(graph.tape.outputs)
    numbers = _numbers(graph, made)
    sources = sorted(used - made - numbers)
    uses = _uses(groups)
    units = [Unit("", (), (i,)) for i in sources]
    units += [_unit(graph, k, g, uses, numbers) for k, g in enumerate(groups)]
    return Picture(units, numbers, _note(graph, groups))


def _live(graph: Computation) -> list[Step]:
    """The steps that lead to an output, or to a name."""
    wanted = {*graph.tape.outputs, *graph.tape.names}
    live = []
    for step in reversed(graph.tape.steps):
        if wanted & set(step.outs):
            wanted |= set(step.ins)
            live.append(step)
    return live[::-1]


def _note(graph: Computation, groups: list[Group]) -> str:
    folded = [g for g in groups if len(g) > 1]
    count, all_folded = sum(map(len, groups)), sum(map(len, folded))
    left_out = len(graph.tape.steps) - count
    notes = []
    if graph.tape.fixed:
        fixed = ", ".join(f"{name} = {x}" for name, x in graph.tape.fixed.items())
        notes.append(f"no gradient for {fixed}: an int is a constant, a float has one")
    if folded:
        into = f"{all_folded} operations are folded into {len(folded)}"
        notes.append(f"{into}; fold=False shows all")
    if left_out:
        notes.append(f"{left_out} without influence on the output are left out")
    return "; ".join(notes)


def _numbers(graph: Computation, made: Set[int]) -> set[int]:
    shown = {*made, *graph.tape.arguments, *graph.tape.outputs, *graph.tape.names}
    return {i for i, v in enumerate(graph.values) if i not in shown and np.ndim(v) == 0}


def _within_limit(steps, groups: list[Group]) -> list[Group]:
    for depth in range(max((len(s.scope) for s in steps), default=0), 0, -1):
        if len(groups) <= LIMIT:
            return groups
        groups = _by_scope(steps, depth)
    size = max(1, -(-len(groups) // LIMIT))
    rows = [groups[k : k + size] for k in range(0, len(groups), size)]
    return [[step for group in row for step in group] for row in rows]


def _by_scope(steps, depth: int) -> list[Group]:
    """Steps in a row that share their scope down to a depth, and one call of it."""

    def key(pair):
        k, step = pair
        deep = len(step.scope) >= depth
        return (step.scope[:depth], id(step.caller)) if deep else k

    return [[step for _, step in row] for _, row in groupby(enumerate(steps), key)]


def _uses(groups: list[Group]) -> dict[int, set[int]]:
    """Node -> the groups that read it."""
    uses: dict[int, set[int]] = {}
    for k, group in enumerate(groups):
        for i in (i for step in group for i in step.ins):
            uses.setdefault(i, set()).add(k)
    return uses


def _unit(graph: Computation, k: int, group: Group, uses, numbers: Set[int]) -> Unit:
    made = [i for step in group for i in step.outs]
    read = (i for step in group for i in step.ins if i not in numbers)
    if len(group) == 1:
        (step,) = group
        label = operation(graph, step, numbers)
        return Unit(label, tuple(read), tuple(made), (step,))
    kept = {*graph.tape.names, *graph.tape.outputs}
    outs = tuple(i for i in made if i in kept or uses.get(i, set()) - {k})
    ins = tuple(i for i in dict.fromkeys(read) if i not in made)
    return Unit(_shared_scope(group), ins, outs, tuple(group))


def _shared_scope(group: Group) -> str:
    shared = []
    for level in zip(*(step.scope for step in group), strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return f"{'/'.join(shared)} ({len(group)})" if shared else f"{len(group)} steps"

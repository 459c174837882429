"""Edits of how a forward lays its entries out: halves or pairs, rows or columns.

They change several steps at once: both halves are sliced otherwise, and what is joined
again is joined otherwise; each sum of a softmax runs over the other axis.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from jaxninja.check.diagnosis.code.program import Makes, Program
from jaxninja.check.diagnosis.code.source import place
from jaxninja.check.diagnosis.edits.axes import merges, over_other_axes, regrouped
from jaxninja.check.diagnosis.edits.single import Edit
from jaxninja.check.diagnosis.forward.edits import Nearby, of_edit
from jaxninja.check.hints import say


def other_layouts(program: Program) -> Iterator[Nearby]:
    """Halves for pairs, pairs for halves; merged and split axes the other way."""
    cuts, joins = {}, {}
    for index in range(len(program.steps)):
        cuts |= _cut(program, index)
        joins |= _joined(program, index)
    slots = sorted(cuts) or sorted(joins)
    what = say("pairs for halves")
    kinds = [(cuts, joins, "both"), (cuts, {}, "cuts"), ({}, joins, "joins")]
    for one, other, key in kinds:
        if one or other:
            yield Nearby({**one, **other}, what, "index", 1.0, slots[0], (key,))
    for index, step in enumerate(program.steps):
        if step.name == "reshape" and step.origin:
            edits = regrouped(program, index)
            for number, edit in enumerate(edits):
                yield of_edit(edit, (step.origin, "regrouped", number))


def _cut(program: Program, index: int) -> Makes:
    """Every second entry where a step takes one half of an axis."""
    step = program.steps[index]
    if step.name == "split" and len(set(step.eqn.params["sizes"])) == 1:
        axis, count = step.eqn.params["axis"], len(step.outs)
        return {
            out: lambda v, k=k: _every(v[step.ins[0]], axis, k, count)
            for k, out in enumerate(step.outs)
        }
    if step.name != "slice":
        return {}
    p, shape = step.eqn.params, step.eqn.invars[0].aval.shape
    for axis, n in enumerate(shape):
        start, end = p["start_indices"][axis], p["limit_indices"][axis]
        stride = p["strides"][axis] if p["strides"] else 1
        if n < 2 or n % 2:
            continue
        if stride == 1 and (start, end) in ((0, n // 2), (n // 2, n)):
            return {step.outs[0]: _other_cut(_every, step.ins[0], axis, start > 0)}
        if stride == 2 and start in (0, 1) and end >= n - 1:
            return {step.outs[0]: _other_cut(_half, step.ins[0], axis, start)}
    return {}


def _other_cut(cut: Callable, x: int, axis: int, k: int) -> Callable:
    return lambda v: cut(v[x], axis, int(k))


def _every(x, axis: int, k: int, count: int = 2):
    return np.asarray(x)[(slice(None),) * axis + (slice(k, None, count),)]


def _half(x, axis: int, k: int):
    return np.split(np.asarray(x), 2, axis)[k]


def _joined(program: Program, index: int) -> Makes:
    """Entries in turns where a step puts halves one behind the other."""
    step = program.steps[index]
    if step.name == "reshape":
        return _in_turns(program, index)
    if step.name != "concatenate" or len(step.ins) != 2:
        return {}
    axis = step.eqn.params["dimension"]
    sizes = {var.aval.shape for var in step.eqn.invars}
    if len(sizes) != 1:
        return {}

    def make(v):
        parts = [np.asarray(v[s]) for s in step.ins]
        return np.stack(parts, axis + 1).reshape(np.shape(v[step.outs[0]]))

    return {step.outs[0]: make}


def _in_turns(program: Program, index: int) -> Makes:
    """Halves one behind the other where a step puts their entries in turns."""
    step = program.steps[index]
    maker = program.maker.get(step.ins[0])
    stack = None if maker is None else program.steps[maker]
    if stack is None or stack.name != "stack":
        return {}
    axis = stack.eqn.params["axis"]
    old, new = stack.eqn.outvars[0].aval.shape, step.eqn.outvars[0].aval.shape
    if not merges(old, new, axis - 1):
        return {}
    parts = stack.ins
    return {step.outs[0]: lambda v: np.concatenate([v[s] for s in parts], axis - 1)}


def other_axes(program: Program) -> Iterator[Nearby]:
    """Another axis for all sums of a line at once, as those of a softmax."""
    lines: dict[tuple, list[int]] = {}
    for index, step in enumerate(program.steps):
        if step.name in ("reduce_sum", "reduce_max") and step.origin:
            line = place(step.traceback)
            axes = (line, tuple(step.eqn.params["axes"]))
            lines.setdefault(axes, []).append(index)
    for (line, _), members in lines.items():
        if line is None or len(members) < 2:
            continue
        families = [_by_words(program, i) for i in members]
        for words in families[0]:
            edits = [family.get(words) for family in families]
            if all(edits):
                found = [edit for edit in edits if edit is not None]
                makes = {edit.slot: edit.make for edit in found}
                key = (program.steps[members[0]].origin, words)
                one = found[0]
                yield Nearby(makes, one.what, "sum", 1.0, one.slot, key)


def _by_words(program: Program, index: int) -> dict[str, Edit]:
    edits = itertools.chain(over_other_axes(program, index))
    return {str(edit.what["axes"]): edit for edit in edits}
